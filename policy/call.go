package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// TextAddress is what a register holds where ParseCall read a text: an address
// that is somewhere, in every ABI.
const TextAddress = 0x7fff0000

// CallText is a call as a person wrote it.
type CallText struct {
	abi.Call
	// Entry is the call's entry in its ABI's table, nil for a number without one.
	Entry *abi.Syscall
	// Texts are the strings given for pointers, by parameter; the register
	// itself holds TextAddress.
	Texts [6]string
}

// ParseCall reads a call: a name or number and its arguments, as in
//
//	openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_CLOEXEC)
//	i386:socket(AF_INET, SOCK_STREAM, 0)
//
// arch is the ABI where the text names none. An argument is a number, symbolic
// constants of that parameter or-ed together, NULL, or a text in double quotes,
// which stands for a pointer to it; a socket's address is written as ParseAddress
// reads it. Arguments that are left out are zero. Where
// the ABI has several entries of a name (chown and chown32), the one named
// exactly is meant.
func ParseCall(text string, arch abi.Arch) (CallText, error) {
	name, args, err := splitCall(text)
	if err != nil {
		return CallText{}, err
	}
	if prefix, rest, ok := strings.Cut(name, ":"); ok {
		if arch, ok = abi.ParseArch(prefix); !ok {
			return CallText{}, fmt.Errorf("unknown ABI %q: expected x86_64, i386, x32 or aarch64", prefix)
		}
		name = rest
	}
	c, err := named(name, arch)
	if err != nil {
		return CallText{}, err
	}
	for i, arg := range args {
		if err := c.set(i, arg); err != nil {
			return CallText{}, err
		}
	}
	return c, nil
}

// splitCall takes name(a, b) apart; a bare name has no arguments.
func splitCall(text string) (name string, args []string, err error) {
	text = strings.TrimSpace(text)
	name, rest, ok := strings.Cut(text, "(")
	name = strings.TrimSpace(name)
	if name == "" {
		return "", nil, errors.New("no call named: expected one such as openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY)")
	}
	if !ok {
		return name, nil, nil
	}
	rest, ok = strings.CutSuffix(rest, ")")
	if !ok {
		return "", nil, fmt.Errorf("%s: the closing parenthesis is missing", name)
	}
	if strings.TrimSpace(rest) == "" {
		return name, nil, nil
	}
	args, err = splitArguments(rest)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	return name, args, nil
}

// splitArguments splits at the commas that are not within double quotes.
func splitArguments(text string) ([]string, error) {
	var args []string
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quoted:
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			args = append(args, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if quoted {
		return nil, errors.New("a closing quote is missing")
	}
	return append(args, strings.TrimSpace(text[start:])), nil
}

// named is the call of a name, or of a number, in the ABI's table.
func named(name string, arch abi.Arch) (CallText, error) {
	if nr, err := strconv.ParseUint(name, 0, 32); err == nil {
		c := CallText{Call: abi.Call{Arch: arch, Nr: uint32(nr)}}
		c.Entry, _ = arch.Lookup(c.Nr)
		return c, nil
	}
	s, ok := arch.ByName(name)
	if !ok {
		return CallText{}, unknownCall(name, arch)
	}
	if s.Multiplexer {
		return CallText{}, fmt.Errorf("%s carries other calls: name the one that it carries, as in %v:socket(AF_INET, SOCK_STREAM, 0)", name, arch)
	}
	return CallText{Call: abi.Call{Arch: arch, Nr: s.Nr}, Entry: s}, nil
}

func unknownCall(name string, arch abi.Arch) error {
	if abi.Known(name) {
		return fmt.Errorf("%v has no system call %q", arch, name)
	}
	if near := Nearest(name, abi.Names()); near != "" {
		return fmt.Errorf("unknown system call %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown system call %q", name)
}

// set puts argument i, as written, into its registers.
func (c *CallText) set(i int, arg string) error {
	p, err := c.param(i)
	if err != nil {
		return err
	}
	v, err := c.value(i, p, arg)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", c.name(), p.Name, err)
	}
	v >>= p.Shift
	if p.Bits < 64 && p.Hi < 0 {
		v &= 1<<p.Bits - 1
	}
	c.Args[p.Lo] = v
	if p.Hi >= 0 {
		c.Args[p.Lo], c.Args[p.Hi] = v&0xffffffff, v>>32
	}
	return nil
}

// param is the entry's parameter i; a number without an entry takes registers.
func (c *CallText) param(i int) (*abi.Param, error) {
	n := 6
	if c.Entry != nil {
		n = len(c.Entry.Params)
	}
	if i >= n {
		return nil, fmt.Errorf("%s takes %d arguments, and there is one more", c.name(), n)
	}
	if c.Entry != nil {
		return &c.Entry.Params[i], nil
	}
	return &abi.Param{Name: "arg" + strconv.Itoa(i), Lo: int8(i), Hi: -1, Bits: c.Arch.RegisterBits()}, nil
}

func (c *CallText) name() string {
	if c.Entry != nil {
		return c.Entry.Name
	}
	return "call " + strconv.FormatUint(uint64(c.Nr), 10)
}

// value reads one argument: a text, or terms or-ed together.
func (c *CallText) value(i int, p *abi.Param, arg string) (uint64, error) {
	if strings.HasPrefix(arg, `"`) {
		text, err := strconv.Unquote(arg)
		if err != nil {
			return 0, fmt.Errorf("%s is no text in double quotes", arg)
		}
		if p.Kind == abi.Path && strings.IndexByte(text, 0) >= 0 {
			return 0, errors.New("a name ends at its first NUL: leave out what follows")
		}
		if p.Kind == abi.Sockaddr {
			if _, err := ParseAddress(text); err != nil {
				return 0, err
			}
		}
		if i < len(c.Texts) {
			c.Texts[i] = text
		}
		return TextAddress, nil
	}
	if strings.HasPrefix(arg, "{") || strings.HasPrefix(arg, "[") && !isAddress(arg) {
		return 0, errors.New(`what is in memory is not written out: write an address as "127.0.0.1:80" or "unix:/run/x", and NULL for all else`)
	}
	var v uint64
	for term := range strings.SplitSeq(arg, "|") {
		t, err := termValue(p, strings.TrimSpace(term))
		if err != nil {
			return 0, err
		}
		v |= t
	}
	return v, nil
}

func isAddress(text string) bool {
	_, err := ParseAddress(text)
	return err == nil
}

// termValue reads a number or one symbolic constant of the parameter's.
func termValue(p *abi.Param, term string) (uint64, error) {
	switch {
	case term == "NULL":
		return 0, nil
	case term == "AT_FDCWD" && p.Kind == abi.DirFD:
		return 1<<64 - 100, nil // linux/fcntl.h
	}
	if p.Consts != nil {
		if v, ok := p.Consts.Value(term); ok {
			return v, nil
		}
	}
	return number(p, term)
}

// number reads a number as C writes it and asks it to fit the parameter.
func number(p *abi.Param, term string) (uint64, error) {
	v, err := strconv.ParseUint(term, 0, 64)
	if n, signedErr := strconv.ParseInt(term, 0, 64); err != nil && signedErr == nil {
		v, err = uint64(n), nil
	}
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s does not fit 64 bits", term)
	}
	if err != nil {
		return 0, unknownConst(p, term)
	}
	if bits := width(p); bits < 64 && v>>bits != 0 && (int64(v) >= 0 || int64(v) < -1<<(bits-1)) {
		return 0, fmt.Errorf("%s does not fit the %d bits that the kernel takes", term, bits)
	}
	return v, nil
}

// width is how many bits of a parameter's value count, as Param.Value gives
// it.
func width(p *abi.Param) uint8 {
	if p.Hi >= 0 || p.Shift > 0 {
		return 64
	}
	return p.Bits
}

func unknownConst(p *abi.Param, term string) error {
	switch {
	case p.Kind == abi.Path || p.Kind == abi.Sockaddr:
		return fmt.Errorf("%q is no number; a text stands in double quotes, and those in single ones for a shell", term)
	case p.Consts == nil:
		return fmt.Errorf("%q is no number", term)
	}
	if near := Nearest(term, p.Consts.Names()); near != "" {
		return fmt.Errorf("%q is none of the %s; did you mean %s?", term, p.Consts.Name, near)
	}
	return fmt.Errorf("%q is neither a number nor one of the %s", term, p.Consts.Name)
}

// Nearest is the name that a mistyped one was most likely meant to be, "" where
// none is near: at most a third of its letters may be wrong.
func Nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	for _, candidate := range names {
		if d := distance(name, candidate, least); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out, changed or swapped
// with their neighbour to make a into b (optimal string alignment), or at least
// limit.
func distance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
