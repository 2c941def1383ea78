/*
 * A 64-bit program that enters the kernel by int $0x80, i386's way in. Number 5
 * is open there; who reads it in the x86-64 table takes it for fstat.
 * Built with -no-pie, so that the path's address fits the 32 bits that the
 * kernel takes.
 */
#include <stdio.h>

static const char path[] = "/etc/hostname";

int main(void)
{
	long fd;

	__asm__ volatile("int $0x80"
			 : "=a"(fd)
			 : "a"(5), "b"(path), "c"(0), "d"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	printf("call 5 by int 0x80: %ld\n", fd);
	return fd < 0;
}
