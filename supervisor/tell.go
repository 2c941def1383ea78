package supervisor

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"time"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/audit"
	"callgate/supervisor/decode"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// tell counts a decided call and says what became of it, if anybody is to know.
func (s *sandbox) tell(t *task, j *judged) {
	switch j.verdict.Action {
	case policy.Allow:
		return
	case policy.Log:
		s.totals.Logged++
		if s.opt.Audit == nil {
			return
		}
	case policy.Ask: // under --permissive
		s.totals.Asked++
	case policy.Kill:
		s.totals.Killed++
	default:
		s.totals.Denied++
	}
	quiet := j.verdict.Rule != nil && j.verdict.Rule.Quiet && j.reason == ""
	if s.opt.Audit == nil && (s.opt.Terminal == nil || quiet) {
		return
	}
	e := s.callEvent(t, j)
	if e.Quiet = quiet; quiet {
		s.opt.Audit.Put(e)
		return
	}
	s.emit(e)
}

// callEvent is the event of a decided call.
func (s *sandbox) callEvent(t *task, j *judged) *audit.Event {
	asked := j.direct
	if j.pinned > 0 {
		asked = j.asked
	}
	f := audit.Facts{Call: j.call, Direct: asked, Carrier: j.carrier, Entry: "syscall", Tier: "traced", Args: s.arguments(t, asked),
		Reason: j.reason, Answer: j.said, Verdict: j.verdict, Object: j.object, Asked: s.asked(t, j), Barred: s.bars(&j.call), Ignored: s.opt.Permissive,
		Set: s.plan.Set, Sections: s.plan.Sections()}
	if j.call.Arch == abi.I386 {
		f.Entry, f.Code = "int80", s.codeOf(t)
	}
	e := s.event(audit.Call, t.process, t.tid)
	e.CallInfo = audit.NewCall(f)
	return e
}

// tellKilled tells of a process that is killed for the program that it has
// become.
func (s *sandbox) tellKilled(t *task, j *judged) {
	if j.reason == "" {
		j.reason = "it is not what it was when it was permitted"
	}
	j.call = callOf(abi.Native(), "execve")
	j.direct = j.call
	j.verdict.Action, j.verdict.Errno = policy.Kill, 0
	s.tell(t, j)
}

func (s *sandbox) arguments(t *task, c abi.Call) []string {
	entry, _ := c.Arch.Lookup(c.Nr)
	return decode.Args(c, entry, s.kernel.Memory(t.tid))
}

// codeOf says from which code a call through the i386 ABI came; "" if the task
// was killed meanwhile.
func (s *sandbox) codeOf(t *task) string {
	var regs ptrace.Registers
	if err := s.kernel.Registers(t.tid, &regs); err != nil {
		return ""
	}
	if regs.Code32() {
		return "32-bit"
	}
	return "64-bit"
}

func (s *sandbox) tellStart(t *task) {
	e := s.event(audit.Start, t.process, t.tid)
	e.ExecInfo = &audit.ExecInfo{Argv: s.argv, Version: audit.SchemaVersion}
	for _, p := range s.plan.Set {
		e.ExecInfo.Policies = append(e.ExecInfo.Policies, p.Name)
	}
	s.emit(e)
}

func (s *sandbox) tellExec(t *task) {
	if s.opt.Audit == nil {
		return
	}
	e := s.event(audit.Exec, t.process, t.tid)
	e.ExecInfo = &audit.ExecInfo{Argv: argvOf(t.tid)}
	s.emit(e)
}

func (s *sandbox) tellExit(p *process, status int, sig unix.Signal) {
	if s.opt.Audit == nil || p.starting {
		return
	}
	e := s.event(audit.Exit, p, p.pid)
	e.ExitInfo = exitInfo(status, sig)
	s.emit(e)
}

func (s *sandbox) tellEnd() {
	e := &audit.Event{Time: time.Now(), Sandbox: s.opt.Sandbox, Kind: audit.End}
	e.ExitInfo, e.Totals = exitInfo(s.result.Status, s.result.Signal), &s.totals
	s.emit(e)
}

func exitInfo(status int, sig unix.Signal) *audit.ExitInfo {
	info := &audit.ExitInfo{Status: status}
	if sig != 0 {
		info.Signal = unix.SignalName(sig)
	}
	return info
}

func (s *sandbox) event(kind audit.Kind, p *process, tid int) *audit.Event {
	return &audit.Event{Time: time.Now(), Sandbox: s.opt.Sandbox, PID: p.pid, TID: tid, Exe: p.program(), Kind: kind}
}

func (s *sandbox) emit(e *audit.Event) {
	for _, sink := range [...]audit.Sink{s.opt.Audit, s.opt.Terminal} {
		if sink != nil {
			sink.Put(e)
		}
	}
}

// program is the file that p executes, "" where proc(5) does not say.
func (p *process) program() string {
	if p.exe == "" {
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(p.pid) + "/exe"); err == nil {
			p.exe = exe
		}
	}
	return p.exe
}

// argvMax bounds what is read of an argument vector, which can be megabytes.
const argvMax = 64 << 10

// argvOf is tid's argument vector as proc(5) has it, nil where it does not say.
func argvOf(tid int) []string {
	f, err := os.Open("/proc/" + strconv.Itoa(tid) + "/cmdline")
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, argvMax))
	if err != nil {
		return nil
	}
	var argv []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		argv = append(argv, string(arg))
	}
	return argv
}
