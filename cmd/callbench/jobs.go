package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"callgate/supervisor/client"
)

// Jobs of `true`, sent to a daemon one after the other by each client and waited for.

const (
	jobTimes = 60 // jobs in a round
	jobMost  = 10 * time.Second
	// jobUntold is how many of a daemon's jobs are not measured at first, of each client.
	jobUntold = 4
)

// jobs is the time of a job. go-judge forgets a job with its answer; callgated has
// stored it before it answers, and its end too.
func jobs(t *tools, clients int) comparison {
	const judge = "go-judge"
	named := func(policy string) func() (float64, error) {
		return t.sends(clients, func() (func() error, error) { return t.toCallgated(policy) })
	}
	c := comparison{
		name:  "jobs",
		title: "a job of /bin/true, from its submission to its end, by one client",
		unit:  "ms",
		subjects: []subject{
			{judge, t.sends(clients, t.toJudge)},
			{"callgated, builtin:default", named("builtin:default")},
			{"callgated, builtin:compute", named("builtin:compute")},
			{"callgated, bubblewrap's rules", named("jail.yaml")},
		},
		goals: []goal{{"callgated, builtin:default", judge, 1}, {"callgated, builtin:compute", judge, 1}},
	}
	if clients > 1 {
		c.name += "-" + strconv.Itoa(clients)
		c.title = fmt.Sprintf("the same, by %d clients at once: the time of all by their number", clients)
	}
	return c
}

// sends gives a measure: the time of a round of jobs by their number, in ms. job
// makes what does one of them.
func (t *tools) sends(clients int, job func() (func() error, error)) func() (float64, error) {
	warm := false
	return func() (float64, error) {
		do, err := job()
		if err != nil {
			return 0, err
		}
		if !warm {
			if err := atOnce(clients, jobUntold*clients, do); err != nil {
				return 0, err
			}
			warm = true
		}
		begun := time.Now()
		err = atOnce(clients, jobTimes, do)
		return time.Since(begun).Seconds() * 1000 / jobTimes, err
	}
}

// atOnce does something so many times, by so many at once. The error is the first.
func atOnce(clients, times int, do func() error) error {
	var all sync.WaitGroup
	turns, errs := make(chan struct{}, times), make(chan error, clients)
	for range times {
		turns <- struct{}{}
	}
	close(turns)
	for range clients {
		all.Go(func() {
			for range turns {
				if err := do(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// toCallgated gives what does a job by the daemon's API, as a Go program would:
// submit it, wait for its end.
func (t *tools) toCallgated(policy string) (func() error, error) {
	d, err := t.callgated()
	if err != nil {
		return nil, err
	}
	c := client.New(d.address)
	named := client.Policy{Name: policy}
	if filepath.Ext(policy) != "" {
		text, err := os.ReadFile(t.file(policy))
		if err != nil {
			return nil, err
		}
		named.Text = string(text)
	}
	req := &client.Request{Argv: []string{"/bin/true"}, Policies: []client.Policy{named}}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), jobMost)
		defer cancel()
		job, err := c.Submit(ctx, req, "")
		if err == nil {
			job, err = c.Wait(ctx, job.ID)
		}
		if err == nil && (job.Result.Cause != client.ByExit || job.Result.Status != 0) {
			err = fmt.Errorf("the job ended with %+v", *job.Result)
		}
		return err
	}, nil
}

// toJudge gives what does a job by go-judge's REST API: one request, which is
// answered when the job has ended. Its limits are about those of callgated's config.
func (t *tools) toJudge() (func() error, error) {
	d, err := t.goJudge()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"cmd": []any{map[string]any{
		"args": []string{"/bin/true"}, "env": []string{"PATH=/usr/bin:/bin"},
		"files":    []any{map[string]any{"content": ""}, map[string]any{"name": "stdout", "max": 1 << 20}, map[string]any{"name": "stderr", "max": 1 << 20}},
		"cpuLimit": time.Hour, "clockLimit": time.Hour, "memoryLimit": 2 << 30, "procLimit": 512,
	}}})
	if err != nil {
		return nil, err
	}
	return func() error { return judged(d.web, "http://"+d.address+"/run", body) }, nil
}

func judged(web *http.Client, url string, body []byte) error {
	resp, err := web.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var results []struct{ Status string }
	if err := json.Unmarshal(text, &results); err != nil || len(results) != 1 || results[0].Status != "Accepted" {
		return fmt.Errorf("go-judge answered %d: %s", resp.StatusCode, text)
	}
	return nil
}
