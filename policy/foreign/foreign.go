// Package foreign reads other tools' policies of system calls and writes them: OCI
// seccomp profiles, minijail's policy files, systemd's SystemCallFilter=.
//
// What is read becomes a policy in callgate's language that means the same, or an
// error says where it cannot. Strictly is what Options.Approximate asks for in that
// case: the output then denies what the source leaves open, never the other way
// round, and Result.Notes has each such place. Convert proves its output before it
// gives it: the policy is loaded again and asked about every call of every ABI, with
// all values at which an answer may change.
//
// # What "the same" means
//
// Verdicts are compared for registers as the kernel reads them. Other tools compare
// whole registers; callgate compares a parameter at the width that the kernel takes,
// so that int arguments are told by their lower 32 bits. Bits that the kernel does not
// read make no call that the source would not have permitted without them.
//
// # Limits
//
//   - Other tools kill a thread where callgate kills its process.
//   - Calls that the tables do not know get the policy's default, and ENOSYS of a
//     default that denies.
//   - i386's socketcall and ipc are told apart by callgate alone: what they carry is
//     decided as itself, even where the source permits all of them.
//   - What libseccomp makes of conditions on one call that overlap and have different
//     actions hangs on their order in its tree; such a profile has no meaning to convert.
package foreign

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"callgate/policy"
	"callgate/policy/abi"
)

// Format is a kind of policy file.
type Format string

// The formats that are known.
const (
	Callgate Format = "callgate"
	OCI      Format = "oci"      // linux.seccomp of the runtime spec, and Docker's form of it
	Minijail Format = "minijail" // minijail0(5), -S
	Systemd  Format = "systemd"  // systemd.exec(5), SystemCallFilter=
)

// Formats are all of them. Each can be read; Minijail is not written.
func Formats() []Format { return []Format{Callgate, Minijail, OCI, Systemd} }

// Options say for what a policy is converted, and how.
type Options struct {
	// Arch is the ABI of the kernel that the source is meant for; zero is the build's.
	Arch abi.Arch
	// Kernel is the version that a profile's minKernel is compared with; the zero
	// Version leaves those open that are above 5.13, callgate's own minimum.
	Kernel abi.Version
	// Caps are the capabilities ("CAP_SYS_ADMIN") that a profile's includes and
	// excludes are asked about.
	Caps []string
	// Approximate converts what cannot be kept exactly to something stricter.
	Approximate bool
	// OnlySyscalls leaves out what else restricts a command and has no place in the
	// output, which is looser for it: a policy's other sections, a unit's other settings.
	OnlySyscalls bool
	// ReadFile reads what the source includes; nil refuses that.
	ReadFile func(path string) ([]byte, error)
}

// Result is a converted policy.
type Result struct {
	Text []byte
	// Notes are what is to be told: each place where the output is stricter, or where
	// the source hung on Options.
	Notes []policy.Warning
}

// Convert reads a text of a format other than Callgate and gives the policy that
// means the same. name is what messages call the text. The error is policy.Mistakes,
// with every mistake, but for a fault of this package's own.
func Convert(name string, text []byte, from Format, opts Options) (*Result, error) {
	r := newReader(name, text, opts)
	var f *filter
	switch {
	case len(text) > maxText:
		r.fail(policy.Position{File: name}, "", "the file is greater than 1 MiB")
	case !utf8.Valid(text):
		r.fail(policy.Position{File: name}, "save the file as UTF-8", "not UTF-8")
	case from == OCI:
		f = r.oci()
	case from == Minijail:
		f = r.minijail()
	case from == Systemd:
		f = r.systemd()
	default:
		return nil, fmt.Errorf("no policy is converted from %s to %s", from, Callgate)
	}
	if f != nil && len(r.mistakes) == 0 {
		f.format = from
		if out := r.write(f); out != nil {
			return out, nil
		}
	}
	return nil, r.err()
}

// Detect tells a text's format by how it begins, and by its name where that leaves it
// open; false if that does not tell.
func Detect(name string, text []byte) (Format, bool) {
	trimmed := strings.TrimLeft(string(text[:min(len(text), maxText)]), "\ufeff \t\r\n")
	if strings.HasPrefix(trimmed, "{") {
		return OCI, true
	}
	for line := range strings.Lines(trimmed) {
		line = strings.TrimSpace(line)
		key, rest, colon := strings.Cut(line, ":")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case strings.HasPrefix(line, "SystemCall") || line[0] == '[' && line[len(line)-1] == ']':
			return Systemd, true
		case line[0] == '@':
			return Minijail, true
		case key == "callgate" && strings.TrimSpace(rest) == "1":
			return Callgate, true
		case colon && filepath.Ext(name) == ".policy":
			return Minijail, true
		case colon && abi.Known(strings.TrimSpace(key)):
			return Minijail, true
		case filepath.Ext(name) == ".yaml" || filepath.Ext(name) == ".yml":
			return Callgate, true
		default:
			return "", false
		}
	}
	return "", false
}

// reader is one conversion.
type reader struct {
	name     string
	text     []byte
	places   places // of JSON
	opts     Options
	mistakes policy.Mistakes
	inexact  int // of them those that Approximate would take
	notes    []policy.Warning
	told     map[string]bool
}

func newReader(name string, text []byte, opts Options) *reader {
	opts.Arch = cmp.Or(opts.Arch, abi.Native())
	return &reader{name: name, text: text, opts: opts, told: map[string]bool{}}
}

// maxMistakes bounds what one conversion reports.
const maxMistakes = 100

func (r *reader) fail(pos policy.Position, hint, format string, args ...any) {
	if len(r.mistakes) < maxMistakes {
		r.mistakes = append(r.mistakes, policy.Mistake{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// note tells something, once for each place.
func (r *reader) note(pos policy.Position, format string, args ...any) {
	w := policy.Warning{Pos: pos, Message: fmt.Sprintf(format, args...)}
	if key := w.String(); !r.told[key] {
		r.told[key] = true
		r.notes = append(r.notes, w)
	}
}

// stricter is for what has no exact form: what says why, instead what the output has.
// It is false, and a mistake, unless Approximate is set.
func (r *reader) stricter(pos policy.Position, what, instead string) bool {
	if r.opts.Approximate {
		r.note(pos, "approximated: %s: %s", what, instead)
		return true
	}
	key := pos.String() + what
	if !r.told[key] {
		r.told[key] = true
		r.inexact++
		r.fail(pos, "with --approximate: "+instead, "%s", what)
	}
	return false
}

// err gives the mistakes in the order of the text.
func (r *reader) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b policy.Mistake) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	if len(r.mistakes) == maxMistakes {
		r.mistakes = append(r.mistakes, policy.Mistake{Pos: policy.Position{File: r.name}, Message: fmt.Sprintf("%d mistakes or more; the rest is not shown", maxMistakes)})
	}
	return r.mistakes
}
