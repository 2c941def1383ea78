package supervisor

import (
	"encoding/binary"

	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/decode"

	"golang.org/x/sys/unix"
)

// sendmsg(2) is made with its struct msghdr and the address in pinned memory:
// the header also where it has no address, or another thread would put one in.
// So are its control data, which can give a packet another way. What is sent
// stays where it is.
//
// sendmmsg(2) writes to its array, which pinned memory does not allow. It is made
// as a sendmsg of its first message, and says that it has sent one, as it may
// (sendmmsg(2), "RETURN VALUE": the caller retries with the rest).

// oneOf is the message that a sendmmsg has come to.
type oneOf struct {
	length uint64 // where its msg_len is
	some   bool
}

// judgeMessage decides a sendmsg whose header is at addr.
func (s *sandbox) judgeMessage(t *task, addr uint64, j *judged) bool {
	m, err := decode.ReadMessage(s.kernel.Memory(t.tid), addr, j.direct.Arch)
	if err != nil {
		j.unread(err, "its header is")
		return false
	}
	j.pinData(1, m.Raw)
	l := decode.MessageLayoutOf(j.direct.Arch)
	if m.NameLen > 0 {
		name, ok := s.judgeAddress(t, m.Name, uint64(m.NameLen), sends, j)
		if !ok {
			return false
		}
		m.SetNameLen(len(name))
		j.pinWithin(0, l.Word, name)
	}
	if m.ControlLen > 0 && s.holders.Network != compile.Nobody {
		control, ok := s.judgeControl(t, &m, j)
		if !ok {
			return false
		}
		j.pinWithin(l.Control, l.Word, control)
	}
	return true
}

// judgeControl refuses control data by which a message would go to another host
// first. With setsockopt(2) the same is closed by builtin:guard-names.
func (s *sandbox) judgeControl(t *task, m *decode.Message, j *judged) ([]byte, bool) {
	control, err := m.ReadControl(s.kernel.Memory(t.tid))
	switch {
	case err == unix.ENOBUFS:
		j.answer = unix.ENOBUFS
		return nil, false
	case err != nil:
		j.unread(err, "its control data are")
		return nil, false
	case m.SourceRouted(control):
		j.deny(unix.EPERM, "its control data have it go by another host")
		return nil, false
	}
	return control, true
}

// judgeMessages decides a sendmmsg by its first message.
func (s *sandbox) judgeMessages(t *task, entry *abi.Syscall, j *judged) {
	value := func(i int) uint64 { return entry.Params[i].Value(&j.direct.Args) }
	fd, first, count, flags := value(0), value(1), value(2), value(3)
	if count == 0 || !s.judgeMessage(t, first, j) {
		return
	}
	l := decode.MessageLayoutOf(j.direct.Arch)
	if s.opt.Permissive {
		s.judgeOthers(t, first, min(count, batchMost), j)
		return
	}
	j.direct = callOf(j.direct.Arch, "sendmsg", fd, 0, flags)
	j.one = oneOf{first + uint64(l.Size), true}
}

// batchMost is the most messages that one call sends (UIO_MAXIOV in
// __sys_sendmmsg of net/socket.c).
const batchMost = 1024

// judgeOthers decides the messages behind the first too, for a call that is made
// as it stands whatever is decided.
func (s *sandbox) judgeOthers(t *task, first, count uint64, j *judged) {
	next := uint64(decode.MessageLayoutOf(j.direct.Arch).Next)
	for i := uint64(1); i < count; i++ {
		j.pinned = 0
		if !s.judgeMessage(t, first+i*next, j) {
			return
		}
	}
}

// sent is the exit stop of the message that a sendmmsg came to: its msg_len is
// written, as far as the tracee could itself, and the result is one message.
func (s *sandbox) sent(t *task, one oneOf, result int64) error {
	if err := s.restore(t); err != nil {
		return err
	}
	if result >= 0 {
		size := binary.NativeEndian.AppendUint32(nil, uint32(result))
		result = 1
		if err := s.kernel.Store(t.tid, one.length, size); err != nil {
			result = -int64(unix.EFAULT)
		}
		if err := s.kernel.SetResult(t.tid, result); err != nil {
			return err
		}
	}
	return s.resume(t, 0)
}
