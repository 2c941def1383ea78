package policy

import "callgate/policy/abi"

func isGroup(name string) bool { return len(name) > 0 && name[0] == '@' }

func knownGroup(name string) bool {
	_, ok := abi.FindGroup(name)
	return ok
}

func groupNames() []string {
	groups := abi.Groups()
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	return names
}

// groupCalls gives the calls of a group, those of groups within it included.
func groupCalls(name string) []string {
	g, ok := abi.FindGroup(name)
	if !ok {
		return nil
	}
	return g.Members()
}
