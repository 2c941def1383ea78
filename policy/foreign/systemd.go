package foreign

import (
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// alsoFilters are settings by which systemd installs other filters of system calls
// (systemd.exec(5)); what leaves them out would be looser.
var alsoFilters = []string{"SystemCallLog", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "MemoryDenyWriteExecute",
	"LockPersonality", "PrivateDevices", "PrivateUsers", "ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables"}

// systemdArches are ABIs as SystemCallArchitectures= names them.
var systemdArches = map[string]abi.Arch{"x86": abi.I386, "x86-64": abi.X86_64, "x32": abi.X32, "arm64": abi.AArch64}

// systemdReader reads the SystemCall lines of a unit or of a drop-in: systemd.exec(5), and
// config_parse_syscall_filter in systemd's src/core/load-fragment.c.
type systemdReader struct {
	*reader
	pos     policy.Position
	list    map[string]*treatment // what is listed, by name
	started bool                  // there was a list that is not empty
	allow   bool                  // it is one of what is permitted
	blocked answer                // what becomes of other calls, or of listed ones
	arches  []string
	groups  []string
	others  int      // settings of other kinds
	left    []string // of them those that filter system calls, and are left out
}

func (r *reader) systemd() *filter {
	s := &systemdReader{reader: r, blocked: answer{action: policy.Kill}, list: map[string]*treatment{}}
	joined := ""
	for i, raw := range strings.Split(string(r.text), "\n") {
		line := strings.TrimSpace(raw)
		if joined != "" && (strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";")) {
			continue // systemd.syntax(7): a comment within continued lines is left out
		}
		if joined == "" {
			s.pos = policy.Position{File: r.name, Line: i + 1, Col: 1}
		}
		if more, ok := strings.CutSuffix(line, `\`); ok {
			joined += more + " "
			continue
		}
		s.line(joined + line)
		joined = ""
	}
	if joined != "" {
		s.line(joined)
	}
	if !s.started && len(s.arches) == 0 && len(r.mistakes) == 0 {
		r.fail(policy.Position{File: r.name}, "", "there is neither SystemCallFilter= nor SystemCallArchitectures=")
		return nil
	}
	return s.filter()
}

func (s *systemdReader) line(line string) {
	key, text, ok := strings.Cut(line, "=")
	key, text = strings.TrimSpace(key), strings.TrimSpace(text)
	switch {
	case line == "" || line[0] == '#' || line[0] == ';' || line[0] == '[':
	case !ok:
		s.fail(s.pos, "", "expected a setting such as SystemCallFilter=@basic-io, found %s", quote(line))
	case key == "SystemCallFilter":
		s.set(text)
	case key == "SystemCallErrorNumber":
		s.blocked = s.answer(text)
	case key == "SystemCallArchitectures":
		s.architectures(text)
	case slices.Contains(alsoFilters, key) && !off(text) && s.opts.OnlySyscalls:
		s.left = append(s.left, key+"=")
	case slices.Contains(alsoFilters, key) && !off(text):
		s.fail(s.pos, "--only syscalls leaves it out", "%s= filters system calls too, and is not converted", key)
	case strings.HasPrefix(key, "SystemCall"):
		if key != "SystemCallLog" {
			s.fail(s.pos, policy.DidYouMean(key, []string{"SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures"}), "unknown setting %s", quote(key))
		}
	default:
		s.others++
	}
}

// off says whether a setting's value sets nothing.
func off(text string) bool {
	return slices.Contains([]string{"", "no", "false", "off", "0", "n", "f"}, strings.ToLower(text))
}

// answer reads what blocked calls answer: an errno or "kill", which is meant if there is
// nothing.
func (s *systemdReader) answer(text string) answer {
	switch text {
	case "", "kill":
		return answer{action: policy.Kill}
	case "0":
		return answer{action: policy.Skip}
	}
	e, ok := policy.ParseErrno(text)
	if !ok {
		s.fail(s.pos, "", "unknown errno %s", quote(text))
		return answer{action: policy.Kill}
	}
	return answer{action: policy.Deny, errno: e}
}

func (s *systemdReader) architectures(text string) {
	if text == "" {
		s.arches = nil
	}
	for word := range strings.FieldsSeq(text) {
		if _, ok := systemdArches[word]; !ok && word != "native" && len(word) > 16 {
			s.fail(s.pos, "", "unknown architecture %s", quote(word))
			continue
		}
		s.arches = append(s.arches, word)
	}
}

// set reads one SystemCallFilter=. The first that is not empty says whether the list is
// of what is permitted; others add to it or take from it.
func (s *systemdReader) set(text string) {
	if text == "" {
		s.list, s.started, s.groups = map[string]*treatment{}, false, nil
		return
	}
	words, inverted := strings.CutPrefix(text, "~")
	if !s.started {
		s.started, s.allow = true, !inverted
		if s.allow {
			s.put("@default", answer{}, false) // always permitted, unless taken out again
		}
	}
	for word := range strings.FieldsSeq(words) {
		name, errno, given := strings.Cut(word, ":")
		a := answer{}
		switch {
		case given && errno == "":
			s.fail(s.pos, "", "no errno after the colon of %s", quote(word))
		case given && !inverted:
			s.fail(s.pos, "systemd leaves such a word out; name the call in a line that begins with ~", "%s has an errno, and the line is of what is permitted", quote(word))
		case given:
			a = s.answer(errno)
		}
		// In a list of what is permitted, what is taken out with an errno fails with it.
		s.put(name, a, inverted == s.allow && !given)
	}
}

// put adds a name or group to the list, or removes it. The zero answer is the list's own.
func (s *systemdReader) put(name string, a answer, remove bool) {
	names := []string{name}
	if strings.HasPrefix(name, "@") {
		g, ok := abi.FindGroup(name)
		if !ok {
			var all []string
			for _, g := range abi.Groups() {
				all = append(all, g.Name)
			}
			s.fail(s.pos, policy.DidYouMean(name, all), "unknown group %s", quote(name))
			return
		}
		if names = g.Calls(); !remove && a == (answer{}) && !slices.Contains(s.groups, name) {
			s.groups = append(s.groups, name)
		}
		s.note(policy.Position{File: s.name}, "groups are callgate's, which follow systemd 252's and have newer calls too: callgate syscalls @GROUP")
	} else if !isName(name) {
		s.fail(s.pos, "", "%s is no name of a system call", quote(name))
		return
	}
	for _, n := range names {
		if remove {
			delete(s.list, n)
		} else {
			s.list[n] = &treatment{rest: a, pos: s.pos}
		}
	}
}

// filter is what all lines come to.
func (s *systemdReader) filter() *filter {
	f := &filter{calls: s.list, rest: answer{action: policy.Allow}, groups: s.groups}
	listed := s.blocked
	if s.started && s.allow {
		f.rest, listed = s.blocked, answer{action: policy.Allow}
	}
	if f.rest.action == policy.Skip {
		s.stricter(s.pos, "a default that returns 0 without executing the call", "the default denies with EPERM")
		f.rest = answer{action: policy.Deny, errno: 1}
	}
	for _, t := range f.calls {
		if t.rest == (answer{}) {
			t.rest = listed
		}
	}
	f.compat = policy.Compat{I386: s.compat("x86"), X32: s.compat("x32")}
	if len(s.left) > 0 {
		s.note(policy.Position{File: s.name}, "not converted, and the policy is looser for it: %s", strings.Join(s.left, ", "))
	}
	if s.others > 0 {
		s.note(policy.Position{File: s.name}, "%d other settings are no filters of system calls, and are not converted", s.others)
	}
	return f
}

// compat says whether calls of an ABI are decided by name: without a list of ABIs all are.
func (s *systemdReader) compat(arch string) policy.CompatAction {
	if len(s.arches) == 0 || slices.Contains(s.arches, arch) {
		return policy.CompatSame
	}
	return policy.CompatKill
}
