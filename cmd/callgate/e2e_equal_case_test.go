package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// equalCalls are the calls that TestEqual makes: what each shows, what it does to
// the files that it names, and its arguments: P is a name, D a folder's
// descriptor before it, H a descriptor that is itself meant, F AT_* flags, O
// open's flags, W openat2's struct, L linkat's flags, R renameat2's, X an
// attribute's name, M a mode, I an inotify descriptor, B a buffer, numbers
// themselves. What is named after a "!" is taken as the name itself if it is a
// link, after a "?" by flags, after a "+" as a name in its folder.
const equalCalls = `
open        fd    open    P O M
openat      fd    open    D P O M
openat2     fd    open    D P W 24
creat       fd    open    P M
stat        stat  look    P B
lstat       stat  !look   P B
newfstatat  stat  ?look   D P B F
statx       statx ?look   D P F 0x7ff B
access      -     look    P 4
faccessat   -     look    D P 2
faccessat2  -     ?look   D P 0 F
statfs      -     look    P B
chdir       cwd   look    P
chroot      root  look    P
readlink    text  !look   P B 4000
readlinkat  text  !look   D P B 4000
getxattr    text  look    P X B 100
lgetxattr   text  !look   P X B 100
listxattr   text  look    P B 100
llistxattr  text  !look   P B 100
getxattrat  -     ?look   D P F X B 16
listxattrat text  ?look   D P F B 100
file_getattr -    ?look   D P B 24 F
name_to_handle_at - @look D P B B L
open_tree   fd    ?look   D P F
fspick      -     look    D P 0
inotify_add_watch ok watch I P 2
truncate    -     change  P 3
chmod       -     change  P M
fchmodat    -     change  D P M
fchmodat2   -     ?change D P M F
chown       -     change  P 0 0
lchown      -     !change P 0 0
fchownat    -     ?change D P 0 0 F
utime       -     change  P B
utimes      -     change  P B
futimesat   -     change  D P B
utimensat   -     ?change D P B F
setxattr    -     change  P X B 3 0
lsetxattr   -     !change P X B 3 0
removexattr -     change  P X
lremovexattr -    !change P X
setxattrat  -     ?change D P F X B 16
removexattrat -   ?change D P F X
file_setattr -    ?change D P B 24 F
fchmod      -     change  H M
fchown      -     change  H 0 0
fsetxattr   -     change  H X B 3 0
fremovexattr -    change  H X
mkdir       -     +make   P M
mkdirat     -     +make   D P M
mknod       -     +make   P 0100644 0
mknodat     -     +make   D P 010644 0
symlink     -     +link   T P
symlinkat   -     +link   T D P
unlink      -     +remove P
unlinkat    -     +remove D P U
rmdir       -     +remove P
rename      -     +move,+take P P
renameat    -     +move,+take D P D P
renameat2   -     +move,+take D P D P R
link        -     !share,+link P P
linkat      -     @share,+link D P D P L
execve      run   run     P B B
execveat    run   ?run    D P B B F
`

// unequalCalls are the calls that TestEqual leaves out, and why.
var unequalCalls = map[string]string{
	"acct": "it has the whole machine's programs accounted", "swapon": "the whole machine", "swapoff": "the whole machine",
	"quotactl": "it names a device", "uselib": "no kernel for x86-64 has it", "fanotify_mark": "needs a descriptor that only root gets",
}

// equalCall is a line of equalCalls.
type equalCall struct {
	entry *abi.Syscall
	shows string
	does  []string
	args  []string
}

func readEqualCalls() (calls []equalCall) {
	for line := range strings.Lines(equalCalls) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		entry, ok := abi.X86_64.ByName(words[0])
		if !ok {
			panic("no call " + words[0])
		}
		calls = append(calls, equalCall{entry, words[1], strings.Split(words[2], ","), words[3:]})
	}
	return calls
}

// eqCase is one call on a tree of its own.
type eqCase struct {
	root     string // its tree's
	cwd      string
	held     []string // what its descriptors hold
	modes    []int    // and how they were opened
	call     *equalCall
	args     []string
	uses     []eqUse
	flags    int // of an open
	resolve  uint64
	exchange bool // of a rename
	errno    unix.Errno
}

// eqUse is one file that the call names.
type eqUse struct {
	does string
	base string // the folder that the name begins at
	name string
	last ending
	held bool // no name: base itself is meant
}

// maker makes cases.
type maker struct {
	r     *rand.Rand
	shape *shape
	calls []equalCall
	c     *eqCase
	// threads: descriptors can be exchanged, so that callgate refuses what can
	// only be done to one.
	threads bool
}

// next is a case on the tree at root whose call, if it may change anything, does
// not reach out of it.
func (m *maker) next(root string, call *equalCall) *eqCase {
	for {
		m.c = &eqCase{root: root, call: call}
		m.c.cwd = filepath.Join(root, m.shape.pick(m.r, aFolder).path)
		m.fill()
		if m.fits() {
			return m.c
		}
	}
}

func (m *maker) fits() bool {
	asks, _, _ := m.c.asks()
	for _, q := range asks {
		inside := q.path == m.c.root || strings.HasPrefix(q.path, m.c.root+"/")
		if !inside && q.access != policy.Look {
			return false
		}
	}
	for i := range m.c.uses {
		u := &m.c.uses[i]
		if at, _ := u.find(m.c); m.c.call.entry.Name == "creat" && isFifo(at.path) {
			return false // it would wait
		}
		if m.threads && u.held && m.c.call.entry.Name == "removexattrat" && u.base == m.c.cwd {
			return false // the kernel takes no AT_FDCWD there: fs/xattr.c
		}
		if m.threads && u.held && u.does != "change" && u.does != "look" && u.does != "run" {
			return false
		}
	}
	return len(m.c.held) <= 4
}

func isFifo(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

func (m *maker) oneOf(words ...string) string { return words[m.r.IntN(len(words))] }

func (m *maker) number(n int) { m.c.args = append(m.c.args, "i"+itoa(n)) }

func (m *maker) flag(chance int, values ...int) (flags int) {
	for _, v := range values {
		if m.r.IntN(chance) == 0 {
			flags |= v
		}
	}
	return flags
}

// fill chooses the arguments. Flags are chosen first: a name's meaning hangs on
// them.
func (m *maker) fill() {
	c := m.c
	at := m.flag(3, unix.AT_SYMLINK_NOFOLLOW, unix.AT_EMPTY_PATH)
	link := m.flag(2, unix.AT_SYMLINK_FOLLOW) | m.flag(4, unix.AT_EMPTY_PATH)
	m.openFlags()
	fd := -1
	for _, kind := range c.call.args {
		switch kind {
		case "P":
			m.name(fd, at, link)
		case "D":
			fd = m.startAt()
			m.number(fd)
		case "H":
			fd = m.hold(m.heldNode(), unix.O_RDONLY|unix.O_NONBLOCK)
			m.number(fd)
			c.uses = append(c.uses, eqUse{does: c.call.does[0], base: c.held[fd-firstHeld], held: true})
		case "F":
			m.number(at)
		case "L":
			m.number(link)
		case "U":
			m.number(m.flag(2, unix.AT_REMOVEDIR))
		case "R":
			flags := []int{0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE, unix.RENAME_EXCHANGE}[m.r.IntN(5)]
			c.exchange = flags == unix.RENAME_EXCHANGE
			m.number(flags)
		case "O":
			m.number(c.flags)
		case "W":
			c.args = append(c.args, m.how())
		case "M":
			m.number([]int{0o600, 0o755, 0o7777, 0}[m.r.IntN(4)])
		case "X":
			m.text(m.oneOf("user.a", "user.a", "user.b", "bad"))
		case "T":
			m.text(m.oneOf("anywhere", c.root, ".."))
		case "I":
			m.number(firstHeld - 1)
		case "B":
			c.args = append(c.args, "b")
		default:
			c.args = append(c.args, "i"+kind)
		}
	}
	for len(c.args) < 6 {
		c.args = append(c.args, "i0")
	}
}

func (m *maker) text(s string) { m.c.args = append(m.c.args, "s"+hex.EncodeToString([]byte(s))) }

// openFlags never have an open wait, as one of a fifo does.
func (m *maker) openFlags() {
	c := m.c
	c.flags = []int{unix.O_RDONLY, unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR}[m.r.IntN(4)] | unix.O_NONBLOCK |
		m.flag(4, unix.O_CREAT, unix.O_TRUNC, unix.O_NOFOLLOW, unix.O_APPEND, unix.O_CLOEXEC) |
		m.flag(8, unix.O_EXCL, unix.O_DIRECTORY, unix.O_PATH, unix.O_TMPFILE)
	switch c.call.entry.Name {
	case "creat":
		c.flags = unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC
	case "openat2":
		if c.flags&unix.O_PATH != 0 {
			c.flags &= unix.O_PATH | unix.O_NOFOLLOW | unix.O_DIRECTORY | unix.O_CLOEXEC
		}
		c.resolve = []uint64{0, 0, 0, unix.RESOLVE_NO_SYMLINKS, unix.RESOLVE_NO_MAGICLINKS, unix.RESOLVE_NO_XDEV, unix.RESOLVE_BENEATH,
			unix.RESOLVE_IN_ROOT, unix.RESOLVE_IN_ROOT}[m.r.IntN(9)]
	}
}

func (m *maker) how() string {
	mode := uint64(0)
	if m.c.flags&(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY) != 0 {
		mode = 0o640
	}
	var b []byte
	for _, v := range []uint64{uint64(m.c.flags), mode, m.c.resolve} {
		for i := range 8 {
			b = append(b, byte(v>>(8*i)))
		}
	}
	return "s" + hex.EncodeToString(b)
}

// startAt is a descriptor that a name begins at: now and then none, or one that is
// no folder.
func (m *maker) startAt() int {
	switch m.r.IntN(8) {
	case 0, 1:
		return unix.AT_FDCWD
	case 2:
		return m.hold(m.heldNode(), unix.O_PATH)
	}
	return m.hold(m.shape.pick(m.r, aFolder).path, unix.O_PATH)
}

// heldNode is something that can be opened: links lead on, and sockets cannot.
func (m *maker) heldNode() string {
	return m.shape.pick(m.r, []byte{aFolder, aFile, aProgram, aSecond, aFifo}[m.r.IntN(5)]).path
}

func (m *maker) hold(path string, flags int) int {
	m.c.held = append(m.c.held, filepath.Join(m.c.root, path))
	m.c.modes = append(m.c.modes, flags)
	return firstHeld + len(m.c.held) - 1
}

// name chooses a name for the call's next file.
func (m *maker) name(fd, at, link int) {
	c := m.c
	u := eqUse{does: c.call.does[len(c.uses)]}
	kind := u.does[0]
	u.does = strings.TrimLeft(u.does, "?!+@")
	flags := 0
	switch kind {
	case '!':
		u.last = kept
	case '+':
		u.last = entered
	case '?':
		if flags = at; flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
			u.last = kept
		}
	case '@':
		if flags = link; flags&unix.AT_SYMLINK_FOLLOW == 0 {
			u.last = kept
		}
	}
	if u.does == "open" && (c.flags&unix.O_NOFOLLOW != 0 || c.flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL) {
		u.last = kept
	}
	u.base = c.cwd
	if fd >= firstHeld && usesDescriptor(c.call, len(c.uses)) {
		u.base = c.held[fd-firstHeld]
	}
	empty := flags&unix.AT_EMPTY_PATH != 0 || c.call.entry.Name == "readlinkat"
	if !empty || m.r.IntN(2) == 0 {
		u.name = m.spell(u.base)
	}
	u.held = empty && u.name == ""
	c.uses = append(c.uses, u)
	m.text(u.name)
}

// usesDescriptor says whether the call's file of that number has a D before it.
func usesDescriptor(c *equalCall, i int) bool {
	before := ""
	for _, kind := range c.args {
		if kind == "P" {
			if i == 0 {
				return before == "D"
			}
			i--
		}
		before = kind
	}
	return false
}

// spell writes a name of something, or nothing, in the tree.
func (m *maker) spell(base string) string {
	target := m.shape.nodes[m.r.IntN(len(m.shape.nodes))].path
	switch m.r.IntN(10) {
	case 0:
		target = filepath.Join(target, "new")
	case 1:
		target = filepath.Join(m.shape.pick(m.r, aFolder).path, "new")
	case 2:
		return m.oneOf("", ".", "..", "/proc/self/cwd", m.throughHeld(target))
	}
	name := m.absolute(target)
	switch m.r.IntN(6) {
	case 0: // absolute
	case 1:
		name = "/proc/self/cwd/" + relativeTo(m.c.cwd, name)
	case 2:
		name = m.throughFolder(name)
	default:
		name = relativeTo(base, name)
	}
	name = m.decorate(name)
	return name + m.oneOf("", "", "", "", "", "", "", "/", "/", "/.", "/..", "//")
}

// absolute is a path to target, perhaps by way of a link that leads to a folder
// above it.
func (m *maker) absolute(target string) string {
	name := filepath.Join(m.c.root, target)
	for _, n := range m.shape.nodes {
		if n.kind != aLink || m.r.IntN(3) > 0 {
			continue
		}
		link := filepath.Join(m.c.root, n.path)
		f := follower{}
		if at, errno := f.follow("/", link, followed); errno == 0 && f.isFolder(at) && (at.path == name || strings.HasPrefix(name, at.path+"/")) {
			return link + strings.TrimPrefix(name, at.path)
		}
	}
	return name
}

// relativeTo is a path from a folder, as text.
func relativeTo(base, name string) string {
	rel, err := filepath.Rel(base, name)
	if err != nil {
		panic(err)
	}
	return rel
}

func (m *maker) throughFolder(name string) string {
	folder := m.shape.pick(m.r, aFolder).path
	fd := m.hold(folder, unix.O_PATH)
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, relativeTo(filepath.Join(m.c.root, folder), name))
}

func (m *maker) throughHeld(target string) string {
	for _, n := range m.shape.nodes {
		if n.path == target && n.kind != aLink {
			return fmt.Sprintf("/proc/self/fd/%d", m.hold(target, unix.O_PATH))
		}
	}
	return "/proc/self/fd/999"
}

// decorate puts in what changes nothing, or little.
func (m *maker) decorate(name string) string {
	if m.r.IntN(4) > 0 {
		return name
	}
	if rest, ok := strings.CutPrefix(name, m.c.root); ok { // which line replaces
		return m.c.root + m.oneOf("/", "/.", "//.", "/../"+filepath.Base(m.c.root)) + rest
	}
	i := strings.IndexByte(name, '/')
	for range m.r.IntN(5) {
		if j := strings.IndexByte(name[i+1:], '/'); j >= 0 {
			i += 1 + j
		}
	}
	if i <= 0 {
		return "./" + name
	}
	return name[:i] + m.oneOf("/", "/.", "//.", "/../"+filepath.Base(name[:i])) + name[i:]
}

// line is the case as the C program reads it, with its tree somewhere else.
func (c *eqCase) line(root string) string {
	move := func(path string) string { return root + strings.TrimPrefix(path, c.root) }
	words := []string{hex.EncodeToString([]byte(move(c.cwd))), itoa(len(c.held))}
	for i, path := range c.held {
		words = append(words, fmt.Sprintf("%o", c.modes[i]), hex.EncodeToString([]byte(move(path))))
	}
	words = append(words, c.call.shows, itoa(int(c.call.entry.Nr)))
	for _, arg := range c.args {
		if text, ok := strings.CutPrefix(arg, "s"); ok {
			arg = "s" + strings.ReplaceAll(text, hex.EncodeToString([]byte(c.root)), hex.EncodeToString([]byte(root)))
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ") + "\n"
}

func (c *eqCase) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %q", c.call.entry.Name, c.cwd)
	for i, held := range c.held {
		fmt.Fprintf(&b, ", %d: %q (%#o)", firstHeld+i, held, c.modes[i])
	}
	for i, arg := range c.args {
		text, err := hex.DecodeString(strings.TrimPrefix(arg, "s"))
		if arg[0] == 's' && err == nil {
			arg = fmt.Sprintf("%q", text)
		}
		if i < len(c.call.args) {
			fmt.Fprintf(&b, " %s=%s", c.call.args[i], arg)
		}
	}
	if c.call.shows == "fd" {
		fmt.Fprintf(&b, " flags %#o", c.flags)
	}
	return b.String()
}
