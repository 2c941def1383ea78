package abi

// Unseen says whether seccomp lets a call through before it asks any filter, on
// recent kernels (since 6.14, for uprobe 6.18; seccomp_uprobe_exception in
// kernel/seccomp.c). Only the kernel's own trampolines make these calls; to others
// they answer SIGILL.
func (s *Syscall) Unseen() bool {
	return s.Arch == X86_64 && (s.Name == "uretprobe" || s.Name == "uprobe")
}
