package verdict

import (
	"fmt"
	"path/filepath"
	"strings"

	"callgate/policy"
)

// Result is how one test of a policy came out.
type Result struct {
	Test   *policy.CallTest
	Call   policy.CallText
	Answer Answer
	Passed bool // not where the answer is not known
}

// Tests tries the calls of a policy's own tests under all that it says, what it extends
// included, and under the guards, as `callgate run -p` decides them. Names in calls begin
// at the policy's folder, or the caller's for shipped policies; env is the caller's
// environment. The error is that of policy.Loader.Load, or one for which nothing could be
// tried, as where the policy does not bind.
func Tests(l *policy.Loader, name string, env []string) ([]Result, error) {
	full := *l
	full.Tests = true
	p, err := full.Load(name)
	if err != nil || len(p.Tests) == 0 {
		return nil, err
	}
	set, err := l.Guard(policy.Set{p})
	if err != nil {
		return nil, err
	}
	dir, err := folder(p.Name)
	if err != nil {
		return nil, err
	}
	g, err := NewGround(set, dir, env)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(p.Tests))
	for i := range p.Tests {
		r := &results[i]
		r.Test = &p.Tests[i]
		if r.Call, err = r.Test.Call(); err != nil {
			return nil, fmt.Errorf("%v: %w", r.Test.Pos, err)
		}
		r.Answer = g.Ask(r.Call)
		r.Passed = r.Answer.Unknown == "" && r.Test.Met(r.Answer.Verdict)
	}
	return results, nil
}

// folder is where a policy's relative names begin: "" for shipped ones.
func folder(name string) (string, error) {
	if strings.HasPrefix(name, "builtin:") {
		return "", nil
	}
	return filepath.Abs(filepath.Dir(name))
}
