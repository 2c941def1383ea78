package main

import (
	"fmt"
	"os"
	"strings"
)

// line is a line of a data file, without its comment, and where it is.
type line struct {
	text, pos string
}

// readLines gives the lines of a data file that say something.
func readLines(path string) ([]line, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []line
	for i, s := range strings.Split(string(text), "\n") {
		s = strings.TrimSpace(s)
		if s != "" && s[0] != '#' {
			list = append(list, line{s, fmt.Sprintf("%s:%d", path, i+1)})
		}
	}
	return list, nil
}

func (l line) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{l.pos}, args...)...)
}
