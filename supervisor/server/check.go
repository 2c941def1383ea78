package server

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/strict"
	"callgate/supervisor/server/work"
)

// check finds the first thing in a request that cannot be.
func check(req *client.Request) error {
	if len(req.Argv) == 0 || req.Argv[0] == "" {
		return invalid("/argv", "a command is missing")
	}
	if err := checkWeight(req); err != nil {
		return err
	}
	for i, arg := range req.Argv {
		if strings.ContainsRune(arg, 0) {
			return invalid(fmt.Sprintf("/argv/%d", i), "has a NUL in it")
		}
	}
	for name, value := range req.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return invalid("/env/"+strict.Pointer(name), "cannot be a variable")
		}
	}
	if req.Retries < 0 || req.Retries > 100 {
		return invalid("/retries", "from 0 to 100")
	}
	if err := checkLabels(req); err != nil {
		return err
	}
	if err := checkLimits(req.Limits); err != nil {
		return err
	}
	return checkFiles(req)
}

// What a request may bring at most, so that its record stays small: execve(2) takes
// no more than that of a string, and by default about as much in all.
const (
	stringMost  = 128 << 10 // bytes of an argument or a variable
	commandMost = 1 << 20   // of all of them together, with 8 for each
	labelsMost  = 32        // of each kind
	labelMost   = 256       // bytes of a label's value
	nameMost    = 4096      // bytes of a path, a pattern or a policy's name
	listMost    = 100       // policies, and patterns to collect
)

// checkWeight bounds what of a request goes into the job's record.
func checkWeight(req *client.Request) error {
	total := 0
	weigh := func(field, text string) error {
		total += len(text) + 8
		if len(text) > stringMost || total > commandMost {
			return invalid(field, fmt.Sprintf("up to %d bytes a string, and %d for the arguments and the environment", stringMost, commandMost))
		}
		return nil
	}
	for i, arg := range req.Argv {
		if err := weigh(fmt.Sprintf("/argv/%d", i), arg); err != nil {
			return err
		}
	}
	for name, value := range req.Env {
		if err := weigh("/env", name+"="+value); err != nil {
			return err
		}
	}
	if len(req.Policies) > listMost {
		return invalid("/policies", fmt.Sprintf("up to %d", listMost))
	}
	for i, p := range req.Policies {
		if len(p.Name) > nameMost {
			return invalid(fmt.Sprintf("/policies/%d/name", i), fmt.Sprintf("up to %d bytes", nameMost))
		}
	}
	return nil
}

func checkLabels(req *client.Request) error {
	for field, labels := range map[string]map[string]string{"/labels/": req.Labels, "/requires/": req.Requires} {
		if len(labels) > labelsMost {
			return invalid(strings.TrimSuffix(field, "/"), fmt.Sprintf("up to %d labels", labelsMost))
		}
		for name, value := range labels {
			if !config.LabelName.MatchString(name) || len(value) > labelMost {
				return invalid(field+strict.Pointer(name), fmt.Sprintf("a name of up to 63 letters, digits and . _ / -, and a value of up to %d bytes", labelMost))
			}
		}
	}
	return nil
}

func checkFiles(req *client.Request) error {
	switch {
	case req.Folder != "" && (!filepath.IsAbs(req.Folder) || strings.ContainsRune(req.Folder, 0) || len(req.Folder) > nameMost):
		return invalid("/folder", "an absolute path")
	case req.Copy && req.Folder == "":
		return invalid("/copy", "there is no folder to copy")
	case len(req.Files) > 0 && req.Folder != "" && !req.Copy:
		return invalid("/files", "files go into a folder of the job's own, or into a copy")
	}
	seen := map[string]bool{}
	for i, f := range req.Files {
		field := fmt.Sprintf("/files/%d", i)
		if err := work.CheckName(f.Path); err != nil {
			return invalid(field+"/path", err.Error())
		}
		if seen[path.Clean(f.Path)] {
			return invalid(field+"/path", "is there twice")
		}
		seen[path.Clean(f.Path)] = true
		if err := checkContent(field, &f.Content); err != nil {
			return err
		}
	}
	for i, p := range req.Collect {
		if len(p) > nameMost {
			return invalid(fmt.Sprintf("/collect/%d", i), fmt.Sprintf("up to %d bytes", nameMost))
		}
		if err := work.CheckPattern(p); err != nil {
			return invalid(fmt.Sprintf("/collect/%d", i), err.Error())
		}
	}
	if len(req.Files) > 10000 || len(req.Collect) > listMost {
		return invalid("/files", "up to 10000 files, and 100 patterns to collect")
	}
	if req.Stdin != nil {
		return checkStdin(req.Stdin)
	}
	return nil
}

func checkStdin(in *client.Stdin) error {
	if in.Open && (in.Text != "" || len(in.Base64) > 0) {
		return invalid("/stdin", "text and base64 are all of the input; with open all of it is sent later, by POST /v1/jobs/ID/stdin")
	}
	return checkContent("/stdin", &in.Content)
}

func checkContent(field string, c *client.Content) error {
	if c.Text != "" && len(c.Base64) > 0 {
		return invalid(field, "text or base64, not both")
	}
	return nil
}

func checkLimits(l *client.Limits) error {
	if l == nil {
		return nil
	}
	const most = 1 << 53 // as JSON's numbers go
	for name, n := range map[string]float64{
		"wall_seconds": l.WallSeconds * 1000, "cpu_seconds": l.CPUSeconds * 1000, "memory_bytes": float64(l.MemoryBytes),
		"processes": float64(l.Processes), "open_files": float64(l.OpenFiles), "file_bytes": float64(l.FileBytes), "output_bytes": float64(l.OutputBytes),
		"disk_bytes": float64(l.DiskBytes), "inodes": float64(l.Inodes),
	} {
		if !(n >= 0 && n <= most) {
			return invalid("/limits/"+name, "not less than 0, nor that much")
		}
	}
	for name, few := range map[string]struct {
		n int64
		r policy.Resource
	}{"memory_bytes": {l.MemoryBytes, policy.Memory}, "open_files": {int64(l.OpenFiles), policy.OpenFiles}} {
		if few.n > 0 && few.n < few.r.Least() {
			return invalid("/limits/"+name, fmt.Sprintf("not less than %d", few.r.Least()))
		}
	}
	return nil
}

// named are the policies that a request comes to.
func (s *Server) named(req *client.Request) []client.Policy {
	if len(req.Policies) > 0 {
		return req.Policies
	}
	cfg, _ := s.settings()
	var names []client.Policy
	for _, name := range cfg.Default {
		names = append(names, client.Policy{Name: name})
	}
	return names
}

// checkPolicies finds the mistakes of a request's policies.
func (s *Server) checkPolicies(req *client.Request) error {
	_, texts := s.settings()
	set, err := bring(texts, s.named(req))
	if err != nil {
		return err
	}
	if len(set.names) == 0 {
		_, err = s.opt.Loader.LoadAll()
		return err
	}
	_, err = s.own(texts, set)
	return err
}

// own loads those of a job's policies that neither the config nor callgate has brought:
// these are known, and have no mistakes.
func (s *Server) own(texts *config.Texts, set *brought) (policy.Set, error) {
	loader := s.opt.Loader
	shipped := loader.Builtins()
	names := slices.DeleteFunc(slices.Clone(set.names), func(name string) bool {
		_, configured := texts.ByFile[name]
		return configured || slices.Contains(shipped, name)
	})
	if len(names) == 0 {
		return nil, nil
	}
	loader.ReadFile = set.read
	return loader.LoadAll(names...)
}

// brought are the policies of a job: the config's and its own.
type brought struct {
	names []string
	texts map[string]string
}

// bring takes texts from a request. None of them can stand for a file of the
// config's: that is what a ceiling is made of.
func bring(texts *config.Texts, policies []client.Policy) (*brought, error) {
	b := &brought{texts: map[string]string{}}
	for i, p := range policies {
		field := fmt.Sprintf("/policies/%d", i)
		if p.Text == "" {
			if _, known := texts.Files[p.Name]; !known && !strings.HasPrefix(p.Name, "builtin:") {
				return nil, invalid(field+"/name", fmt.Sprintf("there is no policy %q here; give its text too, or name builtin:NAME", p.Name))
			}
			b.names = append(b.names, texts.Source(p.Name))
			continue
		}
		if err := b.own(texts, field+"/text", p.Name, p.Text); err != nil {
			return nil, err
		}
		b.names = append(b.names, p.Name)
		for name, text := range p.Files {
			if err := b.own(texts, field+"/files", name, text); err != nil {
				return nil, err
			}
		}
	}
	for name, text := range texts.ByFile {
		b.texts[name] = text
	}
	return b, nil
}

func (b *brought) own(texts *config.Texts, field, name, text string) error {
	_, taken := texts.ByFile[filepath.Clean(name)]
	switch {
	case name == "" || strings.HasPrefix(name, "builtin:") || strings.HasPrefix(name, "callgated:") || strings.ContainsRune(name, 0):
		return invalid(field, fmt.Sprintf("%q cannot be the name of a policy of one's own", name))
	case taken:
		return invalid(field, fmt.Sprintf("%q is a policy of the host's", name))
	}
	if have, twice := b.texts[filepath.Clean(name)]; twice && have != text {
		return invalid(field, fmt.Sprintf("%q stands for two texts", name))
	}
	b.texts[filepath.Clean(name)] = text
	b.texts[name] = text
	return nil
}

func (b *brought) read(name string) ([]byte, error) {
	if text, ok := b.texts[name]; ok {
		return []byte(text), nil
	}
	if text, ok := b.texts[filepath.Clean(name)]; ok {
		return []byte(text), nil
	}
	return nil, errNotBrought
}

var errNotBrought = policyError("it is neither sent along nor one of the daemon's policies, and no other file is read")

type policyError string

func (e policyError) Error() string { return string(e) }
