package main

import (
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programCases are sessions with real programs, as shell scripts that run in an
// empty folder and print only what is the same every time: dash, for one, tells
// of a background job's death only if wait is what finds it out.
var programCases = map[string]struct {
	needs  string // programs
	script string
}{
	"git": {"git", `
export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global user.name A; git config --global user.email a@example.org; git config --global init.defaultBranch main
git init -q one && cd one
for i in 1 2 3 4 5; do seq $((i*100)) >f$i; git add . && git commit -q -m "commit $i"; done
git tag v1; git checkout -q -b side; echo x >>f1; git commit -q -am side; git checkout -q main; git merge -q --no-ff -m merge side
cd .. && git clone -q one two && git clone -q --depth 2 "file://$PWD/one" three && git -C two log --stat --graph | cat
git -C two fsck --full 2>&1; git -C two gc -q; git -C two rev-parse HEAD; git -C three log --oneline
git -C two checkout nothing; echo $?`},
	"gcc": {"gcc", `
cat >a.c <<'C'
#include <stdio.h>
#include <math.h>
int twice(int n) { return 2 * n; }
int main(int argc, char **argv) { printf("%d %s %.3f\n", twice(argc), argv[1], sqrt(2.0)); return 3; }
C
gcc -O2 -Wall -o a a.c -lm && ./a word; echo $?
echo 'int main(void) { return undeclared; }' >b.c; gcc -c b.c; echo $?
gcc -S -o - a.c | md5sum; gcc -g -static -o s a.c -lm && ./s again; echo $?`},
	"make": {"make gcc", `
unset MAKELEVEL MAKEFLAGS MFLAGS # these tests can be make's
for i in $(seq 40); do echo "int f$i(void) { return $i; }" >f$i.c; done
{ echo 'int main(void) { return 0'; for i in $(seq 40); do echo " + f$i()"; done; echo ' - 820; }'; } >main.c
printf 'all: sum\nsum: main.o $(patsubst %%,f%%.o,$(shell seq 40))\n\t@gcc -w -o $@ $^\n%%.o: %%.c\n\t@gcc -w -c -o $@ $<\nbad:\n\t@exit 7\n' >Makefile
make -s -j8 && ./sum; echo $?; ls *.o | wc -l; make -j4 bad; echo $?`},
	"tar and find": {"tar find gzip", `
mkdir -p d/e/f && for i in $(seq 50); do seq $i >d/$i; seq $((i*7)) >d/e/f/$i; done; ln -s ../1 d/e/link; ln d/2 d/hard; mkfifo d/pipe
tar --sort=name --mtime=2024-01-01 --owner=0 --group=0 --numeric-owner -czf a.tgz d && mkdir out && tar -xzf a.tgz -C out && diff -r --no-dereference d out/d && echo same
gzip -dc a.tgz | md5sum; find d -type f -size +1 | sort; find d -name '1*' -exec sh -c 'wc -l <$1' _ {} \; | sort -n
find d -type l -printf '%p %l\n'; find d -mindepth 1 -delete; ls -A d; find /nonexistent; echo $?`},
	"shell": {"", `
seq 1000 | grep 7 | sort -r | head -5; echo "${PIPESTATUS:-none}"
(sleep 0.1; exit 3) & a=$!; (exit 4) & b=$!; wait $a; echo $?; wait $b; echo $?
trap 'echo caught USR1' USR1; kill -USR1 $$; trap - USR1
sh -c 'kill -KILL $$'; echo $?; sh -c 'kill -SEGV $$' 2>/dev/null; echo $?
x=$(echo sub; exit 5); echo "$x $?"; yes | head -3; cat <<X | tr a-z A-Z
here $((6*7))
X
sleep 100 & p=$!; kill $p; wait $p 2>/dev/null; echo $?; mkfifo p; (echo through >p) & read l <p; echo $l
sleep 100 & p=$!; kill -STOP $p; kill $p; kill -CONT $p 2>/dev/null; wait $p 2>/dev/null; echo $?
(trap 'echo bye' EXIT; exit 6); echo $?; ulimit -t 1; sh -c 'while :; do :; done' 2>/dev/null; echo $?
trap 'echo caught TERM; exit 9' TERM; kill -TERM $$; echo never`},
	"bash": {"bash", `exec bash -c '
set -o pipefail; false | true; echo $?; coproc cat; echo co >&${COPROC[1]}; read -u ${COPROC[0]} l; echo $l; kill $COPROC_PID; wait $COPROC_PID; echo $?
diff <(seq 3) <(seq 4); sleep 0.2; trap "echo chld" CHLD; (exit 1); wait; trap - CHLD; echo $BASHPID | grep -c "^[0-9]*$"
p=; for i in {1..20}; do (exit $i) & p="$p $!"; done; s=0; for j in $p; do wait $j; s=$((s+$?)); done; echo $s
read -t 0.1 x </dev/zero; echo $?; exec 7</dev/null; ls /proc/self/fd | wc -l; timeout 0.2 sleep 10; echo $?'`},
	"python": {"/usr/bin/python3", `exec /usr/bin/python3 -c '
import subprocess, os, signal, threading, multiprocessing, time, select, asyncio
print(subprocess.run(["sh","-c","echo out; echo err >&2; exit 4"], capture_output=True))
p = subprocess.Popen(["sleep","100"]); p.terminate(); print(p.wait())
signal.signal(signal.SIGALRM, lambda *a: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
with multiprocessing.Pool(4) as pool: print(sum(pool.map(abs, range(-500, 500))))
n = []; ts = [threading.Thread(target=lambda i=i: n.append(i)) for i in range(50)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sorted(n) == list(range(50)))
async def f():
    q = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1); o, _ = await q.communicate(b"async"); print(o, q.returncode)
asyncio.run(f()); pid = os.fork()
if pid == 0: os._exit(8)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); print(len(os.sched_getaffinity(0)) == os.cpu_count())
m, s = os.openpty(); print(os.isatty(s)); os.kill(os.getpid(), signal.SIGTERM)'`},
	"node": {"node", `exec node -e '
const { execFileSync, spawn, fork } = require("child_process"), { Worker } = require("worker_threads"), fs = require("fs");
console.log(execFileSync("echo", ["child"]).toString());
const c = spawn("sh", ["-c", "cat; exit 5"]); c.stdout.on("data", d => console.log("" + d)); c.stdin.end("fed");
c.on("exit", code => { console.log(code); let left = 4, sum = 0;
  for (let i = 0; i < 4; i++) new Worker("const{parentPort,workerData}=require(\"worker_threads\");let s=0;for(let i=0;i<1e6;i++)s+=i%workerData;parentPort.postMessage(s)", { eval: true, workerData: i + 2 })
    .on("message", m => sum += m).on("exit", () => { if (--left == 0) { console.log(sum); last(); } }); });
function last() { fs.writeFileSync("f", "text"); console.log(fs.readFileSync("f", "utf8"), fs.readdirSync(".").length);
  const k = spawn("sleep", ["100"]); k.on("exit", (code, sig) => { console.log(code, sig); process.exit(7); }); k.kill("SIGTERM"); }'`},
	"go": {"go", `
export GOFLAGS= GOTOOLCHAIN=local
mkdir m && cd m && cat >go.mod <<'G'
module example.org/m
go 1.21
G
cat >main.go <<'G'
package main
import ("fmt"; "os"; "os/exec"; "sync")
func main() { var w sync.WaitGroup; var mu sync.Mutex; n := 0
	for i := 0; i < 20; i++ { w.Add(1); go func() { defer w.Done(); out, _ := exec.Command("echo", "x").Output(); mu.Lock(); n += len(out); mu.Unlock() }() }
	w.Wait(); fmt.Println(n); defer os.Exit(3); panic("end") }
G
CGO_ENABLED=0 go build -o prog . && ./prog 2>&1 | grep -v goroutine | head -3; go vet . ; echo $?; go list ./... ; go build ./nothing; echo $?`},
}

// TestPrograms: real programs do under builtin:trace-all what they do bare.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for name, c := range programCases {
		t.Run(name, func(t *testing.T) {
			for _, program := range strings.Fields(c.needs) {
				if _, err := exec.LookPath(program); err != nil {
					lacking(t, program)
				}
			}
			sameAsBare(t, func(t *testing.T, _ string) []string { return []string{"/bin/sh", "-c", c.script} })
		})
	}
}

// TestCurl: a client of a server beside the sandbox, on loopback.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		lacking(t, "curl")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir("testdata"))}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	url := "http://" + listener.Addr().String()
	sameAsBare(t, func(t *testing.T, dir string) []string {
		return []string{curl, "-sS", "--noproxy", "*", "-w", "%{http_code}\n", url + "/tracee/main.c", url + "/nothing",
			"-o", filepath.Join(dir, "file"), "http://127.0.0.1:1/"}
	})
}
