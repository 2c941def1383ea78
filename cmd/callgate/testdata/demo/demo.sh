#!/bin/sh
# demo.sh CALLGATE: the main job on real programs, with shipped policies.
set -eu

callgate=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
exec 2>&1 # in the order of what happens

title() { printf '\n== %s\n' "$1"; }

# show COMMAND: prints it as a person would type it, runs it, tells its status.
show() {
	printf '$ %s\n' "$1"
	status=0
	PATH="$(dirname "$callgate"):$PATH" sh -c "$1" || status=$?
	[ "$status" = 0 ] || printf '(exit status %d)\n' "$status"
}

# expect STATUS: the demo fails where callgate does not do what it shows.
expect() {
	[ "$status" = "$1" ] || {
		echo "demo: expected exit status $1" >&2
		exit 1
	}
}

printf 'pear\napple\nfig\n' >fruit
cat >hello.c <<'C'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
C

title "Allowed: a filter reads standard input and writes standard output"
show 'callgate run -p builtin:compute -- sort <fruit'
expect 0

title "Allowed: a compiler, under a policy for builds"
show 'callgate run -p builtin:build -- gcc -o hello hello.c && ./hello'
expect 0

title "Denied: the same policy has no network"
show 'callgate run -p builtin:build --audit audit.ndjson -- git ls-remote git://127.0.0.1/secrets'
[ "$status" != 0 ] || expect "a failure"

title "What was reported of it"
show 'grep socket audit.ndjson | head -1'
grep -q '"verdict":"deny"' audit.ndjson

gcc -O -no-pie -o int80 "$here/int80.c"
title "A 64-bit program makes an i386 call by int 0x80: number 5 is open there, fstat here"
show './int80'
show 'callgate run --audit int80.ndjson -- ./int80'
[ "$status" != 0 ] || expect "a failure"
show 'grep int80 int80.ndjson | grep -m 1 call'
grep -q '"entry":"int80".*"syscall":"open"' int80.ndjson
