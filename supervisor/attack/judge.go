package attack

import (
	"net/netip"
	"os"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// Judge says what a policy denies an attacker.
type Judge struct {
	plan    *compile.Plan
	targets *Targets
}

// NewJudge judges by a plan. What it is asked about is what the targets say when it is
// asked.
func NewJudge(plan *compile.Plan, targets *Targets) *Judge { return &Judge{plan, targets} }

// denies says whether a call is denied by its number and arguments, whichever ABI it is
// made by. Of several names, as of open and openat, all must be.
func (j *Judge) denies(names []string, args ...uint64) bool {
	for _, arch := range abi.OfHost() {
		for _, name := range names {
			c := abi.Call{Arch: arch}
			entry, ok := arch.ByName(name)
			if !ok {
				continue
			}
			c.Nr = entry.Nr
			copy(c.Args[:], args)
			if !j.plan.Set.Decide(c).Action.Restricts() {
				return false
			}
		}
	}
	return true
}

// file says whether an access to a path is denied.
func (j *Judge) file(path string, access policy.Access) bool {
	b := j.plan.Sections()
	return b != nil && b.File(path, access).Action.Restricts()
}

// Wants is the least that is denied in a folder: what attacks are to get.
func (j *Judge) Wants(folder string) Goal {
	secret, made := folder+"/"+secretName, folder+"/"+madeName
	switch {
	case j.file(secret, policy.Read), j.denies([]string{"open", "openat", "openat2", "open_by_handle_at"}):
		return Read
	case j.file(secret, policy.Write) && j.file(made, policy.Write):
		return Write
	case j.denies([]string{"mkdir", "mkdirat"}):
		return Make
	}
	return None
}

// Yields says whether files can be made, moved and linked in a folder.
func (j *Judge) Yields(folder string) bool { return !j.file(folder+"/x", policy.Write) }

// Shows says whether a folder can be opened.
func (j *Judge) Shows(folder string) bool { return !j.file(folder, policy.Read) }

// Runs says whether a program can be executed, as a command is.
func (j *Judge) Runs(path string) bool {
	b := j.plan.Sections()
	return b == nil || !b.File(path, policy.Read).Action.Restricts() && !b.Program(path).Action.Restricts()
}

// What permits an attack, for the table. Each says why there is nothing to break.

func wantsGoal(j *Judge) string {
	if j.targets.Goal == None {
		return "the policy denies nothing of files where a decoy can be put"
	}
	return ""
}

// wantsFile is wantsGoal where names are the way, about which only rules on files are.
func wantsFile(j *Judge) string {
	switch secret := j.targets.Folder + "/" + secretName; {
	case j.targets.Goal == None:
		return wantsGoal(j)
	case !j.file(secret, policy.Read) && !j.file(secret, policy.Write):
		return "the policy has no rules on files that deny the decoy"
	}
	return ""
}

// wantsYard is wantsFile where links or names are to be made on the way.
func wantsYard(j *Judge) string {
	if why := wantsFile(j); why != "" {
		return why
	}
	if j.targets.Yard == "" {
		return "the policy permits to make no file, and so no link"
	}
	return ""
}

// wantsWrite is wantsFile for what changes the decoy and cannot be done by reading it.
func wantsWrite(j *Judge) string {
	if j.file(j.targets.Folder+"/"+secretName, policy.Write) {
		return ""
	}
	return "the policy has no rules on files that keep the decoy as it is"
}

func wantsProgram(j *Judge) string {
	if j.Runs(j.targets.Folder + "/" + programName) {
		return "the policy permits to run the decoy"
	}
	return ""
}

func wantsNameless(j *Judge) string {
	b := j.plan.Sections()
	switch {
	case b == nil || !b.Has(policy.Exec):
		return "the policy has no rules on programs"
	case !b.Program("memfd:program").Action.Restricts():
		return "the policy permits to run files without a name"
	}
	return ""
}

// wantsOutside is for what any policy denies that restricts anything.
func wantsOutside(j *Judge) string {
	if !j.plan.Set.Restricts() {
		return "the policy restricts nothing"
	}
	return ""
}

// wantsKept is for what Landlock keeps from all but root, and callgate from root where a
// policy has sections.
func wantsKept(j *Judge) string {
	if j.plan.Sections() == nil && os.Geteuid() == 0 {
		return "without rules on files, programs or addresses root keeps the capabilities that it takes"
	}
	return wantsOutside(j)
}

func wantsTerminal(j *Judge) string {
	if !j.targets.Types {
		return "there can be no terminal for a decoy here"
	}
	return wantsOutside(j)
}

// signalScope is the version of Landlock that has it (landlock(7)).
const signalScope = 6

func wantsSignals(j *Judge) string {
	if why := wantsOutside(j); why != "" {
		return why
	}
	version, err := launch.LandlockABI()
	if (err != nil || version < signalScope) && !j.denies([]string{"kill", "tkill", "tgkill", "rt_sigqueueinfo", "pidfd_send_signal"}, uint64(j.targets.PID), uint64(unix.SIGUSR1)) {
		return "Landlock has no scope for signals here (Linux 6.12), and the policy permits them"
	}
	return ""
}

// wantsCall is for a call that is denied by itself.
func wantsCall(name string, args ...uint64) func(*Judge) string {
	return func(j *Judge) string {
		if !j.denies([]string{name}, args...) {
			return "the policy permits " + name
		}
		return ""
	}
}

// wantsBirth is the same for a clone with flags.
func wantsBirth(flags uint64) func(*Judge) string {
	return func(j *Judge) string {
		entry, _ := abi.Native().ByName("clone")
		if !j.plan.Set.Decide(abi.Call{Arch: abi.Native(), Nr: entry.Nr, Args: [6]uint64{flags | uint64(unix.SIGCHLD)}}).Action.Restricts() {
			return "the policy permits such a clone"
		}
		return ""
	}
}

// wantsAddress is for what a socket of a family could reach.
func wantsAddress(family uint32, kind uint32, to func(*Targets) policy.Address) func(*Judge) string {
	return func(j *Judge) string {
		b, a := j.plan.Sections(), to(j.targets)
		if a.Port == 0 && a.Path == "" {
			return "there can be no socket for a decoy here"
		}
		if b != nil && (b.Connect(a).Action.Restricts() || b.Socket(family, kind, 0).Action.Restricts()) {
			return ""
		}
		if j.denies([]string{"socket"}, uint64(family), uint64(kind)) {
			return ""
		}
		return "the policy permits to connect to the decoy"
	}
}

func tcpAddress(t *Targets) policy.Address { return loopback(t.TCP) }
func udpAddress(t *Targets) policy.Address { return loopback(t.UDP) }

func loopback(port uint16) policy.Address {
	return policy.Address{Family: unix.AF_INET, IP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Port: port}
}

func abstractAddress(t *Targets) policy.Address {
	return policy.Address{Family: unix.AF_UNIX, Path: t.Abstract, Abstract: true}
}

// wantsArea is for the memory that verdicts rest on.
func wantsArea(j *Judge) string {
	if j.plan.Holders().Pins() {
		return ""
	}
	return "no verdict of the policy's rests on the attacker's memory"
}
