package learn

import (
	"strings"

	"callgate/policy"
)

// inShared is the name directly in a temporary folder of all users that a path is or is
// beneath; "" if it is in none, or is the command's own to work in.
func (at *Place) inShared(path string) string {
	for _, folder := range at.Shared {
		if rest, ok := strings.CutPrefix(path, folder+"/"); ok && rest != "" && !at.own(path) && !beneath(path, at.Home) {
			name, _, _ := strings.Cut(rest, "/")
			return folder + "/" + name
		}
	}
	return ""
}

// randomNames are those that the command made in such folders and that the next run has
// others for, each with a pattern for its like.
func (at *Place) randomNames(list []*object) map[string]string {
	found := map[string]string{}
	for _, o := range list {
		if name := at.inShared(o.Path); name == o.Path && name != "" && o.fresh && o.Access == policy.Write {
			if stem := stemOf(nameOf(name)); stem != "" {
				found[name] = policy.Escape(parentOf(name)+"/"+stem) + "*"
			}
		}
	}
	return found
}

// stemOf is what stands before the random part of a name as mkstemp(3), mktemp(1) and
// Python make them, or before a number as $$ is; "" if there is none, or nothing before it.
func stemOf(name string) string {
	const least = 6 // of random letters
	if strings.HasPrefix(name, "tmp") && len(name) >= len("tmp")+least {
		return "tmp"
	}
	end := strings.TrimRight(name, "0123456789")
	if len(name)-len(end) >= 3 {
		return end
	}
	if i := strings.LastIndexAny(name, ".-_"); i >= 0 && len(name)-i > least && strings.ContainsAny(name[i:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") {
		return name[:i+1]
	}
	return ""
}
