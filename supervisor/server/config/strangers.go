package config

import (
	"cmp"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"

	"gopkg.in/yaml.v3"
)

// strangers are the users and groups that the config names and this host does not know, in
// the order of the text. A number is taken as it is.
func (c *Config) strangers(r *reader) (all []policy.Warning) {
	look := func(n *yaml.Node, name string, group bool, hint string) {
		if w := stranger(name, group, hint); w != nil && n != nil {
			w.Pos = policy.Position{File: r.file, Line: n.Line, Col: n.Column}
			all = append(all, *w)
		}
	}
	for key, list := range map[string]Accounts{"operators": c.Operators, "submit": c.Submit} {
		for i, name := range list.Users {
			look(r.at[below(key, "users."+strconv.Itoa(i))], name, false, "a group stands in `groups`")
		}
		for i, name := range list.Groups {
			look(r.at[below(key, "groups."+strconv.Itoa(i))], name, true, "a user stands in `users`")
		}
	}
	for key := range c.Quotas {
		name, group := strings.CutPrefix(key, "@")
		hint := fmt.Sprintf("a group has an @ before it: %q", "@"+name)
		if group {
			hint = fmt.Sprintf("a user has no @ before it: %q", name)
		}
		look(r.keys[below("quotas", key)], name, group, hint)
	}
	slices.SortFunc(all, func(a, b policy.Warning) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return all
}

// stranger says what is to be said of a name; hint is for one of the other kind.
func stranger(name string, group bool, hint string) *policy.Warning {
	kind, other := "user", "group"
	if group {
		kind, other = other, kind
	}
	known, err := knows(name, group)
	if known {
		return nil
	}
	w := &policy.Warning{Message: fmt.Sprintf("this host knows no %s %q", kind, name)}
	if err != nil {
		w.Message += ": " + err.Error()
	} else if is, _ := knows(name, !group); is {
		w.Message += fmt.Sprintf(", but a %s", other)
		w.Hint = hint
	}
	return w
}

// knows says whether a name, or a number, is one that jobs' users can have.
func knows(name string, group bool) (bool, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return true, nil
	}
	var err error
	if group {
		_, err = user.LookupGroup(name)
	} else {
		_, err = user.Lookup(name)
	}
	if errors.As(err, new(user.UnknownUserError)) || errors.As(err, new(user.UnknownGroupError)) {
		return false, nil
	}
	return err == nil, err
}
