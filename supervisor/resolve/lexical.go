package resolve

import (
	"bytes"
	"strings"
)

// Lexical joins name to base, an absolute clean path, and cleans it as text. slash
// says that name ends in one, which asks for a folder. ok is false where ".."
// comes after a name: then only walking can tell, for the name can be a link,
// missing, or no folder (path_resolution(7): "x/.." is not nothing). The path is
// then what it is if no component is a link.
func Lexical(base, name string) (path string, slash, ok bool) {
	p := parse(base, name)
	return p.path, p.slash, !p.back
}

// parsed is what a name's text alone tells.
type parsed struct {
	path  string
	slash bool // ends in a slash
	dots  bool // the last component is "." or ".."
	back  bool // ".." comes after a name
}

func parse(base, name string) parsed {
	p := parsed{slash: strings.HasSuffix(name, "/")}
	if clean(name) {
		p.path = name
		return p
	}
	var stack [512]byte
	out := stack[:0]
	if !strings.HasPrefix(name, "/") && base != "/" {
		out = append(out, base...)
	}
	named := false
	for rest := name; ; {
		var part string
		if part, rest = component(rest); part == "" {
			break
		}
		p.dots = part == "." || part == ".."
		switch part {
		case ".":
		case "..":
			p.back = p.back || named
			out = out[:max(0, bytes.LastIndexByte(out, '/'))]
		default:
			named = true
			out = append(append(out, '/'), part...)
		}
	}
	if p.path = string(out); p.path == "" {
		p.path = "/"
	}
	return p
}

// ending is what path lacks of the name's demand for a folder.
func (p *parsed) ending() string {
	switch {
	case p.dots:
		return "/."
	case p.slash:
		return "/"
	}
	return ""
}

// component cuts the first one off; what is left begins with its slash.
func component(name string) (part, rest string) {
	for name != "" && name[0] == '/' {
		name = name[1:]
	}
	if i := strings.IndexByte(name, '/'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

// clean says that name is an absolute path without "", "." and "..".
func clean(name string) bool {
	if name == "" || name[0] != '/' || len(name) > 1 && name[len(name)-1] == '/' {
		return name == "/"
	}
	for i := 1; i < len(name); i++ {
		if name[i-1] != '/' {
			continue
		}
		if name[i] == '/' || name[i] == '.' && dotted(name[i:]) {
			return false
		}
	}
	return true
}

// dotted says that the first component of s is "." or "..".
func dotted(s string) bool {
	part, _ := component(s)
	return part == "." || part == ".."
}

// join adds one component to a clean path.
func join(path, part string) string {
	if path == "/" {
		return path + part
	}
	return path + "/" + part
}

// parent is the folder of a clean path; the root's is the root.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// last is the last component of a clean path.
func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// onlySlashes says that no component is left.
func onlySlashes(s string) bool { return strings.Trim(s, "/") == "" }
