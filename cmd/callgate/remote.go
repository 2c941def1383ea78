package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// jobGroup is the group of commands that are callgated's client.
const jobGroup = "jobs"

func addJobCommands(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: jobGroup, Title: "Jobs of callgated, the daemon"})
	for _, cmd := range []*cobra.Command{newSubmit(), newPs(), newLogs(), newWait(), newKill(), newFiles(), newRm(), newTop()} {
		cmd.GroupID = jobGroup
		root.AddCommand(cmd)
	}
}

// daemonFlag adds --socket.
func daemonFlag(cmd *cobra.Command, socket *string) { socketFlag(cmd.Flags(), socket) }

func socketFlag(flags *pflag.FlagSet, socket *string) {
	flags.StringVar(socket, "socket", "", "callgated's `SOCKET`, else what CALLGATE_SOCKET names")
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, json *bool) {
	cmd.Flags().BoolVar(json, "json", false, "print what callgated answers, one JSON object a line")
}

// someJobs wants at least one job's id.
func someJobs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		f := usagef("no job was named")
		f.hint = "callgate ps lists them"
		return f
	}
	return nil
}

// remoteFailure tells why the daemon did not do what it was asked to.
func remoteFailure(err error) error {
	var p *client.Problem
	var told *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told
	case errors.As(err, &p):
		told := *p
		told.Field = flagOf(p.Field)
		return &failure{status: exitUsage, err: eachLine(told.Error()), hint: p.Hint}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return &failure{status: exitUsage, err: err, hint: "is callgated running? --socket or " + client.SocketVariable + " names another socket"}
	case errors.Is(err, fs.ErrPermission):
		return &failure{status: exitUsage, err: err, hint: "callgated's config says who may connect"}
	}
	return &failure{status: exitUsage, err: err}
}

// fieldFlags are the flags whose names are not those of the request's fields that they make.
var fieldFlags = map[string]string{"files": "file", "folder": "workdir", "labels": "label", "policies": "policy", "requires": "require"}

// flagOf is how a field of a request, or a query parameter, was named on the command line.
func flagOf(field string) string {
	name, rest, _ := strings.Cut(strings.TrimPrefix(field, "/"), "/")
	switch name {
	case "":
		return ""
	case "argv":
		return "the command"
	case "env":
		return "the environment"
	case "labels", "requires":
		rest = " " + printable(strings.NewReplacer("~1", "/", "~0", "~").Replace(rest))
	default:
		rest = "" // which one of several, and what of it, the message says
	}
	return strings.TrimRight("--"+cmp.Or(fieldFlags[name], name)+rest, " ")
}

// eachLine is an error for each line of a text.
func eachLine(text string) error {
	var lines []error
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, errors.New(line))
	}
	return errors.Join(lines...)
}

// jobFailure is remoteFailure of what was done to a job.
func jobFailure(op, id string, err error) error {
	var f *failure
	if errors.As(remoteFailure(err), &f) {
		if errors.Is(err, client.NotFound) {
			f.err = errors.New("there is no such job")
		}
		f.err = fmt.Errorf("%s %s: %w", op, printable(id), f.err)
		return f
	}
	return nil
}

// forEach does something to every job that is named, and goes on after those
// that fail: what can be done is done. All failures are told.
func forEach(op string, ids []string, do func(id string) error) error {
	var failed *failure
	for _, id := range ids {
		err := jobFailure(op, id, do(id))
		if err == nil {
			continue
		}
		if failed != nil {
			report(os.Stderr, failed)
		}
		errors.As(err, &failed)
	}
	if failed == nil {
		return nil
	}
	return failed
}

// completeJobs offers the ids of jobs in some states, none meaning any, that are
// not on the command line yet. A daemon that does not answer offers nothing.
func completeJobs(socket *string, states ...client.State) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		page, err := client.New(*socket).List(ctx, client.Query{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []string
		for _, job := range page.Jobs {
			wanted := len(states) == 0 || slices.Contains(states, job.State)
			if wanted && strings.HasPrefix(job.ID, begun) && !slices.Contains(args, job.ID) {
				ids = append(ids, job.ID+"\t"+printable(commandLine(&job)))
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// commandLine is a job's command for people, as a shell would take it.
func commandLine(job *client.Job) string {
	words := make([]string, len(job.Argv))
	for i, word := range job.Argv {
		words[i] = shellWord(word)
	}
	return strings.Join(words, " ")
}

// shellWord is a word that a shell takes as it is.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
