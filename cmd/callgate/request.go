package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"callgate/supervisor/client"
)

// policyTexts are the policies to send, by the names on the command line: files
// with their texts and those of all that they extend, since the daemon reads no
// file for a job; names that are none as they are, for the daemon to know.
//
// Relative names are for the daemon relative to the job's folder. read is policy.ReadFile, or
// watches what that reads.
func policyTexts(names []string, folder string, read func(path string) ([]byte, error)) ([]client.Policy, error) {
	var policies []client.Policy
	for _, name := range names {
		p, err := policyText(name, folder, read)
		if err != nil {
			return nil, err
		}
		policies = append(policies, *p)
	}
	return policies, nil
}

func policyText(name, folder string, read func(string) ([]byte, error)) (*client.Policy, error) {
	if strings.HasPrefix(name, "builtin:") || isPlain(name) && !fileExists(name) {
		return &client.Policy{Name: name}, nil
	}
	texts := map[string]string{} // by the paths that the loader makes of names
	l := loader()
	l.ReadFile = func(path string) ([]byte, error) {
		text, err := read(path)
		if err == nil {
			texts[path] = string(text)
		}
		return text, err
	}
	if _, err := l.Load(name); err != nil {
		return nil, err
	}
	place, err := placeOf(name, folder)
	if err != nil {
		return nil, err
	}
	p := &client.Policy{Name: place(name), Text: texts[name]}
	delete(texts, name)
	for path, text := range texts {
		if p.Files == nil {
			p.Files = map[string]string{}
		}
		p.Files[place(path)] = text
	}
	return p, nil
}

// placeOf says where the daemon's loader will look for a file of a policy that is
// so named here: from the job's folder, if that is above the policy, else from
// the root. An absolute path is the same for both.
func placeOf(name, folder string) (func(path string) string, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	from := ""
	if rel, err := filepath.Rel(folder, filepath.Join(here, name)); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		from = folder
	}
	return func(path string) string {
		if filepath.IsAbs(path) {
			return filepath.Clean(path)
		}
		path = filepath.Join(here, path)
		if rel, err := filepath.Rel(from, path); from != "" && err == nil {
			return rel
		}
		return path
	}, nil
}

// isPlain says whether a name could be that of a policy in the daemon's config.
func isPlain(name string) bool { return !strings.ContainsAny(name, "/.") }

// environment is what a job gets of callgate's, and what --setenv adds.
func environment(clear bool, setenv []string) (map[string]string, error) {
	var lines []string
	if !clear {
		lines = os.Environ()
	}
	lines, err := setVariables(lines, setenv)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if _, twice := env[name]; name != "" && !twice { // getenv(3) gives the first
			env[name] = value
		}
	}
	return env, nil
}

// pairs reads KEY=VALUE words of a flag.
func pairs(flag string, words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, usagef("--%s %s: expected KEY=VALUE", flag, printable(word))
		}
		m[key] = value
	}
	return m, nil
}

// localFiles reads the files of --file: PATH, or PATH=LOCAL where it is another
// one here.
func localFiles(words []string) ([]client.File, error) {
	var files []client.File
	for _, word := range words {
		path, local, given := strings.Cut(word, "=")
		if !given {
			local = path
		}
		st, err := os.Stat(local)
		if err != nil {
			return nil, fmt.Errorf("--file %s: %w", printable(local), reason(err))
		}
		if !st.Mode().IsRegular() {
			return nil, fmt.Errorf("--file %s: not a regular file", printable(local))
		}
		text, err := readUnplanted(local)
		if err != nil {
			return nil, fmt.Errorf("--file %s: %w", printable(local), reason(err))
		}
		files = append(files, client.File{Path: path, Content: client.NewContent(text), Executable: st.Mode()&0o111 != 0})
	}
	return files, nil
}

func readUnplanted(name string) ([]byte, error) {
	file, err := openUnplanted(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// jobFolder is the folder that a job is to work in: absolute, and there.
func jobFolder(dir string) (string, error) {
	folder, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(folder)
	if err == nil && !st.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return "", fmt.Errorf("--workdir %s: %w", printable(dir), reason(err))
	}
	_, err = unplanted(dir)
	return folder, err
}
