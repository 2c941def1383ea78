package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

// filesFlags are what `callgate files` is told.
type filesFlags struct {
	socket, output string
	json           bool
}

func newFiles() *cobra.Command {
	var f filesFlags
	cmd := &cobra.Command{
		Use:   "files [flags] JOB",
		Short: "List or fetch the files that a job of callgated's left",
		Long: `List the files that were collected when the job ended (submit --collect), or
with --output write them into a folder, over what is there.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("files takes one job")
			}
			return someJobs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.files(cmd.OutOrStdout(), args[0]) },
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "write them into `DIR`, which is made if need be")
	jsonFlag(cmd, &f.json)
	daemonFlag(cmd, &f.socket)
	_ = cmd.MarkFlagDirname("output")
	cmd.ValidArgsFunction = completeJobs(&f.socket, client.Ended)
	return cmd
}

func (f *filesFlags) files(w io.Writer, id string) error {
	c := client.New(f.socket)
	list, err := c.Files(context.Background(), id)
	if err != nil {
		return jobFailure("files", id, err)
	}
	if f.output != "" {
		return f.fetch(c, id, list.Files)
	}
	for _, file := range list.Files {
		if f.json {
			err = json.NewEncoder(w).Encode(file)
		} else if file.Missing != "" {
			_, err = fmt.Fprintf(w, "%6s  %s  (not kept: %s)\n", formatBytes(file.SizeBytes), printable(file.Path), printable(file.Missing))
		} else {
			_, err = fmt.Fprintf(w, "%6s  %s\n", formatBytes(file.SizeBytes), printable(file.Path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fetch writes files into the folder. Their paths are the job's to choose: os.Root
// keeps them in there.
func (f *filesFlags) fetch(c *client.Client, id string, files []client.Collected) error {
	if _, err := unplanted(f.output); err != nil {
		return err
	}
	if err := os.MkdirAll(f.output, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(f.output)
	if err != nil {
		return err
	}
	defer root.Close()
	var failed error
	for _, file := range files {
		if file.Missing != "" {
			err = errors.New("was not kept: " + file.Missing)
		} else {
			err = fetchFile(c, id, root, &file)
		}
		if err == nil {
			continue
		}
		failed = &failure{status: exitUsage}
		say(os.Stderr, printable(fmt.Sprintf("%s: %v", file.Path, err)))
	}
	return failed
}

func fetchFile(c *client.Client, id string, root *os.Root, file *client.Collected) error {
	if err := root.MkdirAll(filepath.Dir(file.Path), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	in, err := c.File(context.Background(), id, file.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	mode := fs.FileMode(0o666)
	if file.Executable {
		mode = 0o777
	}
	if err := root.Remove(file.Path); err != nil && !errors.Is(err, fs.ErrNotExist) { // not to be written through: a link, a FIFO
		return err
	}
	out, err := root.OpenFile(file.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err == nil && n != file.SizeBytes {
		err = fmt.Errorf("%d of %d bytes came", n, file.SizeBytes)
	}
	return err
}
