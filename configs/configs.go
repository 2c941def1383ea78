// Package configs holds the policies that come with callgate, and the JSON
// Schema by which editors check policies.
package configs

import "embed"

// Builtin has NAME.yaml for each policy that is named builtin:NAME.
//
//go:embed *.yaml
var Builtin embed.FS
