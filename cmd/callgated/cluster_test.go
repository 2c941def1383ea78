package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"

	"github.com/nats-io/nats-server/v2/server"
)

// The test binary stands in for nats-server too: it is the same library.
const natsStandIn = "CALLGATED_NATS_STAND_IN"

// serveNATS is one server of a cluster, until it is killed.
func serveNATS(config string) {
	opts, err := server.ProcessConfigFile(config)
	if err == nil {
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.Start()
			s.WaitForShutdown()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// nats is a cluster of real servers, each a process.
type nats struct {
	t     *testing.T
	dir   string
	cmds  [3]*exec.Cmd
	ports [6]int
	alone bool // one server, which is no cluster's
}

func newNATS(t *testing.T) *nats {
	t.Helper()
	n := &nats{t: t, dir: t.TempDir()}
	for i := range n.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	t.Cleanup(func() {
		for i := range n.cmds {
			n.kill(i)
		}
	})
	return n
}

func (n *nats) start(i int) {
	n.t.Helper()
	routes := ""
	for _, port := range n.ports[3:] {
		routes += fmt.Sprintf("nats://127.0.0.1:%d, ", port)
	}
	file := filepath.Join(n.dir, strconv.Itoa(i)+".conf")
	text := fmt.Sprintf("server_name: n%d\nlisten: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always }\n", i, n.ports[i], filepath.Join(n.dir, strconv.Itoa(i)))
	if !n.alone {
		text += fmt.Sprintf("cluster { name: c, listen: 127.0.0.1:%d, routes: [%s] }\n", n.ports[3+i], strings.TrimSuffix(routes, ", "))
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), natsStandIn+"="+file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmds[i] = cmd
}

func (n *nats) kill(i int) {
	if n.cmds[i] != nil {
		_ = n.cmds[i].Process.Kill()
		_ = n.cmds[i].Wait()
		n.cmds[i] = nil
	}
}

func (n *nats) config(name string) string {
	urls := ""
	for _, port := range n.ports[:3] {
		urls += fmt.Sprintf("nats://127.0.0.1:%d, ", port)
	}
	return fmt.Sprintf("nats: [%s]\nreplicas: 3\nhost: %s\nlabels: {is: %s}\ndead-after: 8s\nslots: 6\n", strings.TrimSuffix(urls, ", "), name, name)
}

// TestCluster has three daemons share three NATS servers. One is killed with its
// jobs: they are reported lost, or run again as they ask; the servers are
// killed one by one, and nothing is lost.
func TestCluster(t *testing.T) {
	t.Parallel()
	n := newNATS(t)
	for i := range 3 {
		n.start(i)
	}
	var hosts [3]*host
	for i := range hosts {
		hosts[i] = newHost(t, n.config("h"+strconv.Itoa(i)))
		hosts[i].start()
	}
	on := func(name string, r *client.Request) *client.Request {
		r.Requires = map[string]string{"is": name}
		return r
	}
	// Labels say where; output, events and files are read from any.
	r := on("h1", shell("echo from h1 | tee kept; exit 3"))
	r.Collect = []string{"kept"}
	id := hosts[0].submit(r).ID
	if j := hosts[2].wait(id); j.Host != "h1" || j.Result.Status != 3 {
		t.Errorf("%+v, %+v", j, j.Result)
	}
	for _, h := range hosts {
		if out := h.output(id, client.StdoutEvent); out != "from h1\n" {
			t.Errorf("the output, from %s: %q", h.dir, out)
		}
		if files, err := h.Files(t.Context(), id); err != nil || len(files.Files) != 1 || files.Files[0].SizeBytes != 8 {
			t.Errorf("%+v, %v", files, err)
		}
	}

	ran := common(t, hosts[0])
	long := fmt.Sprintf("echo once >>%s; echo said; sleep 1000", ran)
	lost := hosts[0].submit(on("h2", openShell(long))).ID
	again := openShell("test -e " + ran + ".2 && exit 7; echo first; touch " + ran + ".2; sleep 1000")
	again.Retries = 1
	retried := hosts[0].submit(on("h2", again)).ID
	if err := os.Chmod(hosts[0].dir, 0o777); err != nil {
		t.Fatal(err)
	}
	goesOn := hosts[2].submit(on("h1", shell("sleep 10; echo whole"))).ID
	hosts[0].runs(lost)
	for there := false; !there; pause() {
		_, err := os.Stat(ran + ".2")
		there = err == nil
	}
	for hosts[1].output(lost, client.StdoutEvent) == "" || hosts[1].output(retried, client.StdoutEvent) == "" { // what they say is to be shared by then
		pause()
	}
	hosts[2].kill() // first: a daemon that sees its supervisors die queues the jobs again itself
	hosts[2].killRuns()
	if j := hosts[0].wait(lost); j.Result.Cause != client.ByLoss || j.Attempt != 1 {
		t.Errorf("a job whose host died: %+v, %+v", j, j.Result)
	}
	if out := hosts[1].output(lost, client.StdoutEvent); out != "said\n" {
		t.Errorf("what it had said: %q", out)
	}
	if j := hosts[1].wait(goesOn); j.Result.Status != 0 || hosts[0].output(goesOn, client.StdoutEvent) != "whole\n" {
		t.Errorf("a job of another host: %+v", j.Result)
	}
	hosts[2].start() // what asked for its labels goes on there
	if j := hosts[0].wait(retried); j.Result.Status != 7 || j.Attempt != 2 {
		t.Errorf("a job that may be run again: %+v, %+v", j, j.Result)
	}
	said := ""
	for e, err := range hosts[1].Events(t.Context(), retried, client.EventQuery{Earlier: true}) {
		if err != nil {
			t.Fatal(err)
		}
		said += fmt.Sprint(e.Attempt, strings.TrimSpace(e.Text), " ")
	}
	if !strings.Contains(said, "1first ") {
		t.Errorf("what it said before its host died: %q", said)
	}

	// NATS restarts.
	var ids []string
	restarts := number(t, "CALLGATED_NATS_RESTARTS", 1) // 4: one by one, then all
	for i := range min(restarts, 3) {
		n.kill(i)
		for range 4 {
			ids = append(ids, insist(t, hosts[len(ids)%3], counted(ran, len(ids)), strconv.Itoa(len(ids))))
		}
		n.start(i)
		time.Sleep(time.Second)
	}
	for i := range 3 * (restarts / 4) {
		n.kill(i)
	}
	for i := range 3 * (restarts / 4) {
		n.start(i)
	}
	for range 4 {
		ids = append(ids, insist(t, hosts[len(ids)%3], counted(ran, len(ids)), strconv.Itoa(len(ids))))
	}
	for i, id := range ids {
		if j := hosts[0].wait(id); j.Result.Cause != client.ByExit || j.Result.Status != i%50 || j.Attempt != 1 {
			t.Errorf("job %d: %+v, %+v", i, j, j.Result)
		}
	}
}

func openShell(script string) *client.Request {
	r := shell(script)
	r.Policies = []client.Policy{{Name: "all.yaml", Text: "callgate: 1\ndefault: allow\nsyscalls: []\n"}}
	return r
}
