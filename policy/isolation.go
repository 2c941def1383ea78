package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Isolation is a set of what a sandbox has of its own, by the kernel's
// namespaces(7).
type Isolation uint8

const (
	IsolatePid    Isolation = 1 << iota // processes: it sees its own, in a /proc of its own
	IsolateNet                          // the network: nothing but a loopback
	IsolateIPC                          // System V IPC and POSIX message queues
	IsolateMount                        // mounts: the system read-only, /tmp and /dev of its own
	IsolateUTS                          // host name
	IsolateCgroup                       // the view of cgroups
)

var isolations = []string{"pid", "net", "ipc", "mount", "uts", "cgroup"}

// Isolations are the words that ParseIsolation reads.
func Isolations() []string { return append([]string{"all"}, isolations...) }

// ParseIsolation reads one word; "all" is all of them.
func ParseIsolation(word string) (Isolation, error) {
	if word == "all" {
		return 1<<len(isolations) - 1, nil
	}
	i := slices.Index(isolations, word)
	if i < 0 {
		return 0, fmt.Errorf("unknown isolation %s; expected all, or some of %s", quote(word), strings.Join(isolations, ", "))
	}
	return 1 << i, nil
}

// String is the words, as a policy has them between brackets.
func (n Isolation) String() string {
	var words []string
	for i, word := range isolations {
		if n&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

// Isolation is what any of the policies asks for.
func (s Set) Isolation() Isolation {
	var all Isolation
	for _, p := range s {
		all |= p.Isolate
	}
	return all
}

// isolate reads one word or a list of them.
func (r *reader) isolate(n *node) {
	words := Isolations()
	items := r.list(n, oneOf(words))
	for i := range items {
		word, err := ParseIsolation(items[i].text)
		if err != nil || !items[i].isText() {
			r.wrongWord(&items[i], "isolation", words)
			continue
		}
		r.part.isolate |= word
	}
}
