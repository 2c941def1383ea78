package policy

import (
	"strings"
	"unicode/utf8"
)

// globMatch says whether a glob that checkGlob found right matches the whole
// of a name. `*`, `?` and classes match whatever a name has: in a path they
// see one component, in an abstract socket's name all of it. `?` and classes
// match one character, or one byte of what is no UTF-8.
func globMatch(glob, name string) bool {
	star, mark := "", "" // where to go on from with one more character for the last *
	starred := false
	for {
		if glob != "" && glob[0] == '*' {
			star, mark, starred = glob[1:], name, true
			if glob = star; glob == "" {
				return true
			}
			continue
		}
		if g, n, ok := globStep(glob, name); ok {
			if glob, name = g, n; glob == "" && name == "" {
				return true
			}
			continue
		}
		if glob == "" && name == "" {
			return true
		}
		if !starred || mark == "" {
			return false
		}
		mark = mark[runeLen(mark):]
		glob, name = star, mark
	}
}

// globStep matches what is first in the glob, no *, with what is first in the
// name, and gives what follows in each.
func globStep(glob, name string) (restGlob, restName string, ok bool) {
	if glob == "" || name == "" {
		return glob, name, false
	}
	switch glob[0] {
	case '?':
		return glob[1:], name[runeLen(name):], true
	case '[':
		n := runeLen(name)
		glob, ok = classMatch(glob[1:], name[:n])
		return glob, name[n:], ok
	case '\\':
		glob = glob[1:]
	}
	return glob[1:], name[1:], glob[0] == name[0]
}

func runeLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// classMatch matches one character with the class that follows a bracket, and
// gives what follows the class. Characters of UTF-8 compare as their bytes do.
func classMatch(class, c string) (rest string, ok bool) {
	class, negate := strings.CutPrefix(class, "!")
	for first := true; first || class[0] != ']'; first = false {
		var low, high string
		low, class = classChar(class)
		if high = low; len(class) > 1 && class[0] == '-' && class[1] != ']' {
			high, class = classChar(class[1:])
		}
		ok = ok || low <= c && c <= high
	}
	return class[1:], ok != negate
}

// classChar takes one character, perhaps escaped, off a class.
func classChar(class string) (c, rest string) {
	if class[0] == '\\' {
		class = class[1:]
	}
	n := runeLen(class)
	return class[:n], class[n:]
}

// isGlob says whether a text has a glob character that is not escaped.
func isGlob(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// unescape takes the backslashes off a text that is no glob.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// Escape writes a name so that it matches itself only.
func Escape(name string) string {
	if !strings.ContainsAny(name, `*?[]\$`) {
		return name
	}
	out := make([]byte, 0, len(name)+4)
	for i := 0; i < len(name); i++ {
		if strings.IndexByte(`*?[]\$`, name[i]) >= 0 {
			out = append(out, '\\')
		}
		out = append(out, name[i])
	}
	return string(out)
}

// checkGlob says what is wrong with a glob, and what to write; "" if it is
// right.
func checkGlob(s string) (why, hint string) {
	for s != "" {
		c := s[0]
		s = s[1:]
		switch {
		case c == '\\' && s == "":
			return `nothing follows the \`, `write \\ for a backslash`
		case c == '\\':
			s = s[1:]
		case c == '[':
			if s, why, hint = checkClass(s); why != "" {
				return why, hint
			}
		}
	}
	return "", ""
}

func checkClass(class string) (rest, why, hint string) {
	if strings.HasPrefix(class, "^") {
		return "", "a class begins with [^", `write [! for all characters but these, or [\^`
	}
	class = strings.TrimPrefix(class, "!")
	for first := true; first || class == "" || class[0] != ']'; first = false {
		var low, high string
		if low, class = checkChar(class); low == "" {
			return "", "the [ is not closed", `write \[ for a bracket`
		}
		if len(class) > 1 && class[0] == '-' && class[1] != ']' {
			if high, class = checkChar(class[1:]); high == "" {
				return "", "the [ is not closed", `write \[ for a bracket`
			}
			if high < low {
				return "", "the range " + low + "-" + high + " is empty", "write the lesser end first"
			}
		}
	}
	return class[1:], "", ""
}

// checkChar is classChar of a class that may end too soon: "" if it does.
func checkChar(class string) (c, rest string) {
	if class == "" || class == `\` {
		return "", ""
	}
	return classChar(class)
}
