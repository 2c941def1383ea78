/*
 * Addresses: a thread changes where a call goes to while it is decided. Who
 * listens there counts what arrives.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in good, bad, flipped;
static struct sockaddr_un good_file, bad_file, flipped_file;
static struct msghdr header;
static struct mmsghdr batch[2];
static struct iovec text = { "x", 1 };

static void loopback(struct sockaddr_in *a, long port)
{
	a->sin_family = AF_INET;
	a->sin_port = htons(port);
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void *flip_all(void *unused)
{
	volatile in_port_t *port = &flipped.sin_port;
	void *volatile *name = &header.msg_name, *volatile *first = &batch[0].msg_hdr.msg_name;
	volatile char *letter = &flipped_file.sun_path[0];

	(void)unused;
	for (;;) {
		*port = bad.sin_port;
		*name = *first = &bad;
		*letter = bad_file.sun_path[0];
		*port = good.sin_port;
		*name = *first = &good;
		*letter = good_file.sun_path[0];
	}
	return NULL;
}

/* added: a header that has no address, until the thread puts one in. */
static struct msghdr added;

static void *flip_added(void *unused)
{
	void *volatile *name = &added.msg_name;
	volatile socklen_t *size = &added.msg_namelen;

	(void)unused;
	for (;;) {
		*name = &bad;
		*size = sizeof bad;
		*size = 0;
		*name = NULL;
	}
	return NULL;
}

/* net-race-added TRIES GOOD BAD: on a socket that is connected to GOOD. */
static int run_added(int argc, char **argv)
{
	pthread_t thread;
	long done = 0, refused = 0;

	if (argc < 3)
		return 99;
	loopback(&good, number(argv[1]));
	loopback(&bad, number(argv[2]));
	added = (struct msghdr){ .msg_iov = &text, .msg_iovlen = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&good, sizeof good))
		die("connect: %s", strerror(errno));
	if (pthread_create(&thread, NULL, flip_added, NULL))
		die("pthread_create");
	for (long i = number(argv[0]); i > 0; i--) {
		if (sendmsg(fd, &added, 0) >= 0)
			done++;
		else if (errno == EACCES)
			refused++;
	}
	say("done %ld refused %ld", done, refused);
	return 0;
}

static int bound = -1, unbound = -1;
static const int swapped = 100;

static void *flip_descriptor(void *unused)
{
	(void)unused;
	for (;;) {
		dup2(bound, swapped);
		dup2(unbound, swapped);
	}
	return NULL;
}

static int listens(int fd)
{
	int is = 0;
	socklen_t size = sizeof is;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &size) == 0 && is;
}

/* net-race-listen TRIES PORT: a descriptor is now a socket bound to PORT, now one bound to nothing. */
static int run_race_listen(int argc, char **argv)
{
	pthread_t thread;
	long done = 0, refused = 0, wrong = 0;

	if (argc < 2)
		return 99;
	loopback(&good, number(argv[1]));
	bound = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(bound, (struct sockaddr *)&good, sizeof good))
		die("bind: %s", strerror(errno));
	unbound = socket(AF_INET, SOCK_STREAM, 0);
	dup2(bound, swapped);
	if (pthread_create(&thread, NULL, flip_descriptor, NULL))
		die("pthread_create");
	for (long i = number(argv[0]); i > 0; i--) {
		if (listen(swapped, 1) == 0)
			done++;
		else if (errno == EACCES)
			refused++;
		wrong += listens(unbound);
		if (listens(unbound))
			break;
	}
	say("done %ld refused %ld wrong %ld", done, refused, wrong);
	return 0;
}

static int udp(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM, 0);
	return fd;
}

static long once(const char *kind)
{
	long got = -1;

	if (!strcmp(kind, "sendto"))
		return sendto(udp(), "x", 1, 0, (struct sockaddr *)&flipped, sizeof flipped);
	if (!strcmp(kind, "sendmsg"))
		return sendmsg(udp(), &header, 0);
	if (!strcmp(kind, "sendmmsg"))
		return sendmmsg(udp(), batch, 1, 0);
	int family = !strcmp(kind, "unix") ? AF_UNIX : AF_INET;
	int fd = socket(family, !strcmp(kind, "udp") || family == AF_UNIX ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (family == AF_UNIX) {
		got = sendto(fd, "x", 1, 0, (struct sockaddr *)&flipped_file, sizeof flipped_file);
	} else if (!strcmp(kind, "bind")) {
		struct sockaddr_in is = { 0 };
		socklen_t size = sizeof is;
		got = bind(fd, (struct sockaddr *)&flipped, sizeof flipped);
		if (got == 0 && getsockname(fd, (struct sockaddr *)&is, &size) == 0 && is.sin_port == bad.sin_port)
			say("bound to the denied port");
	} else {
		got = connect(fd, (struct sockaddr *)&flipped, sizeof flipped);
		if (got == 0 && !strcmp(kind, "udp"))
			got = send(fd, "x", 1, 0);
	}
	int err = errno;
	close(fd);
	errno = err;
	return got;
}

/*
 * net-race KIND TRIES GOOD BAD: ports of loopback, or for unix names of sockets
 * that differ in their first letter.
 */
static int run_race(int argc, char **argv)
{
	pthread_t thread;
	long done = 0, refused = 0;

	if (argc < 4)
		return 99;
	if (!strcmp(argv[0], "unix")) {
		good_file.sun_family = bad_file.sun_family = AF_UNIX;
		strncpy(good_file.sun_path, argv[2], sizeof good_file.sun_path - 1);
		strncpy(bad_file.sun_path, argv[3], sizeof bad_file.sun_path - 1);
	} else {
		loopback(&good, number(argv[2]));
		loopback(&bad, number(argv[3]));
	}
	flipped = good;
	flipped_file = good_file;
	header = (struct msghdr){ &good, sizeof good, &text, 1, NULL, 0, 0 };
	batch[0].msg_hdr = header;
	if (pthread_create(&thread, NULL, flip_all, NULL))
		die("pthread_create");
	for (long i = number(argv[1]); i > 0; i--) {
		if (once(argv[0]) >= 0)
			done++;
		else if (errno == EACCES)
			refused++;
	}
	say("done %ld refused %ld", done, refused);
	return 0;
}

/* net-many PORT: sendmmsg of three messages, again from where it came to. */
static int run_many(int argc, char **argv)
{
	struct iovec parts[3] = { { "a", 1 }, { "bb", 2 }, { "ccc", 3 } };
	struct mmsghdr all[3] = { 0 };

	if (argc < 1)
		return 99;
	loopback(&good, number(argv[0]));
	for (int i = 0; i < 3; i++)
		all[i].msg_hdr = (struct msghdr){ &good, sizeof good, &parts[i], 1, NULL, 0, 0 };
	for (int sent = 0; sent < 3;) {
		int n = sendmmsg(udp(), all + sent, 3 - sent, 0);
		if (n <= 0) {
			say("sendmmsg: %s", strerrorname_np(errno));
			return 1;
		}
		sent += n;
	}
	say("lengths %u %u %u", all[0].msg_len, all[1].msg_len, all[2].msg_len);
	return 0;
}

/* net-int80 PORT: i386's connect, by itself and through socketcall. */
static int run_int80(int argc, char **argv)
{
	struct sockaddr_in *to = low_memory(4096);
	uint32_t *block = (uint32_t *)(to + 4);

	if (argc < 1)
		return 99;
	loopback(to, number(argv[0]));
	uint32_t args[6] = { udp(), (uint32_t)(uintptr_t)to, sizeof *to };
	say("connect %s", show(raw_int80(362, args)));
	memcpy(block, args, 3 * sizeof *block);
	uint32_t carried[6] = { 3 /* SYS_CONNECT */, (uint32_t)(uintptr_t)block };
	say("socketcall %s", show(raw_int80(102, carried)));
	return 0;
}

const struct command net_commands[] = {
	{ "net-race", "connect|udp|bind|sendto|sendmsg|sendmmsg|unix TRIES GOOD BAD", run_race },
	{ "net-many", "PORT", run_many },
	{ "net-int80", "PORT", run_int80 },
	{ "net-race-added", "TRIES GOOD BAD", run_added },
	{ "net-race-listen", "TRIES PORT", run_race_listen },
	{ NULL, NULL, NULL },
};
