package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"callgate/configs"
	"callgate/configs/trees"
	"callgate/policy"

	"github.com/spf13/cobra"
)

const defaultPolicy = "builtin:default"

func loader() *policy.Loader { return &policy.Loader{Builtin: configs.Builtin, Trees: trees.Files} }

// loadOrFind loads the named policies or, where none is named, the one that
// a folder ("" is this one) falls under, and says so: a policy that was found
// comes from whoever wrote the folder. isolate is what the command line asks for
// beside what policies do. narrow changes the set before it is guarded.
func loadOrFind(l *policy.Loader, names []string, added []policy.Added, dir string, isolate policy.Isolation, quiet bool, narrow ...func(policy.Set) error) (policy.Set, error) {
	if len(names) == 0 {
		name, err := found(dir, quiet)
		if err != nil {
			return nil, err
		}
		names = []string{name}
	}
	set, err := l.LoadAdded(added, names...)
	if err != nil {
		return nil, err
	}
	set[0].Isolate |= isolate
	for _, narrow := range narrow {
		if err := narrow(set); err != nil {
			return nil, err
		}
	}
	return l.Guard(set)
}

// found is the policy to use where none was named.
func found(dir string, quiet bool) (string, error) {
	file, err := policy.Find(cmp.Or(dir, "."))
	if err != nil {
		return "", fmt.Errorf("no policy is named with -p, and none can be looked for: %w", err)
	}
	if file == "" {
		return defaultPolicy, nil
	}
	file = relative(file)
	if !quiet {
		say(os.Stderr, "policy: "+printable(file)+" (found; name it with -p)")
	}
	return file, nil
}

// relative is a file's name as seen from here, where that is the shorter one.
func relative(file string) string {
	here, err := os.Getwd()
	if err != nil {
		return file
	}
	name, err := filepath.Rel(here, file)
	if err != nil || len(name) >= len(file) {
		return file
	}
	return name
}

// printable keeps the bytes of a name that others chose from controlling the
// terminal.
func printable(s string) string { return policy.Printable(s) }

// policyFlag adds -p, which completes shipped policies and files.
func policyFlag(cmd *cobra.Command, names *[]string) {
	cmd.Flags().StringArrayVarP(names, "policy", "p", nil, "a policy `FILE` or builtin:NAME; may be repeated")
	// It fails only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("policy", completePolicies)
}

// completePolicies offers the shipped policies, and files to what begins like
// none of them.
func completePolicies(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	names := loader().Builtins()
	if begun != "" && !strings.HasPrefix("builtin:", begun) && !strings.HasPrefix(begun, "builtin:") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return names, cobra.ShellCompDirectiveDefault
}
