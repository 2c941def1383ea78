/* keys ?NAME looks for a key of that name where the process may, and says "has" or
 * "lacks" NAME; +NAME puts one into the session keyring, and "full" says that the user
 * has as many keys as it may. */
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i] + 1;
		char text[64];
		if (argv[i][0] == '+') {
			if (syscall(SYS_add_key, "user", name, "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0)
				puts(errno == EDQUOT ? "full" : strerror(errno));
			continue;
		}
		long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0);
		if (key < 0 && errno != ENOKEY)
			puts(strerror(errno));
		else if (key > 0 && syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text) == 6)
			printf("has %s\n", name);
		else
			printf("lacks %s\n", name);
	}
	return 0;
}
