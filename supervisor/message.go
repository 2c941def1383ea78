package supervisor

import (
	"encoding/binary"

	"callgate/policy/abi"
	"callgate/supervisor/decode"

	"golang.org/x/sys/unix"
)

// sendmsg(2) is made with its struct msghdr and the address in pinned memory:
// the header also where it has no address, or another thread would put one in.
// What is sent, and its control data, stay where they are.
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
		s.unread(j, err, "its header is")
		return false
	}
	if m.NameLen == 0 {
		j.pinData(1, m.Raw)
		return true
	}
	name, ok := s.judgeAddress(t, m.Name, uint64(m.NameLen), sends, j)
	if !ok {
		return false
	}
	m.SetNameLen(len(name))
	j.pinData(1, m.Raw)
	j.pinWithin(0, decode.MessageLayoutOf(j.direct.Arch).Word, name)
	return true
}

// judgeMessages decides a sendmmsg by its first message.
func (s *sandbox) judgeMessages(t *task, entry *abi.Syscall, j *judged) {
	value := func(i int) uint64 { return entry.Params[i].Value(&j.direct.Args) }
	fd, first, count, flags := value(0), value(1), value(2), value(3)
	if s.opt.Permissive || count == 0 {
		return
	}
	if !s.judgeMessage(t, first, j) {
		return
	}
	l := decode.MessageLayoutOf(j.direct.Arch)
	j.direct = callOf(j.direct.Arch, "sendmsg", fd, 0, flags)
	j.one = oneOf{first + uint64(l.Size), true}
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
