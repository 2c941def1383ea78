/*
 * elf32: a true 32-bit program without a library, whose only command is to
 * make one call by int $0x80 and to print the result as tracee does:
 *
 *	elf32 NR ARG...
 *
 * An argument is a number, s:TEXT (a string's address), v:TEXT (the address of
 * an array with that one string and NULL) or w:1,2,3 (that of an array of
 * words).
 */
static int call(int nr, int a, int b, int c, int d, int e)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return result;
}

static char out[256];
static int used;
static int words[64];
static int words_used;

static void put(const char *text)
{
	while (*text && used < (int)sizeof out - 1)
		out[used++] = *text++;
}

static void put_number(unsigned n)
{
	char digits[12];
	int i = sizeof digits - 1;

	digits[i] = 0;
	do
		digits[--i] = '0' + n % 10;
	while (n /= 10);
	put(digits + i);
}

static const struct {
	int value;
	const char *name;
} errors[] = {
	{1, "EPERM"},   {2, "ENOENT"}, {9, "EBADF"},   {13, "EACCES"},
	{14, "EFAULT"}, {17, "EEXIST"}, {22, "EINVAL"}, {38, "ENOSYS"},
};

static void put_result(int r)
{
	if (r >= 0 && r == call(20, 0, 0, 0, 0, 0)) {
		put("pid");
		return;
	}
	if (r < -4095 || r >= 0x10000) {
		put("address");
		return;
	}
	if (r >= 0) {
		put_number(r);
		return;
	}
	put("-");
	for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].value == -r) {
			put(errors[i].name);
			return;
		}
	put("errno ");
	put_number(-r);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 99;
}

/* number reads up to a comma or the end, and says where it stopped. */
static int number(const char *text, const char **end)
{
	int base = 10, n = 0, negative = *text == '-';

	text += negative;
	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	while (digit(*text) < base)
		n = n * base + digit(*text++);
	*end = text;
	return negative ? -n : n;
}

static int argument(const char *text)
{
	int *array = words + words_used;
	const char *end = text + 1;

	if (text[0] == 's' && text[1] == ':')
		return (int)(text + 2);
	if (text[0] == 'v' && text[1] == ':') {
		words[words_used++] = (int)(text + 2);
		words[words_used++] = 0;
		return (int)array;
	}
	if (text[0] == 'w' && text[1] == ':') {
		for (text += 2; *text && words_used < 60; text = *end ? end + 1 : end)
			words[words_used++] = number(text, &end);
		return (int)array;
	}
	return number(text, &end);
}

__attribute__((used)) void begin(int *stack)
{
	int argc = stack[0], args[5] = {0};
	char **argv = (char **)(stack + 1);

	if (argc < 2)
		call(1, 99, 0, 0, 0, 0);
	for (int i = 2; i < argc && i < 7; i++)
		args[i - 2] = argument(argv[i]);
	int r = call(argument(argv[1]), args[0], args[1], args[2], args[3], args[4]);
	put("elf32 ");
	put(argv[1]);
	put(" = ");
	put_result(r);
	put("\n");
	call(4, 1, (int)out, used, 0, 0);
	call(1, 0, 0, 0, 0, 0);
	__builtin_trap(); /* where even exit is denied */
}

/* The kernel enters here with the stack pointer at argc (i386 psABI, 2.3.1). */
__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tpush %eax\n\tpush %eax\n\tpush %eax\n\tpush %eax\n\tcall begin\n\thlt\n");
