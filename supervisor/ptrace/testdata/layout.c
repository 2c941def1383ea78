#include <linux/ptrace.h>
#include <stddef.h>
#include <stdio.h>

#define FIELD(f) printf("%s %zu\n", #f, offsetof(struct ptrace_syscall_info, f))
#define VALUE(v) printf("%s %lu\n", #v, (unsigned long)(v))

int main(void)
{
	FIELD(op);
	FIELD(arch);
	FIELD(instruction_pointer);
	FIELD(seccomp.nr);
	FIELD(seccomp.args);
	FIELD(seccomp.ret_data);
	printf("exit.rval %zu\n", offsetof(struct ptrace_syscall_info, exit.rval));
	VALUE(PTRACE_SYSCALL_INFO_NONE);
	VALUE(PTRACE_SYSCALL_INFO_ENTRY);
	VALUE(PTRACE_SYSCALL_INFO_EXIT);
	VALUE(PTRACE_SYSCALL_INFO_SECCOMP);
	return 0;
}
