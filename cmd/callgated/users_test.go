package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// as gives what curl says as another user.
func (h *host) as(uid, args string) string {
	h.t.Helper()
	cmd := exec.Command("setpriv", "--reuid="+uid, "--regid="+uid, "--clear-groups", "sh", "-c", "curl -sS --unix-socket s "+args)
	cmd.Dir = h.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestTwoUsers is for root: neither of two users sees, signals or reads the
// other's jobs, and they run as who sent them.
func TestTwoUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "two users take root to be: TestOtherUser is what an ordinary user can try")
	}
	h := running(t, "root-jobs: false\nlabels: {}\n")
	submit := func(uid string) string {
		t.Helper()
		answer := h.as(uid, `http://x/v1/jobs -d '{"argv": ["sh", "-c", "id -u; sleep 100"], "labels": {"of": "`+uid+`"}}'`)
		_, rest, _ := strings.Cut(answer, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if id == "" {
			t.Fatal(answer)
		}
		return id
	}
	one, two := submit("1001"), submit("1002")
	for range 2 { // the second time the job runs for certain
		for _, path := range []string{"", "/events", "/stdout", "/stderr", "/files", "/file?path=a"} {
			if got := h.as("1002", "'http://x/v1/jobs/"+one+path+"'"); !strings.Contains(got, `"status":404`) {
				t.Errorf("GET %s of another's job: %s", path, got)
			}
		}
		for _, call := range []string{"-X DELETE http://x/v1/jobs/" + one, "-X POST http://x/v1/jobs/" + one + "/kill",
			"-X POST http://x/v1/jobs/" + one + "/stdin", `-d '{"signal":"SIGKILL"}' http://x/v1/jobs/` + one + "/signal"} {
			if got := h.as("1002", call); !strings.Contains(got, `"status":404`) {
				t.Errorf("%s of another's job: %s", call, got)
			}
		}
		h.runs(one)
		h.runs(two)
	}
	if list := h.as("1002", "http://x/v1/jobs"); strings.Contains(list, one) || !strings.Contains(list, two) {
		t.Errorf("the second user's jobs: %s", list)
	}
	if list := h.as("1002", "'http://x/v1/jobs?user=1001&label=of'"); strings.Contains(list, one) {
		t.Errorf("asked for another's jobs: %s", list)
	}
	if got := h.as("1002", "http://x/metrics"); !strings.Contains(got, "urn:callgate:problem:forbidden") {
		t.Errorf("metrics for a user: %s", got)
	}
	for who, id := range map[string]string{"1001": one, "1002": two} {
		for h.output(id, client.StdoutEvent) == "" { // root operates
			pause()
		}
		if out := h.output(id, client.StdoutEvent); out != who+"\n" {
			t.Errorf("%s's job runs as %s", who, out)
		}
	}
	if _, err := h.Submit(t.Context(), shell("id"), ""); !errors.Is(err, client.Forbidden) {
		t.Errorf("a job as root: %v", err)
	}
	r := shell("id -u; id -G")
	r.User = "65534"
	if j := h.wait(h.submit(r).ID); h.output(j.ID, client.StdoutEvent) != "65534\n65534\n" {
		t.Errorf("a job of root's for nobody: %+v, %s", j.Result, h.output(j.ID, client.StdoutEvent))
	}
	if got := h.as("1001", `http://x/v1/jobs -d '{"argv": ["id"], "user": "1002"}'`); !strings.Contains(got, "urn:callgate:problem:forbidden") {
		t.Errorf("a job as another user: %s", got)
	}
}

// TestConfined has a job try the daemon's socket, its folder and another job's
// files, under a policy of its own that allows everything.
func TestConfined(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	open := []client.Policy{{Name: "open.yaml", Text: "callgate: 1\ndefault: allow\nsyscalls: []\n"}}
	other := &client.Request{Argv: []string{"sh", "-c", "echo secret >file; read x"}, Policies: open, Stdin: &client.Stdin{Open: true},
		Files: []client.File{{Path: "put"}}}
	victim := h.submit(other)
	h.runs(victim.ID)
	h.until("its supervisor has it", func() bool { return len(h.supervisors()) > 0 && (os.Geteuid() != 0 || h.opened() != "") })
	state := filepath.Join(h.dir, "state")
	r := &client.Request{Policies: open, Argv: []string{"sh", "-c", `
cat $0/jobs/` + victim.ID + `.1/"work"/file && echo read
ls $0 $0/jobs $0/nats $0/jobs/* && echo listed
echo x >$0/jobs/` + victim.ID + `.1/journal && echo wrote
ln $0/jobs/` + victim.ID + `.1/"work"/put here && echo linked
echo kill >$0/jobs/` + victim.ID + `.1/control && echo ordered
for p in ` + h.processes() + `; do
	for f in ` + h.opened() + ` mem root/$0/lock; do cat /proc/$p/$f 2>/dev/null | grep -q . && echo looked into $f; done
	kill -9 $p 2>/dev/null && echo killed
done
curl -s --unix-socket ` + filepath.Join(h.dir, "s") + ` http://x/v1/jobs -d '{"argv": ["true"]}'
echo; echo own >file && cat file`, state}}
	j := h.wait(h.submit(r).ID)
	want := `{"type":"urn:callgate:problem:forbidden","title":"That is not permitted","status":403,"detail":"what runs in a sandbox, or under a tracer, may not use callgated"}

own
`
	if out := h.output(j.ID, client.StdoutEvent); out != want {
		t.Errorf("%s%s", out, h.output(j.ID, client.StderrEvent))
	}
	if v, err := h.Inspect(t.Context(), victim.ID); err != nil || v.State != client.Running {
		t.Errorf("%+v, %v", v, err)
	}
}

// opened are the daemon's files that supervisors have open, as proc(5) names them; an
// ordinary user is not told.
func (h *host) opened() string {
	all := ""
	for _, pid := range h.supervisors() {
		links, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, h.dir) {
				all += " fd/" + filepath.Base(link)
			}
		}
	}
	return all
}

// processes are the numbers of the supervisors.
func (h *host) processes() string {
	all := ""
	for _, pid := range h.supervisors() {
		all += " " + strconv.Itoa(pid)
	}
	return all
}

// TestPoliciesOfJobs has inline policies try to read the host's files, to stand
// for the host's policies, and to be wider than its ceiling.
func TestPoliciesOfJobs(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	ceiling := filepath.Join(h.dir, "ceiling.yaml")
	text := "callgate: 1\ndefault: allow\nsyscalls:\n  - deny: [mkdir, mkdirat]\n    errno: EROFS\n"
	secret := filepath.Join(h.dir, "secret.yaml")
	for name, text := range map[string]string{ceiling: text, secret: text} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program, err := callgate()
	if err != nil {
		t.Fatal(err)
	}
	h.configure("supervisor: " + program + "\npolicies: {site: ceiling.yaml}\nceiling: [site]\n")
	h.start()
	all := "callgate: 1\ndefault: allow\nsyscalls: []\n"
	for name, c := range map[string]struct {
		policies []client.Policy
		want     client.ProblemName
	}{
		"extends the host's": {[]client.Policy{{Name: "p.yaml", Text: "callgate: 1\nextends: " + secret + "\nsyscalls: []\n"}}, client.BadPolicy},
		"climbs":             {[]client.Policy{{Name: "a/p.yaml", Text: "callgate: 1\nextends: ../../../../../../../../etc/passwd\nsyscalls: []\n"}}, client.BadPolicy},
		"is the ceiling":     {[]client.Policy{{Name: ceiling, Text: all}}, client.Invalid},
		"brings the ceiling": {[]client.Policy{{Name: "p.yaml", Text: all, Files: map[string]string{h.dir + "/x/../ceiling.yaml": all}}}, client.Invalid},
		"is built in":        {[]client.Policy{{Name: "builtin:guard", Text: all}}, client.Invalid},
		"is a path":          {[]client.Policy{{Name: secret}}, client.Invalid},
		"has mistakes":       {[]client.Policy{{Name: "p.yaml", Text: "callgate: 1\nsyscals: []\n"}}, client.BadPolicy},
	} {
		if _, err := h.Submit(t.Context(), &client.Request{Argv: []string{"true"}, Policies: c.policies}, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
	}
	r := &client.Request{Argv: []string{"mkdir", "made"}, Policies: []client.Policy{{Name: "p.yaml", Text: all}}}
	if j := h.wait(h.submit(r).ID); j.Result.Status != 1 || !strings.Contains(h.output(j.ID, client.StderrEvent), "Read-only") {
		t.Errorf("%+v: %s", j.Result, h.output(j.ID, client.StderrEvent))
	}
	brought := &client.Request{Argv: []string{"true"}, Policies: []client.Policy{{Name: "d/p.yaml", Text: "callgate: 1\nextends: [./q.yaml, " + ceiling + "]\n",
		Files: map[string]string{"d/q.yaml": all}}}}
	if j := h.wait(h.submit(brought).ID); j.Result.Status != 0 {
		t.Errorf("%+v: %s", j.Result, h.output(j.ID, client.StderrEvent))
	}
	h.reload(ceiling, strings.Replace(text, "EROFS", "EXDEV", 1))
	if j := h.wait(h.submit(r).ID); !strings.Contains(h.output(j.ID, client.StderrEvent), "cross-device") {
		t.Errorf("after a reload: %s", h.output(j.ID, client.StderrEvent))
	}
	h.reload(ceiling, "callgate: 1\nsyscals: []\n")
	if j := h.wait(h.submit(r).ID); !strings.Contains(h.output(j.ID, client.StderrEvent), "cross-device") {
		t.Errorf("after a reload with a mistake: %s", h.output(j.ID, client.StderrEvent))
	}
}

// reload has the daemon read its policies again.
func (h *host) reload(file, text string) {
	h.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	before := strings.Count(h.log.String(), "reloaded") + strings.Count(h.log.String(), "not read again")
	if err := h.cmd.Process.Signal(unix.SIGHUP); err != nil {
		h.t.Fatal(err)
	}
	for strings.Count(h.log.String(), "reloaded")+strings.Count(h.log.String(), "not read again") == before {
		pause()
	}
}

// TestOtherUser has a daemon that is not root's refuse what it could only run as
// itself.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	h := running(t, "submit: {users: [4711]}\n")
	if _, err := h.Submit(t.Context(), shell("true"), ""); !errors.Is(err, client.Forbidden) {
		t.Errorf("a user that may not submit: %v", err)
	}
}

// TestRequires: a job that is one host's alone, which lacks a label for it, is refused; else it waits.
func TestRequires(t *testing.T) {
	t.Parallel()
	requiring := func(value string) *client.Request {
		r := shell("exit 5")
		r.Requires = map[string]string{"gpu": value}
		return r
	}
	h := running(t, "labels: {gpu: a100}\n")
	if j := h.wait(h.submit(requiring("a100")).ID); j.Result.Status != 5 {
		t.Errorf("%+v", j.Result)
	}
	var p *client.Problem
	if _, err := h.Submit(t.Context(), requiring("h100"), ""); !errors.As(err, &p) || !errors.Is(err, client.Invalid) || p.Field != "/requires/gpu" {
		t.Errorf("a job that no host can run: %v", err)
	}
	n := newNATS(t)
	n.alone = true
	n.start(0)
	h = running(t, fmt.Sprintf("nats: [\"nats://127.0.0.1:%d\"]\n", n.ports[0]))
	if j := h.submit(requiring("h100")); j.State != client.Queued {
		t.Errorf("a job that a host may come for: %+v", j)
	}
	r := requiring("h100")
	r.Folder = h.dir
	if _, err := h.Submit(t.Context(), r, ""); !errors.Is(err, client.Invalid) {
		t.Errorf("a job whose folder is here: %v", err)
	}
}

// TestQuotas has a user's jobs be counted.
func TestQuotas(t *testing.T) {
	t.Parallel()
	h := running(t, "quota: {queued: 3, running: 1, stored: 4}\n")
	first := h.submit(shell("sleep 100")).ID
	second := h.submit(shell("sleep 100")).ID
	third := h.submit(shell("true")).ID
	if _, err := h.Submit(t.Context(), shell("true"), ""); !errors.Is(err, client.Quota) {
		t.Errorf("a job over the quota: %v", err)
	}
	h.runs(first)
	if j, err := h.Inspect(t.Context(), second); err != nil || j.State != client.Queued {
		t.Errorf("%+v, %v", j, err)
	}
	for _, id := range []string{second, first} {
		if err := h.Kill(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if j := h.wait(second); j.Result.Cause != client.ByKill || j.Result.Status != 125 || j.Attempt != 0 {
		t.Errorf("a job that was killed in the queue: %+v, %+v", j, j.Result)
	}
	h.wait(third)
	h.submit(shell("true"))
	if _, err := h.Submit(t.Context(), shell("true"), ""); !errors.Is(err, client.Quota) {
		t.Errorf("a job that there is no room to store: %v", err)
	}
	if err := h.Remove(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	h.submit(shell("true"))
}

// TestOneAtOnce: who may run one job at once runs no two, however they come.
func TestOneAtOnce(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 8\nquota: {running: 1}\n")
	var all sync.WaitGroup
	jobs := make([]*client.Job, 12)
	for i := range jobs {
		all.Go(func() {
			j, err := h.Submit(t.Context(), shell("sleep 0.02"), "")
			if err == nil {
				jobs[i], err = h.Wait(t.Context(), j.ID)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	if all.Wait(); t.Failed() {
		return
	}
	slices.SortFunc(jobs, func(a, b *client.Job) int { return a.Started.Compare(b.Started) })
	for i := range jobs[1:] {
		if jobs[i].Attempt != 1 || jobs[i+1].Started.Before(jobs[i].Ended) {
			t.Errorf("a job ran until %v, the next from %v", jobs[i].Ended, jobs[i+1].Started)
		}
	}
}

// TestHomeless is for root: a user whom the list of users does not have runs jobs
// under the default policy, and its ~ is not all of the file system.
func TestHomeless(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "to be a user whom the list does not have takes root")
	}
	h := running(t, "default: [builtin:default]\n")
	run := func(request string) (string, *client.Job) {
		answer := h.as("54321", `http://x/v1/jobs -d '`+request+`'`)
		_, rest, _ := strings.Cut(answer, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if id == "" {
			t.Fatal(answer)
		}
		j := h.wait(id)
		return h.output(id, client.StdoutEvent), j
	}
	if out, j := run(`{"argv": ["sh", "-c", "id -u; echo $HOME"]}`); j.Result.Status != 0 || out != "54321\n/nonexistent\n" {
		t.Errorf("%+v: %s", j.Result, out)
	}
	text := "callgate: 1\\nextends: builtin:base\\nfiles: [{deny: [\"~/.ssh\"]}, {read: [\"~\", /usr, /lib, /lib64, /bin]}]"
	text = strings.ReplaceAll(text, `"`, `\"`)
	if out, j := run(`{"argv": ["cat", "` + common(t, h) + `"], "policies": [{"name": "home.yaml", "text": "` + text + `"}]}`); j.Result.Status != 1 || out != "" {
		t.Errorf("~ is the file system: %+v: %s", j.Result, out)
	}
}
