package metrics

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const dashboard = "../../../configs/grafana-dashboard.json"

// queries are those of the dashboard, by panel, with Grafana's variables put in.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	all := map[string][]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], variables.Replace(target.Expr))
		}
	}
	return all
}

// TestDashboard asks a real Prometheus, which has scraped a daemon's metrics, for
// all that the dashboard shows: every panel has something.
func TestDashboard(t *testing.T) {
	t.Parallel() // Prometheus takes its time to look for its targets
	daemon := httptest.NewServer(lived(t).Handler())
	defer daemon.Close()
	prometheus := startPrometheus(t, strings.TrimPrefix(daemon.URL, "http://"))
	for title, exprs := range queries(t) {
		for _, expr := range exprs {
			waitFor(t, title+": "+expr, func() bool { return len(query(t, prometheus, expr)) > 0 })
		}
	}
}

// TestDashboardNamesMetrics that there are, and leaves none of callgate's out.
func TestDashboardNamesMetrics(t *testing.T) {
	exported := map[string]bool{}
	for line := range strings.Lines(text(t, lived(t))) {
		if name, ok := strings.CutPrefix(line, "# TYPE callgate_"); ok {
			exported[strings.Fields(name)[0]] = true
		}
	}
	shown := map[string]bool{}
	for _, exprs := range queries(t) {
		for _, m := range regexp.MustCompile(`callgate_([a-z_]+)`).FindAllStringSubmatch(strings.Join(exprs, "\n"), -1) {
			shown[strings.TrimSuffix(m[1], "_bucket")] = true
		}
	}
	for name := range exported {
		if !shown[name] {
			t.Errorf("the dashboard does not show callgate_%s", name)
		}
	}
	for name := range shown {
		if !exported[name] {
			t.Errorf("the dashboard shows callgate_%s, which is not there", name)
		}
	}
}

// startPrometheus gives the address of one that scrapes the target.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 100ms}\nscrape_configs: [{job_name: callgated, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "config.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--log.format=json")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: it is in Debian's package prometheus", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var said struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "Listening on" {
			go func() {
				for lines.Scan() { // it must not wait for a reader
				}
			}()
			return said.Address
		}
	}
	t.Fatalf("prometheus does not start: %s", lines.Text())
	return ""
}

func query(t *testing.T, address, expr string) []any {
	t.Helper()
	resp, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil // not up yet
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s", expr, err, answer.Error)
	}
	return answer.Data.Result
}

func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for range 600 {
		if ready() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("nothing for %s", what)
}
