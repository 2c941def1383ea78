package abi

// Births says whether a call makes a new task: a process or a thread.
func (s *Syscall) Births() bool {
	switch s.Name {
	case "fork", "vfork", "clone", "clone3":
		return true
	}
	return false
}
