// Callgated takes jobs on a unix socket and runs each in a sandbox of its own.
// See docs/daemon.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"callgate/configs"
	"callgate/configs/trees"
	"callgate/policy"
	"callgate/supervisor/client"
	"callgate/supervisor/server"
	"callgate/supervisor/server/config"

	"github.com/spf13/pflag"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

const defaultConfig = "/etc/callgated/config.yaml"

const usage = `usage: callgated [flags]

Takes jobs on a unix socket and runs each in a sandbox of its own, under its
policies and the host's. SIGTERM ends it, SIGHUP has it read its config and
policies again.

`

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "callgated: "+policy.Printable(strings.TrimSuffix(line, "\n")))
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := pflag.NewFlagSet("callgated", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.StringP("config", "c", defaultConfig, "read the config from `FILE`")
	check := flags.Bool("check", false, "read the config and its policies, say what is wrong with them, and exit")
	text := flags.Bool("text-log", false, "write the log as text, not as JSON")
	verbose := flags.BoolP("verbose", "v", false, "log details too")
	showVersion := flags.Bool("version", false, "print the version")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		_, err := io.WriteString(stdout, usage+flags.FlagUsages())
		return err
	case err != nil:
		return fmt.Errorf("%w; see callgated --help", err)
	case flags.NArg() > 0:
		return fmt.Errorf("callgated takes no arguments, and got %q", flags.Arg(0))
	case *showVersion:
		_, err := fmt.Fprintln(stdout, "callgated "+version())
		return err
	}
	cfg, strangers, err := config.Load(*file)
	switch {
	case *check:
		return errors.Join(err, checked(cfg, strangers))
	case err != nil:
		return err
	}
	log := logger(stderr, *text, *verbose)
	warn(log, strangers)
	d := &daemon{file: *file, cfg: cfg, log: log, systemd: newSystemd(log)}
	return d.run()
}

// checked is what else is wrong with a config, which is nil where it has mistakes.
func checked(cfg *config.Config, strangers []policy.Warning) error {
	var all []error
	for _, w := range strangers {
		all = append(all, errors.New(w.String()))
	}
	if cfg != nil {
		_, missing := supervisorProgram(cfg.Program)
		_, err := cfg.LoadPolicies(policies())
		all = append(all, missing, err)
	}
	return errors.Join(all...)
}

// warn tells of users and groups that the config names and this host does not know.
func warn(log *slog.Logger, strangers []policy.Warning) {
	for _, w := range strangers {
		log.Warn("the config names somebody unknown", "err", w.String())
	}
}

func policies() policy.Loader { return policy.Loader{Builtin: configs.Builtin, Trees: trees.Files} }

func logger(w io.Writer, text, verbose bool) *slog.Logger {
	opt := &slog.HandlerOptions{}
	if verbose {
		opt.Level = slog.LevelDebug
	}
	if text {
		return slog.New(slog.NewTextHandler(w, opt))
	}
	return slog.New(slog.NewJSONHandler(w, opt))
}

// daemon is the process: its socket, its signals and its server.
type daemon struct {
	file string
	cfg  *config.Config
	made string // the socket's file, "" where systemd passed it
	log  *slog.Logger
	*systemd
}

func (d *daemon) run() error {
	unix.Umask(0o077) // what is for others is told so
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	program, err := supervisorProgram(d.cfg.Program)
	if err != nil {
		return err
	}
	l, err := d.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := heed(signals, cancel)
	s, err := server.New(ctx, server.Options{
		Config: d.cfg, Loader: policies(), Program: program, Log: d.log,
		Version: client.Version{Version: client.Release, Commit: commit},
	})
	started()
	switch {
	case err != nil && ctx.Err() != nil:
		d.log.Info("stopped before it took jobs")
		return nil
	case err != nil:
		return err
	}
	defer s.Close()
	if err := d.operate(s); err != nil {
		return err
	}
	srv, ended := s.Serve(ctx, l)
	d.log.Info("ready", "socket", l.Addr().String(), "host", d.cfg.Host, "slots", d.cfg.Slots, "supervisor", program)
	d.tell("takes jobs", "READY=1")
	go d.watch(s.Alive)
	for {
		select {
		case err := <-ended:
			return err
		case sig := <-signals:
			if sig == unix.SIGHUP {
				d.reload(s)
				continue
			}
			d.stop(s, srv, cancel, signals)
			return nil
		}
	}
}

// heed breaks the start off when a signal says that the daemon is to end. All signals that
// came until started are there again then.
func heed(signals chan os.Signal, cancel context.CancelFunc) (started func()) {
	var came []os.Signal
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case sig := <-signals:
				came = append(came, sig)
				if sig != unix.SIGHUP {
					cancel()
					return
				}
			case <-over:
				return
			}
		}
	}()
	return func() {
		close(over)
		<-done
		for _, sig := range came {
			select {
			case signals <- sig:
			default: // there are enough
			}
		}
	}
}

// metricsMost is how many connections there may be of who asks for metrics, and are
// anyone.
const metricsMost = 32

// operate serves what Prometheus and the like ask for, which know of no unix
// sockets, at the config's address.
func (d *daemon) operate(s *server.Server) error {
	if d.cfg.Metrics == "" {
		return nil
	}
	l, err := net.Listen("tcp", d.cfg.Metrics)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	l = netutil.LimitListener(l, metricsMost)
	d.log.Info("metrics", "address", l.Addr().String())
	srv := &http.Server{Handler: s.Operate(), ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	go func() { d.log.Warn("metrics are not served any more", "err", srv.Serve(l)) }()
	return nil
}

// reload takes over a new config, or keeps the old one where it has mistakes.
func (d *daemon) reload(s *server.Server) {
	d.tell("", reloading())
	cfg, strangers, err := config.Load(d.file)
	var waits []string
	if err == nil {
		waits, err = s.Reload(cfg)
	}
	if err != nil {
		d.log.Error("the config was not read again; what was stands", "err", err)
		d.tell("takes jobs, by the config before: "+err.Error(), "READY=1")
		return
	}
	if d.made == "" && cfg.Mode != d.cfg.Mode {
		waits = append(waits, "socket-mode")
	}
	if err := d.open(cfg.Mode); err != nil {
		d.log.Error("open the socket to others, or close it", "err", err)
	}
	d.cfg = cfg
	d.log.Info("reloaded")
	warn(d.log, strangers)
	status := "takes jobs"
	if len(waits) > 0 {
		d.log.Warn("changed keys wait for a restart", "keys", strings.Join(waits, ", "))
		status += "; wait for a restart: " + strings.Join(waits, ", ")
	}
	d.tell(status, "READY=1")
}

// open opens the socket's file to others as far as mode says, where it is the daemon's own.
func (d *daemon) open(mode config.Mode) error {
	if d.made == "" {
		return nil
	}
	return os.Chmod(d.made, os.FileMode(mode))
}

// stop ends the daemon; a second signal has it not wait for jobs.
func (d *daemon) stop(s *server.Server, srv *http.Server, cancel context.CancelFunc, signals <-chan os.Signal) {
	d.tell("stops; running jobs: "+d.cfg.Stop, "STOPPING=1")
	d.log.Info("stopping", "stop", d.cfg.Stop)
	wait, hurry := context.WithCancel(context.Background())
	go func() {
		<-signals
		hurry()
	}()
	s.Stop(wait)
	cancel() // long answers end
	end, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	if err := srv.Shutdown(end); err != nil {
		_ = srv.Close()
	}
	d.log.Info("stopped")
}

// supervisorProgram finds the callgate that supervises jobs.
func supervisorProgram(named string) (string, error) {
	if named != "" {
		return named, nil // the config was found to be right
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), "callgate")
	if unix.Access(beside, unix.X_OK) == nil {
		return beside, nil
	}
	found, err := exec.LookPath("callgate")
	if err != nil {
		return "", errors.New("there is no callgate beside callgated nor in PATH; name it in the config: supervisor: /usr/local/bin/callgate")
	}
	return filepath.Abs(found)
}

// makeFolder makes the socket's folder, where it is not there, one that everyone
// may enter, whatever the umask.
func makeFolder(dir string) error {
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Chmod(dir, 0o755)
}

// listened says whether somebody may be listening on a socket, such as one who has
// too many waiting to take another (unix(7), EAGAIN).
func listened(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		_ = conn.Close()
	}
	return !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist)
}

// listen takes the socket that systemd passes, or makes one.
func (d *daemon) listen() (*net.UnixListener, error) {
	l, err := passed()
	if l != nil || err != nil {
		return l, err
	}
	if err := makeFolder(filepath.Dir(d.cfg.Socket)); err != nil {
		return nil, err
	}
	if !server.Patiently(func() bool { return !listened(d.cfg.Socket) }) {
		return nil, fmt.Errorf("%s: another callgated listens there", d.cfg.Socket)
	}
	if st, err := os.Lstat(d.cfg.Socket); err == nil && st.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(d.cfg.Socket); err != nil { // of a daemon that was killed
			return nil, err
		}
	}
	l, err = net.ListenUnix("unix", &net.UnixAddr{Name: d.cfg.Socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	d.made = d.cfg.Socket
	return l, d.open(d.cfg.Mode)
}
