package policy

// verb is the key that says what a rule of files, exec or network does.
type verb struct {
	word   string
	action Action
	speaks [classes]bool
	access Access // the greatest that a permitting rule of files speaks of
}

// The verbs of each section. Rules of exec speak of the first class only.
var (
	fileVerbs = []verb{
		{"read", Allow, [classes]bool{true, false}, Read},
		{"write", Allow, [classes]bool{true, true}, Write},
		{"log", Log, [classes]bool{true, true}, Write},
		{"ask", Ask, [classes]bool{true, true}, Write},
		{"deny", Deny, [classes]bool{true, true}, Write},
		{"kill", Kill, [classes]bool{true, true}, Write},
	}
	execVerbs = []verb{
		{"allow", Allow, [classes]bool{true, false}, Read},
		{"log", Log, [classes]bool{true, false}, Read},
		{"ask", Ask, [classes]bool{true, false}, Read},
		{"deny", Deny, [classes]bool{true, false}, Read},
		{"kill", Kill, [classes]bool{true, false}, Read},
	}
	networkVerbs = []verb{
		{"connect", Allow, [classes]bool{true, false}, 0},
		{"bind", Allow, [classes]bool{false, true}, 0},
		{"log", Log, [classes]bool{true, true}, 0},
		{"ask", Ask, [classes]bool{true, true}, 0},
		{"deny", Deny, [classes]bool{true, true}, 0},
		{"kill", Kill, [classes]bool{true, true}, 0},
	}
)

// The classes of access that rules speak of.
const (
	classRead    class = 0 // and Look; of exec: running
	classWrite   class = 1
	classConnect class = 0
	classBind    class = 1
)

func (s Section) verbs() []verb {
	switch s {
	case Files:
		return fileVerbs
	case Exec:
		return execVerbs
	}
	return networkVerbs
}

// verb is the section's verb of that word.
func (s Section) verb(word string) (verb, bool) {
	for _, v := range s.verbs() {
		if v.word == word {
			return v, true
		}
	}
	return verb{}, false
}

// word is the key that says what the rule does.
func (r *Rule) word() string {
	if r.Section == Syscalls {
		return r.Action.String()
	}
	return r.verb.word
}
