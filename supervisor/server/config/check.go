package config

import (
	"errors"
	"io/fs"
	"maps"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

var (
	hostName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	prefixName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]{0,30}$`)
)

// LabelName is what a label of a host's or a job's can be called.
var LabelName = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,63}$`)

// check notes what cannot be.
func (c *Config) check(r *reader) {
	c.Host = strings.ReplaceAll(c.Host, ".", "-")
	if c.Version != 1 && r.at["callgated"] != nil {
		r.fail("callgated", beginning, "this callgated reads version 1, not %d", c.Version)
	}
	if !hostName.MatchString(c.Host) {
		r.fail("host", "", "expected up to 63 letters, digits, - and _ as the host, found %q", c.Host)
	}
	if !prefixName.MatchString(c.Prefix) {
		r.fail("prefix", "", "expected up to 31 letters, digits and _, found %q", c.Prefix)
	}
	if c.Stop != "leave" && c.Stop != "finish" && c.Stop != "kill" {
		r.fail("stop", policy.DidYouMean(c.Stop, []string{"leave", "finish", "kill"}), "unknown way to stop %q", c.Stop)
	}
	if len(c.Default) == 0 {
		r.fail("default", "builtin:default is one", "no policy for jobs that name none")
	}
	if c.DeadAfter < Duration(3*HeartbeatEvery) {
		r.fail("dead-after", "", "less than %s, three signs of life", 3*HeartbeatEvery)
	}
	if c.Request < 64<<10 {
		r.fail("request", "", "less than 64KiB")
	}
	if one := c.Limits.Output + c.Limits.Audit + c.Limits.Files; c.KeepSize > 0 && c.KeepSize < one {
		r.fail("keep-size", "", "less than one job may have: %d bytes of output, audit and files, by the limits", one)
	}
	c.checkCounts(r)
	c.checkLimits(r)
	c.checkNames(r)
	c.checkAddresses(r)
}

func (c *Config) checkCounts(r *reader) {
	count := func(path string, n, least, most int) {
		switch {
		case n >= least && n <= most:
		case most == math.MaxInt:
			r.fail(path, "", "expected %d or more, found %d", least, n)
		default:
			r.fail(path, "", "expected a number from %d to %d, found %d", least, most, n)
		}
	}
	count("slots", c.Slots, 1, 10000)
	count("spares", c.Spares, 0, 100)
	count("replicas", c.Replica, 1, 5)
	count("limits.processes", c.Limits.Processes, 0, math.MaxInt)
	count("limits.open-files", c.Limits.OpenFiles, 0, math.MaxInt)
	count("limits.inodes", c.Limits.Inodes, 0, math.MaxInt)
	quotas := map[string]Quota{"quota": c.Quota}
	for name, q := range c.Quotas {
		quotas["quotas."+name] = q
	}
	for path, q := range quotas {
		count(path+".queued", q.Queued, 0, math.MaxInt)
		count(path+".running", q.Running, 0, math.MaxInt)
		count(path+".stored", q.Stored, 0, math.MaxInt)
	}
}

// checkLimits notes limits with which no job could be started.
func (c *Config) checkLimits(r *reader) {
	for res, most := range map[policy.Resource]int64{
		policy.WallTime: int64(c.Limits.WallTime), policy.CPUTime: int64(c.Limits.CPUTime),
		policy.Memory: int64(c.Limits.Memory), policy.OpenFiles: int64(c.Limits.OpenFiles),
	} {
		if most > 0 && most < res.Least() {
			r.fail("limits."+res.String(), "write 0 for no limit", "%s is too little: the least %s is %s", res.Text(most), res, res.Text(res.Least()))
		}
	}
}

func (c *Config) checkNames(r *reader) {
	for name := range c.Labels {
		if !LabelName.MatchString(name) {
			r.fail("labels."+name, "", "expected up to 63 letters, digits and . _ / - as a label, found %q", name)
		}
	}
	for name, file := range c.Policies {
		if name == "" || strings.ContainsAny(name, "/: \n") {
			r.fail("policies."+name, "", "expected a name without / and :, found %q", name)
		}
		if !filepath.IsAbs(file) {
			r.fail("policies."+name, "", "expected the policy's file")
		}
	}
	for key, list := range map[string][]string{"default": c.Default, "ceiling": c.Ceiling} {
		for i, name := range list {
			if _, known := c.Policies[name]; !known && !strings.HasPrefix(name, "builtin:") {
				r.fail(below(key, strconv.Itoa(i)), policy.DidYouMean(name, slices.Sorted(maps.Keys(c.Policies))), "%q is neither builtin:NAME nor one of policies", name)
			}
		}
	}
}

const socketMost = 107 // bytes of a socket's name (unix(7))

func (c *Config) checkAddresses(r *reader) {
	if len(c.Socket) > socketMost {
		r.fail("socket", "", "its path has %d bytes, and a socket's has %d at most", len(c.Socket), socketMost)
	}
	if c.Metrics != "" {
		_, port, err := net.SplitHostPort(c.Metrics)
		if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
			r.fail("metrics", "write for example 127.0.0.1:9464", "expected an address and a port, found %q", c.Metrics)
		}
	}
	if c.Traces != "" && !isURL(c.Traces, "http", "https") {
		r.fail("traces", "write for example http://collector:4318", "expected a collector's URL, found %q", c.Traces)
	}
	for i, server := range c.NATS {
		if !isURL(server, "nats", "tls", "ws", "wss") {
			r.fail(below("nats", strconv.Itoa(i)), "write for example nats://10.0.0.1:4222", "expected a server's URL, found %q", server)
		}
	}
}

func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && slices.Contains(schemes, u.Scheme)
}

// checkHost notes what is not on this host as the config has it.
func (c *Config) checkHost(r *reader) {
	if c.Program != "" {
		st, err := os.Stat(c.Program)
		switch {
		case err != nil:
			r.fail("supervisor", "", "the supervisor: %s", err)
		case !st.Mode().IsRegular() || unix.Access(c.Program, unix.X_OK) != nil:
			r.fail("supervisor", "", "%s cannot be executed", c.Program)
		}
	}
	st, err := os.Stat(c.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.fail("state", "", "the daemon's folder: %s", err)
	case !st.IsDir():
		r.fail("state", "", "%s is no folder", c.State)
	}
}

// keys are those of the file, of all depths.
func keys(t reflect.Type) (all []string) {
	if t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		all = append(all, t.Field(i).Tag.Get("yaml"))
		all = append(all, keys(t.Field(i).Type)...)
	}
	return all
}

// Keys are all keys of a config.
func Keys() []string { return keys(reflect.TypeFor[Config]()) }
