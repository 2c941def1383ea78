package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// jobPolicy is for a job that may write only its folder and talk only to one
// server on loopback.
const jobPolicy = `callgate: 1
extends: builtin:base
syscalls:
  - allow: socket
    args: { family: [AF_INET, AF_INET6] }
  - allow: connect
files:
  - deny: "~/.ssh"
  - write: [$PWD, $TMPDIR]
  - read: ["~/steal"]
network:
  - connect: "%s"
environment:
  private-tmp: true
`

// stealing is what each job has its dependency's code do: read a private key,
// leave something outside of the job's folder, talk to another server.
const stealing = `#!/bin/sh
cat ~/.ssh/id_ed25519 || echo "no key"
ls ~/.ssh || echo "no folder"
ln ~/.ssh/id_ed25519 key || echo "no link"
echo x >~/planted || echo "not planted"
exec /usr/bin/python3 -c 'import socket, errno
print(errno.errorcode.get(socket.socket().connect_ex(("127.0.0.1", %d))))'
`

const stolenNothing = "no key\nno folder\nno link\nnot planted\nEACCES\n"

// A job is a real program's, which gets what it needs from a server.
type job struct {
	needs  []string
	serve  func(t *testing.T, host string) http.Handler
	script string // $SERVER is the server's host:port
	want   string // what it prints beside stealing
}

var jobs = map[string]job{
	"git clone": {[]string{"git"}, serveGit, `
mkdir hooks && cp ~/steal hooks/post-checkout
git -c core.hooksPath=$PWD/hooks clone -q http://$SERVER/repo/.git clone 2>&1
cat clone/file
git -c core.hooksPath= clone -q clone local && cat local/file`, "content\ncontent\n"},
	"npm ci": {[]string{"npm", "node"}, serveNPM, `
export npm_config_cache=$PWD/cache npm_config_registry=http://$SERVER/ npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
echo '{"name":"app","version":"1.0.0","dependencies":{"dep":"1.0.0"}}' >package.json
curl -sS --noproxy '*' http://$SERVER/lock >package-lock.json
npm ci --silent --foreground-scripts 2>&1
node -p 'require("dep")'`, "a dependency\n"},
	"go build": {[]string{"go"}, serveGo, `
export GOPROXY=http://$SERVER GOSUMDB=off GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPATH=$PWD/gopath GOCACHE=$PWD/cache CGO_ENABLED=0
printf 'module example.org/app\ngo 1.21\nrequire example.org/dep v1.0.0\n' >go.mod
printf 'package main\nimport "example.org/dep"\nfunc main() { println(dep.Text); dep.Run() }\n' >main.go
go build -modcacherw -o app . && ./app 2>&1`, "a dependency\n"},
	"pip install": {[]string{"/usr/bin/python3"}, servePip, `
/usr/bin/python3 -m pip -q --disable-pip-version-check --no-cache-dir install --index-url http://$SERVER/simple/ --target site dep 2>&1
PYTHONPATH=site /usr/bin/python3 -m dep`, "a dependency\n"},
}

// TestConfinedJobs: real jobs work under a policy of paths and addresses, and the code
// that they fetch and run gets no further.
func TestConfinedJobs(t *testing.T) {
	t.Parallel()
	for name, c := range jobs {
		t.Run(name, func(t *testing.T) {
			for _, program := range c.needs {
				if _, err := exec.LookPath(program); err != nil {
					lacking(t, program)
				}
			}
			c.run(t)
		})
	}
}

func (c job) run(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	server := &http.Server{Handler: c.serve(t, host)}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })

	home := openFolder(t)
	if err := os.Mkdir(home+"/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, home+"/.ssh/id_ed25519", "THE PRIVATE KEY")
	steal := fmt.Sprintf(stealing, other.Listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(home+"/steal", []byte(steal), 0o755); err != nil {
		t.Fatal(err)
	}
	tr := trial{
		policy: fmt.Sprintf(jobPolicy, host) + "  set: { SERVER: \"" + host + "\", GIT_CONFIG_NOSYSTEM: \"1\" }\n",
		flags:  []string{"--quiet"},
		env:    []string{"HOME=" + home},
	}
	got := tr.run(t, "/bin/sh", "-ec", c.script)
	text := got.stdout
	for _, line := range strings.SplitAfter(stolenNothing, "\n") {
		if !strings.Contains(text, line) {
			t.Errorf("it does not say %q", line)
		}
		text = strings.Replace(text, line, "", 1)
	}
	if got.status != 0 || !strings.Contains(text, c.want) || strings.Contains(got.stdout+got.stderr, "PRIVATE KEY") {
		t.Errorf("want status 0 and %q, and no key\ngot %v", c.want, got)
	}
	if exists(home + "/planted") {
		t.Error("it left something in the home folder")
	}
}

// serveGit serves a repository as plain files.
func serveGit(t *testing.T, _ string) http.Handler {
	dir := openFolder(t)
	cmd := exec.Command("/bin/sh", "-ec", `git init -q repo; cd repo; echo content >file; git add file
git -c user.name=A -c user.email=a@example.org commit -qm first; git update-server-info`)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return http.FileServer(http.Dir(dir))
}

// serveNPM serves one package, which runs ~/steal when it is installed, and a
// lock file that names it.
func serveNPM(t *testing.T, host string) http.Handler {
	tarball := tgz(t, "package/package.json", `{"name":"dep","version":"1.0.0","scripts":{"install":"sh ~/steal"}}`,
		"package/index.js", `module.exports = "a dependency"`)
	sum := sha512.Sum512(tarball)
	of := map[string]any{
		"version": "1.0.0", "resolved": "http://" + host + "/dep/-/dep-1.0.0.tgz",
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), "hasInstallScript": true,
	}
	lock, err := json.Marshal(map[string]any{
		"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
		"packages": map[string]any{"": map[string]any{"name": "app", "version": "1.0.0", "dependencies": map[string]string{"dep": "1.0.0"}}, "node_modules/dep": of},
	})
	if err != nil {
		t.Fatal(err)
	}
	return files{"/lock": lock, "/dep/-/dep-1.0.0.tgz": tarball}
}

// serveGo serves one module as a proxy does; it runs ~/steal.
func serveGo(t *testing.T, _ string) http.Handler {
	const mod = "module example.org/dep\ngo 1.21\n"
	const source = `package dep

import ("os"; "syscall")

const Text = "a dependency"

func Run() { syscall.Exec("/bin/sh", []string{"sh", "-c", "exec sh ~/steal"}, os.Environ()) }
`
	const at = "example.org/dep@v1.0.0/"
	return files{
		"/example.org/dep/@v/v1.0.0.info": []byte(`{"Version":"v1.0.0"}`),
		"/example.org/dep/@v/v1.0.0.mod":  []byte(mod),
		"/example.org/dep/@v/v1.0.0.zip":  zipped(t, at+"go.mod", mod, at+"dep.go", source),
	}
}

// servePip serves one wheel, whose module runs ~/steal.
func servePip(t *testing.T, _ string) http.Handler {
	const info = "dep-1.0.dist-info/"
	wheel := zipped(t,
		"dep/__init__.py", "",
		"dep/__main__.py", "import os\nprint('a dependency', flush=True)\nos.execv('/bin/sh', ['sh', '-c', 'exec sh ~/steal'])\n",
		info+"METADATA", "Metadata-Version: 2.1\nName: dep\nVersion: 1.0\n",
		info+"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info+"RECORD", "dep/__init__.py,,\ndep/__main__.py,,\n"+info+"METADATA,,\n"+info+"WHEEL,,\n"+info+"RECORD,,\n")
	const name = "dep-1.0-py3-none-any.whl"
	return files{"/simple/dep/": []byte(`<a href="/` + name + `">` + name + `</a>`), "/" + name: wheel}
}

// files are what a server has, by path.
type files map[string][]byte

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := f[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/") {
		w.Header().Set("Content-Type", "text/html")
	}
	w.Write(text)
}

// tgz packs files, given as name and text in turn.
func tgz(t *testing.T, list ...string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for i := 0; i < len(list); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: list[i], Mode: 0o644, Size: int64(len(list[i+1]))})
		if err == nil {
			_, err = w.Write([]byte(list[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t *testing.T, list ...string) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(list); i += 2 {
		f, err := w.Create(list[i])
		if err == nil {
			_, err = f.Write([]byte(list[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// confinedPrograms are the sessions that run under a shipped policy. The cache
// of go build is outside of what builtin:default lets anything write.
var confinedPrograms = map[string]string{
	"builtin:default": "git gcc make tar shell bash python node",
	"builtin:build":   "make go node",
	"builtin:ci":      "git make tar python node go",
}

// TestConfinedPrograms: real programs do under the shipped policies what they do
// bare.
func TestConfinedPrograms(t *testing.T) {
	t.Parallel()
	env := []string{"PYTHONUNBUFFERED="} // builtin:default does not let it pass
	for policy, names := range confinedPrograms {
		for name, c := range programCases {
			first, _, _ := strings.Cut(name, " ")
			if !slices.Contains(strings.Fields(names), first) {
				continue
			}
			t.Run(policy+" "+name, func(t *testing.T) {
				for _, program := range strings.Fields(c.needs) {
					if _, err := exec.LookPath(program); err != nil {
						lacking(t, program)
					}
				}
				bareDir, dir := openFolder(t), openFolder(t)
				argv := []string{"/bin/sh", "-c", c.script}
				bare := trial{bare: true, dir: bareDir, env: env}.run(t, argv...)
				compare(t, bare, trial{policy: policy, flags: []string{"--quiet"}, dir: dir, env: env}.run(t, argv...), bareDir, dir)
			})
		}
	}
}
