package main

import (
	"fmt"
	"runtime/debug"

	"callgate/policy/compile"
	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

const version = client.Release

// commit is what the program was built from; the Makefile sets it.
var commit string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what callgate was built from",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// versionText is a line of version and commit, and one of the toolchain and
// libraries.
func versionText() string {
	text := "callgate " + version
	info, ok := debug.ReadBuildInfo()
	if rev := revision(info); rev != "" {
		text += " (" + rev + ")"
	}
	text += "\n"
	if ok {
		text += info.GoVersion + ", "
	}
	return text + "libseccomp " + compile.LibraryVersion() + "\n"
}

// revision is the commit, as the Makefile or else the go command noted it.
func revision(info *debug.BuildInfo) string {
	if commit != "" || info == nil {
		return commit
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return ""
}
