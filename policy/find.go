package policy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is the policy that Find looks for.
const FileName = ".callgate.yaml"

// Find gives the policy file that a folder falls under: FileName in dir or in
// the nearest folder above it, up to the root of the repository (the nearest
// folder with .git in it) that dir is in. Outside of a repository only dir
// itself counts: what lies above belongs to others.
//
// It gives "" where there is none, and an error where it cannot be told.
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	root, err := repository(dir)
	if err != nil {
		return "", err
	}
	for {
		file := filepath.Join(dir, FileName)
		if found, err := exists(file); found || err != nil {
			return file, err
		}
		if root == "" || dir == root {
			return "", nil
		}
		dir = filepath.Dir(dir)
	}
}

// repository is the nearest folder at or above dir that has .git in it, "" if
// none has.
func repository(dir string) (string, error) {
	for {
		found, err := exists(filepath.Join(dir, ".git"))
		if err != nil {
			return "", err
		}
		if found {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil
		}
		dir = parent
	}
}

// exists says whether there is anything of this name, be it a dangling link:
// whether it can be used is for its user to find out.
func exists(file string) (bool, error) {
	_, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
