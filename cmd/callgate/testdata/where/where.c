/*
 * where: exits 7 from a program in a folder of a world that is denied, else 0. A
 * world has it often: it is small, without a library.
 */
static long call(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

void _start(void)
{
	char exe[4096];
	long n = call(89, (long)"/proc/self/exe", (long)exe, sizeof exe); /* readlink */
	int status = n < 0 ? 2 : 0;

	for (long i = 0; i + 4 <= n; i++)
		if (exe[i] == '/' && (exe[i + 1] == 'n' || exe[i + 1] == 'r') && exe[i + 2] == 'o' && exe[i + 3] == '/')
			status = 7;
	for (;;)
		call(231, status, 0, 0); /* exit_group */
}
