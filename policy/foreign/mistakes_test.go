package foreign

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

// TestMistakes: what is wrong, or has no counterpart, is told with its place; all of it.
func TestMistakes(t *testing.T) {
	entry := func(text string) string {
		return `{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[` + "\n" + text + `]}`
	}
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, c := range []struct {
		from Format
		text string
		want []string // with "+": taken with Approximate
	}{
		{OCI, `{`, []string{`:1:2: not JSON: `}},
		{OCI, `{} {}`, []string{`a second value`}},
		{OCI, `[]`, []string{`expected an object, found a list`}},
		{OCI, `{"a":` + deep + `}`, []string{`nested too deeply`}},
		{OCI, "{\"defaultaction\": \"SCMP_ACT_ALLOW\"}", []string{`:1:19: defaultaction: unknown key "defaultaction"; did you mean "defaultAction"?`, `defaultAction is missing`}},
		{OCI, `{"defaultAction":"SCMP_ACT_ALLOW","defaultAction":"SCMP_ACT_ERRNO"}`, []string{`the key "defaultAction" stands twice`}},
		{OCI, `{"ociVersion":"1"}`, []string{`no linux.seccomp`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_ALOW"},` + "\n" + ` {"names":[],"action":"SCMP_ACT_ALLOW"},{"names":["x y"],"action":"SCMP_ACT_ALLOW","arg":1}`),
			[]string{`:2:28: syscalls[0].action: unknown word "SCMP_ACT_ALOW"; did you mean "SCMP_ACT_ALLOW"?`, `:3:2: syscalls[1]: the entry names no system call`, `unknown key "arg"`, `"x y" is no name`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":-1,"op":"="}]}`), []string{`from 0 to 5, found 6`, `found -1`, `unknown word "="`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":1}`), []string{`SCMP_ACT_ALLOW takes no errno`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}`), []string{`from 0 to 4095`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":2,"errno":"EPERM"}`), []string{`"EPERM" is not errno 2`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"7.1"}}`), []string{`whether the kernel is "7.1" or newer; name a version with --kernel`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_TRAP"}`), []string{`+SCMP_ACT_TRAP`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_NOTIFY"}`), []string{`+SCMP_ACT_NOTIFY`}},
		{OCI, entry(`{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":3,"op":"SCMP_CMP_GE"}]},` + "\n" + `{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":3,"op":"SCMP_CMP_LE"}]}`),
			[]string{`+:3:11: two rules with different actions may hold`}},
		{OCI, entry(`{"names":["lseek"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":3,"op":"SCMP_CMP_EQ"}]}`), []string{`+the arguments of x32's lseek`}},
		{OCI, entry(`{"names":["pread64"],"action":"SCMP_ACT_ALLOW","args":[{"index":3,"value":3,"op":"SCMP_CMP_EQ"}]}`), []string{`+the arguments of i386's pread64`}},
		{OCI, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mountt"],"action":"SCMP_ACT_ERRNO"}]}`, []string{`unknown system call "mountt": it would be permitted`}},
		{OCI, `{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":0}`, []string{`+a default that returns 0`}},
		{OCI, `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_VAX"],"archMap":[]}`, []string{`unknown word "SCMP_ARCH_VAX"`, `both architectures and archMap`}},
		{Minijail, "read\nread: 1\nread: 1\n@includ ./x\n", []string{`:1:1: expected a system call, a colon`, `:3:1: "read" stands twice, first in line 2`, `:4:1: unknown statement "@includ"; did you mean "@include"?`}},
		{Minijail, "a: arg6 == 1\nread: arg0 = 1\nopen: arg1 == O_RDONYL\nwrite: maybe\nclose: return EWHAT\n", []string{`:1:1: expected a comparison`, `:2:1: unknown comparison`, `:3:1: expected a number or a constant, found "O_RDONYL"`, `:4:1: unknown action "maybe"`, `:5:1: unknown errno "EWHAT"`}},
		{Minijail, "@include ./x.policy\nread: trap\n", []string{`:1:1: includes another file`, `:2:1: trap sends a signal`}},
		{Minijail, "read: trap\nwrite: 1", []string{`+trap`}},
		{Minijail, "read: arg0 & 1 && arg0 == 3\n", []string{`+read: no rule can ask this of its arguments`}},
		{Minijail, "", []string{`the file names no system call`}},
		{Systemd, "SystemCallFilter=@nope\nSystemCallFiltre=x\nRestrictNamespaces=yes\nRestrictRealtime=no\nwhat\nSystemCallErrorNumber=EWHAT\n",
			[]string{`:1:1: unknown group "@nope"`, `:2:1: unknown setting "SystemCallFiltre"; did you mean "SystemCallFilter"?`, `:3:1: RestrictNamespaces= filters system calls too`, `:5:1: expected a setting`, `:6:1: unknown errno "EWHAT"`}},
		{Systemd, "SystemCallFilter=read write:EPERM\nSystemCallFilter=~open:\n", []string{`:1:1: "write:EPERM" has an errno, and the line is of what is permitted`, `:2:1: no errno after the colon`}},
		{Systemd, "[Service]\nExecStart=/bin/true\n", []string{`neither SystemCallFilter=`}},
	} {
		opts := Options{Arch: abi.X86_64}
		_, err := Convert("in", []byte(c.text), c.from, opts)
		var mistakes policy.Mistakes
		if !errors.As(err, &mistakes) {
			t.Errorf("%s: no mistake: %v", c.text, err)
			continue
		}
		for _, want := range c.want {
			want, approximate := strings.CutPrefix(want, "+")
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s\nno %q in\n%v", c.text, want, err)
			}
			if opts.Approximate = true; !approximate {
				continue
			}
			res, err := Convert("in", []byte(c.text), c.from, opts)
			if err != nil {
				t.Errorf("%s: with Approximate: %v", c.text, err)
			} else if len(res.Notes) == 0 || !strings.Contains(string(res.Text), "# in") || !strings.Contains(strings.ReplaceAll(string(res.Text), "\n# ", " "), "approximated: ") {
				t.Errorf("%s: an approximation that is not told:\n%s", c.text, res.Text)
			}
		}
	}
}

// TestBounds: hostile sizes end in a mistake, soon.
func TestBounds(t *testing.T) {
	key := strings.Repeat("k", 400000)
	many := `{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":%,"op":"SCMP_CMP_EQ"}]},`
	var rules strings.Builder
	for i := range 5000 {
		rules.WriteString(strings.ReplaceAll(many, "%", strconv.Itoa(i)))
	}
	for _, text := range []string{
		strings.Repeat(" ", maxText+1),
		`{"` + key + `":[` + strings.Repeat("0,", 100000) + `0]}`,
		`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[` + strings.TrimSuffix(rules.String(), ",") + `]}`,
		"\xff",
	} {
		_, err := Convert("in", []byte(text), OCI, Options{})
		if err == nil || len(err.Error()) > 50000 || strings.Contains(err.Error(), "bug") {
			t.Errorf("%.40s: %.200v", text, err)
		}
	}
}
