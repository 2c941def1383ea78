package foreign

import (
	"fmt"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// unit is a drop-in for a unit. systemd takes no conditions: a call that has some gets the
// strictest of its verdicts.
func (e *exporter) unit(def policy.Verdict, calls map[string][]policy.Piece) []byte {
	if def.Action == policy.Log {
		e.fail(e.whole, "", "default: log has no counterpart, and nothing stricter that would be of use")
	}
	plain := e.word(def, e.whole)
	var list, denied []string // of what is not as the default has it
	for _, name := range abi.Names() {
		if pieces := calls[name]; len(pieces) > 0 {
			switch word := e.word(e.strictest(name, def, pieces), e.whole); word {
			case plain:
			case "":
				list = append(list, name)
			default:
				denied = append(denied, name+word)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Converted from %s by callgate convert.\n[Service]\n", policy.Printable(e.p.Name))
	for _, n := range e.notes {
		comment(&b, "", n.String())
	}
	arches := []string{"native"}
	for _, arch := range e.arches()[1:] {
		arches = append(arches, map[abi.Arch]string{abi.I386: "x86", abi.X32: "x32"}[arch])
	}
	b.WriteString("SystemCallArchitectures=" + strings.Join(arches, " ") + "\n")
	if def.Action == policy.Allow {
		filterLine(&b, "~", denied)
		return []byte(b.String())
	}
	if def.Action == policy.Deny {
		b.WriteString("SystemCallErrorNumber=" + policy.ErrnoName(def.Errno) + "\n")
	}
	b.WriteString("# A list of what is permitted has systemd's @default of itself: it is taken out first.\n")
	b.WriteString("SystemCallFilter=exit\nSystemCallFilter=~@default exit\n")
	filterLine(&b, "", list)
	filterLine(&b, "~", denied)
	return []byte(b.String())
}

// filterLine writes a list over several lines, if there is any.
func filterLine(b *strings.Builder, inverted string, list []string) {
	for len(list) > 0 {
		n, long := 0, len("SystemCallFilter=")
		for n < len(list) && (n == 0 || long+1+len(list[n]) <= columns) {
			long += 1 + len(list[n])
			n++
		}
		b.WriteString("SystemCallFilter=" + inverted + strings.Join(list[:n], " ") + "\n")
		list = list[n:]
	}
}

// word is how a verdict is written behind a name: not at all for what is permitted.
func (e *exporter) word(v policy.Verdict, pos policy.Position) string {
	switch v.Action {
	case policy.Allow:
		return ""
	case policy.Log:
		e.stricter(pos, "systemd cannot permit a call and record it", "the call fails with EPERM")
		return ":EPERM"
	case policy.Kill:
		return ":kill"
	case policy.Skip:
		if v.Value != 0 {
			e.stricter(pos, fmt.Sprintf("systemd cannot return %d for a call that is not executed", v.Value), "the call fails with EPERM")
			return ":EPERM"
		}
		return ":0"
	}
	return ":" + policy.ErrnoName(v.Errno)
}

// strictest is the one verdict of a call.
func (e *exporter) strictest(name string, def policy.Verdict, pieces []policy.Piece) policy.Verdict {
	worst := pieces[0].Verdict
	if !conditional(pieces) {
		return worst
	}
	pos := e.whole
	if worst.Rule != nil {
		pos = worst.Rule.Pos
	}
	if e.stricter(pos, "systemd takes no conditions on arguments, as "+name+" has them", "the strictest verdict stands for all its calls"); def.Action > worst.Action {
		worst = def
	}
	for _, p := range slices.Backward(pieces) {
		if p.Verdict.Action > worst.Action {
			worst = p.Verdict
		}
	}
	return worst
}
