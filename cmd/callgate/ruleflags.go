package main

import (
	"slices"
	"strings"

	"callgate/policy"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ruleFlags are rules of the command line, in its order. They come before the policies'.
type ruleFlags []policy.Added

func (f *ruleFlags) flags(cmd *cobra.Command) {
	addTopic(cmd, "rules", "rules that come before those of the policy", func(flags *pflag.FlagSet) {
		for _, r := range []struct {
			verb    string
			section policy.Section
			usage   string
		}{
			{"read", policy.Files, "let it read and run `PATH`, and what is beneath"},
			{"write", policy.Files, "let it write `PATH`, and what is beneath, too"},
			{"deny", policy.Files, "keep it from `PATH`, and what is beneath"},
			{"connect", policy.Network, "let it connect to `ADDRESS`, such as 127.0.0.1:8080"},
			{"bind", policy.Network, "let it bind to and listen on `ADDRESS`"},
		} {
			flags.Var(&ruleFlag{all: f, rule: policy.Added{From: "--" + r.verb, Section: r.section, Verb: r.verb}}, r.verb, r.usage)
		}
	})
}

// ruleFlag is one of the flags; each of its values is a rule.
type ruleFlag struct {
	all    *ruleFlags
	rule   policy.Added
	values []string
}

func (f *ruleFlag) Set(what string) error {
	rule := f.rule
	rule.What = what
	*f.all = append(*f.all, rule)
	f.values = append(f.values, what)
	return nil
}

// String is "" where it was not given, or without a value: that is a mistake.
func (f *ruleFlag) String() string {
	if slices.Contains(f.values, "") {
		return ""
	}
	return strings.Join(f.values, " ")
}

func (f *ruleFlag) Type() string { return "stringArray" }
