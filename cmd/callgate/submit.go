package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"callgate/policy"
	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

// submitFlags are what `callgate submit` is told.
type submitFlags struct {
	socket                           string
	policies, setenv, limits         []string
	files, collect, labels, requires []string
	dir, stdin, key, user            string
	copies, empty, clearEnv, json    bool
	retries                          int
}

func newSubmit() *cobra.Command {
	var f submitFlags
	cmd := &cobra.Command{
		Use:   "submit [flags] [--] COMMAND [ARG]...",
		Short: "Have callgated run a command, and print the job's id",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &failure{status: exitUsage, err: errors.New("no command to run"), hint: "callgate submit -- COMMAND"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.submit(cmd, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	policyFlag(cmd, &f.policies)
	flags.StringVarP(&f.dir, "workdir", "C", ".", "work in `DIR`")
	flags.BoolVar(&f.copies, "copy", false, "work in a copy of it, which is removed in the end")
	flags.BoolVar(&f.empty, "empty", false, "work in an empty folder of the job's own")
	flags.StringArrayVar(&f.files, "file", nil, "put `PATH[=LOCAL]` into the copy or empty folder")
	flags.StringArrayVar(&f.collect, "collect", nil, "keep the files that `PATTERN` names in the end")
	flags.StringVar(&f.stdin, "stdin", "", "give the command `FILE` as input; - is callgate's own")
	flags.BoolVar(&f.clearEnv, "clear-env", false, "pass nothing of the environment")
	flags.StringArrayVar(&f.setenv, "setenv", nil, "set a variable, `NAME=VALUE`, or pass NAME")
	flags.StringArrayVar(&f.limits, "limit", nil, "limit the job, `NAME=VALUE`, as wall-time=10m")
	flags.StringArrayVar(&f.labels, "label", nil, "label the job, `KEY=VALUE`")
	flags.StringArrayVar(&f.requires, "require", nil, "run it on a host with this label, `KEY=VALUE`")
	flags.IntVar(&f.retries, "retries", 0, "run it again, `N` times at most, if its host is lost")
	flags.StringVar(&f.key, "key", "", "a `KEY`: the same again is the same job, not another")
	flags.StringVar(&f.user, "user", "", "for root: run as `USER`")
	jsonFlag(cmd, &f.json)
	daemonFlag(cmd, &f.socket)
	// They fail only for flags that are not there.
	_ = cmd.RegisterFlagCompletionFunc("limit", cobra.FixedCompletions(limitWords(), cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("workdir")
	return cmd
}

func limitWords() (words []string) {
	for _, name := range limitNames() {
		words = append(words, name+"=")
	}
	return words
}

func (f *submitFlags) submit(cmd *cobra.Command, args []string) error {
	if f.empty && cmd.Flags().Changed("workdir") {
		return usagef("--workdir does not go with --empty")
	}
	req, err := f.request(args)
	if err != nil {
		return err
	}
	key := f.key
	if key == "" {
		key = rand.Text() // an answer that was lost is asked for again
	}
	job, err := client.New(f.socket).Submit(context.Background(), req, key)
	if err != nil {
		return remoteFailure(err)
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(job)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), job.ID)
	return err
}

// request is the job to be.
func (f *submitFlags) request(args []string) (req *client.Request, err error) {
	if f.empty && f.copies {
		return nil, usagef("--copy does not go with --empty")
	}
	req = &client.Request{Argv: args, Collect: f.collect, Copy: f.copies, Retries: f.retries, User: f.user}
	if !f.empty {
		if req.Folder, err = jobFolder(f.dir); err != nil {
			return nil, err
		}
	}
	if req.Env, err = environment(f.clearEnv, f.setenv); err != nil {
		return nil, err
	}
	if req.Policies, err = policyTexts(f.policies, req.Folder, policy.ReadFile); err != nil {
		return nil, err
	}
	if req.Limits, err = parseLimits(f.limits); err != nil {
		return nil, err
	}
	if req.Labels, err = pairs("label", f.labels); err != nil {
		return nil, err
	}
	if req.Requires, err = pairs("require", f.requires); err != nil {
		return nil, err
	}
	if req.Files, err = localFiles(f.files); err != nil {
		return nil, err
	}
	return req, f.input(req)
}

// input reads the standard input that the job is to have.
func (f *submitFlags) input(req *client.Request) error {
	if f.stdin == "" {
		return nil
	}
	in := os.Stdin
	if f.stdin != "-" {
		file, err := openUnplanted(f.stdin)
		if err != nil {
			return fmt.Errorf("--stdin %s: %w", printable(f.stdin), reason(err))
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("--stdin %s: %w", printable(f.stdin), reason(err))
	}
	req.Stdin = &client.Stdin{Content: client.NewContent(text)}
	return nil
}
