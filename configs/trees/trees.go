// Package trees holds the policies that come with callgate with their text
// parsed, which spares a start the time of reading YAML. NAME.tree is what
// policy.AppendTree makes of configs' NAME.yaml, which leaves its tests out, and a
// test holds that it is. To make them anew:
//
//	go test ./configs/trees -update
package trees

import "embed"

// Files has NAME.tree for each policy that is named builtin:NAME.
//
//go:embed *.tree
var Files embed.FS
