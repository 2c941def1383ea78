package policy

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Resource is what a sandbox, all of its processes together, uses up.
type Resource uint8

const (
	WallTime  Resource = iota // since the command's first instruction
	CPUTime                   // of all its tasks, the dead ones included
	Memory                    // of all its processes at one time
	Processes                 // processes and threads at one time
	OpenFiles                 // descriptors of one process
	FileSize                  // of one file that is written
	Output                    // to the command's standard output and error
	Disk                      // what the folders of its own hold
	Inodes                    // files and folders in those
	resources
)

func (r Resource) String() string {
	if r < resources {
		return limitKeys[r]
	}
	return "unknown"
}

// The keys of `limits`, by Resource.
var limitKeys = []string{"wall-time", "cpu-time", "memory", "processes", "open-files", "file-size", "output", "disk", "inodes"}

// Limit is the most that a sandbox may use of one resource.
type Limit struct {
	Most int64    // nanoseconds of a time, bytes of a size, else a number; 0: no limit
	Pos  Position // of the value; of a limit that no policy has, File alone says whose it is
}

// Limits are a sandbox's, by Resource.
type Limits [resources]Limit

// Any says whether there is a limit.
func (l *Limits) Any() bool { return *l != Limits{} }

// Has says whether there is one on a resource.
func (l *Limits) Has(r Resource) bool { return l[r].Most > 0 }

// narrow takes over those of other that are tighter.
func (l *Limits) narrow(other *Limits) {
	for r := range l {
		if most := other[r].Most; most > 0 && (l[r].Most == 0 || most < l[r].Most) {
			l[r] = other[r]
		}
	}
}

// Limits are those that hold for a sandbox under the set: of each resource the
// tightest that a policy has.
func (s Set) Limits() Limits {
	var all Limits
	for _, p := range s {
		all.narrow(&p.Limits)
	}
	return all
}

// Narrow gives the limits with those of other where they are tighter.
func (l Limits) Narrow(other Limits) Limits {
	l.narrow(&other)
	return l
}

// ParseLimit reads a limit as a policy has it: "10m" of a time, "64MiB" of a
// size, "256" of a number. from says whose it is.
func ParseLimit(r Resource, text, from string) (Limit, error) {
	most, wrong, hint := parseLimit(r, text)
	if wrong != "" {
		return Limit{}, Mistakes{{Pos: Position{File: from}, Message: wrong, Hint: hint}}
	}
	return Limit{Most: most, Pos: Position{File: from}}, nil
}

// Resources are all that can be limited, in the order in which policies are
// printed.
func Resources() []Resource {
	all := make([]Resource, resources)
	for i := range all {
		all[i] = Resource(i)
	}
	return all
}

// Text is an amount of the resource as a policy has it.
func (r Resource) Text(amount int64) string {
	switch {
	case r <= CPUTime:
		return durationText(time.Duration(amount))
	case r.sized():
		return sizeText(amount)
	}
	return strconv.FormatInt(amount, 10)
}

// Rounded is an amount as a person wants to read it.
func (r Resource) Rounded(amount int64) string {
	switch {
	case r <= CPUTime:
		return durationText(time.Duration(amount).Round(time.Millisecond))
	case r.sized() && amount >= 1<<20:
		return strconv.FormatFloat(float64(amount)/(1<<20), 'f', 1, 64) + "MiB"
	}
	return r.Text(amount)
}

// ParseResource is the resource of a key of `limits`.
func ParseResource(key string) (Resource, bool) {
	for r := range resources {
		if limitKeys[r] == key {
			return r, true
		}
	}
	return 0, false
}

func (r Resource) sized() bool { return r == Memory || r == FileSize || r == Output || r == Disk }

// limits reads {KEY: AMOUNT}.
func (r *reader) limits(n *node) {
	r.fields(n, "limit", limitKeys, func(key string, f *field) {
		if res, ok := ParseResource(key); ok {
			r.part.limits[res] = r.limit(res, &f.value)
		}
	})
}

func (r *reader) limit(res Resource, n *node) Limit {
	if n.kind != scalarNode || n.empty() {
		r.fail(n, limitHint(res), "expected %s, found %s", amountOf(res), n.describe())
		return Limit{}
	}
	most, wrong, hint := parseLimit(res, n.text)
	if wrong != "" {
		r.fail(n, hint, "%s", wrong)
		return Limit{}
	}
	return Limit{Most: most, Pos: r.pos(n)}
}

func amountOf(r Resource) string {
	switch {
	case r <= CPUTime:
		return "a time with its unit"
	case r.sized():
		return "a size with its unit"
	}
	return "a number"
}

func limitHint(r Resource) string {
	switch {
	case r <= CPUTime:
		return "write for example 10s, 1m30s or 500ms"
	case r.sized():
		return "write for example 64MiB; the units are B, KiB, MiB, GiB and TiB"
	}
	return "write for example 256"
}

// parseLimit gives the amount, or what is wrong with it.
func parseLimit(r Resource, text string) (most int64, wrong, hint string) {
	switch {
	case r <= CPUTime:
		most, wrong = parseTime(text)
	case r.sized():
		most, wrong = parseSize(text)
	default:
		most, wrong = parseCount(text)
	}
	switch {
	case wrong != "":
		return 0, "expected " + amountOf(r) + ", found " + strings.TrimSuffix(quote(text)+wrong, notAnAmount), limitHint(r)
	case most < r.Least():
		return 0, quote(text) + " is too little: the least " + r.String() + " is " + r.Text(r.Least()), "leave it out for no limit"
	case most > mostLimit(r):
		return 0, quote(text) + " is too much: the greatest " + r.String() + " is " + r.Text(mostLimit(r)), "leave it out for no limit"
	}
	return most, "", ""
}

// Least is the least limit that a command can be started with.
func (r Resource) Least() int64 {
	switch {
	case r <= CPUTime:
		return int64(time.Millisecond)
	case r == Memory:
		return 1 << 20
	case r == OpenFiles:
		return 4 // three, and one for the dynamic loader
	}
	return 1
}

// mostLimit is beyond what a kernel has (proc(5), pid_max and nr_open), and
// far enough below what overflows.
func mostLimit(r Resource) int64 {
	switch {
	case r <= CPUTime:
		return int64(100 * 365 * 24 * time.Hour)
	case r.sized():
		return 1 << 60
	}
	return 1 << 30
}

// parseTime reads "1h30m": a sum, each unit once and the greatest first.
func parseTime(text string) (ns int64, wrong string) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && strings.Trim(text, "0123456789") == "" && text != "":
		return 0, ", without a unit"
	case strings.Trim(text, "0123456789.hms") != "", err != nil && !isShortTime(text):
		return 0, notAnAmount
	case err != nil:
		return math.MaxInt64, ""
	}
	return int64(d), ""
}

// isShortTime says whether a text were a time if its numbers had one digit: then it is one that
// is too long for time.ParseDuration, which does not tell that from other mistakes.
func isShortTime(text string) bool {
	digit := false
	_, err := time.ParseDuration(strings.Map(func(c rune) rune {
		after := digit
		if digit = c >= '0' && c <= '9'; digit && after {
			return -1
		}
		return c
	}, text))
	return err == nil
}

// notAnAmount adds nothing to what was found.
const notAnAmount = " "

// sizeUnits are by their power of 1024.
var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}

func parseSize(text string) (bytes int64, wrong string) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.ParseUint(text[:digits], 10, 64)
	unit := text[digits:]
	switch {
	case digits == 0:
		return 0, notAnAmount
	case unit == "":
		return 0, ", without a unit"
	}
	for power, name := range sizeUnits {
		if name != unit {
			continue
		}
		if err != nil || n > math.MaxInt64>>(10*power) {
			return math.MaxInt64, ""
		}
		return int64(n) << (10 * power), ""
	}
	return 0, notAnAmount
}

func parseCount(text string) (n int64, wrong string) {
	switch {
	case text == "" || strings.Trim(text, "0123456789") != "":
		return 0, notAnAmount
	case len(text) > 1 && text[0] == '0':
		return 0, ", which could be octal or decimal"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return math.MaxInt64, ""
	}
	return n, ""
}

// durationText is time.Duration's without units that are zero.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// sizeText has the greatest unit that leaves no fraction.
func sizeText(bytes int64) string {
	power := 0
	for power+1 < len(sizeUnits) && bytes != 0 && bytes%1024 == 0 {
		bytes, power = bytes/1024, power+1
	}
	return strconv.FormatInt(bytes, 10) + sizeUnits[power]
}

// print gives the section in a policy's syntax.
func (l *Limits) print(b *strings.Builder) {
	if !l.Any() {
		return
	}
	var words []string
	for r, limit := range l {
		if limit.Most > 0 {
			words = append(words, limitKeys[r]+": "+Resource(r).Text(limit.Most))
		}
	}
	b.WriteString("limits: {" + strings.Join(words, ", ") + "}\n")
}
