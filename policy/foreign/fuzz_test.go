package foreign

import (
	"errors"
	"os"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

// whole checks what Convert gives for any text: a policy that loads, or mistakes, never a
// fault of its own. Strictly permits no more than exactly.
func whole(t *testing.T, text []byte, from Format) {
	opts := Options{Arch: abi.X86_64, ReadFile: func(string) ([]byte, error) { return []byte("brk: 1\n"), nil }}
	for _, opts.Approximate = range []bool{false, true} {
		res, err := Convert("in", text, from, opts)
		if (res == nil) == (err == nil) {
			t.Fatalf("result %v and error %v", res, err)
		}
		if err != nil {
			var mistakes policy.Mistakes
			if !errors.As(err, &mistakes) || strings.Contains(err.Error(), "a bug in callgate") {
				t.Fatalf("%v", err)
			}
			continue
		}
		if _, err := (&policy.Loader{}).Parse("p.yaml", res.Text); err != nil {
			t.Fatalf("%v\n%s", err, res.Text)
		}
	}
}

func FuzzOCI(f *testing.F) {
	for _, name := range []string{"testdata/docker.json", "testdata/deny.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"ociVersion":"1","linux":{"seccomp":{"defaultAction":"SCMP_ACT_KILL","comment":"a\u0000\nb","syscalls":[{"name":"é"}]}}}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_X32"],"syscalls":[{"names":["mmap","semctl"],"action":"SCMP_ACT_KILL","args":[{"index":5,"value":18446744073709551516,"op":"SCMP_CMP_GT"},{"index":2,"value":0,"op":"SCMP_CMP_NE"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) { whole(t, text, OCI) })
}

func FuzzMinijail(f *testing.F) {
	f.Add([]byte("read: 1\nwrite: arg0 == 1 || arg1 in ~(PROT_EXEC|0x4) && arg2 & 7; return EPERM\n@default trap\n60: kill\n"))
	f.Add([]byte("@include ./x\nioctl: arg1 == TCGETS || \\\n arg1 != -5 && arg1 < 0777 # c\n@frequency ./y\nopenat: arg0 == AT_FDCWD && arg2 >= 1 && arg2 <= 9\n"))
	f.Fuzz(func(t *testing.T, text []byte) { whole(t, text, Minijail) })
}

func FuzzSystemd(f *testing.F) {
	f.Add([]byte("[Service]\nSystemCallFilter=@system-service \\\n kill\nSystemCallFilter=~@chown read:0\nSystemCallErrorNumber=EIO\n"))
	f.Add([]byte("SystemCallFilter=~clone:kill\nSystemCallArchitectures=native x86\nSystemCallFilter=\n"))
	f.Fuzz(func(t *testing.T, text []byte) { whole(t, text, Systemd) })
}
