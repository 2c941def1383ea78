// Package host finds out what this host offers a sandbox, by trying: kernels
// are built, booted, patched and locked down in too many ways for their version
// to tell.
//
// # Limits
//
// A probe answers for the process that makes it, with its privileges and under
// whatever restricts it already. Nothing is changed on the host, and no program
// but callgate's own few instructions is started.
package host

// Status is a probe's answer.
type Status uint8

const (
	Unknown Status = iota // the probe itself could not be made
	Yes
	No
)

func (s Status) String() string {
	switch s {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "unknown"
}

// Feature is one thing that a host has or lacks.
type Feature struct {
	Name   string
	Status Status
	Detail string // a version, or why there is no Yes; may be empty
	Use    string // what it is for
	// Required says that no command can be run without it.
	Required bool
}

// Report is all that Probe found, the required features first.
type Report []Feature

// Missing gives the required features that are not there for certain. A report
// without any says that commands can be run.
func (r Report) Missing() []Feature {
	var missing []Feature
	for _, f := range r {
		if f.Required && f.Status != Yes {
			missing = append(missing, f)
		}
	}
	return missing
}

// Probe tries everything. It takes some milliseconds and starts a handful of
// short-lived processes.
func Probe() Report {
	r := Report{kernel()}
	r = append(r, actions()...)
	r = append(r, tracing()...)
	r = append(r, landlock(), mseal(), closeRange())
	r = append(r, compat()...)
	return append(r, yama(), userNamespaces(), namespaces(), memoryCgroup(), privileges(), confinement())
}

// found makes a feature of a probe's error: none is Yes, and one of the errors
// in absent is No.
func found(name, use string, err error, absent ...error) Feature {
	f := Feature{Name: name, Use: use, Status: Yes}
	if err == nil {
		return f
	}
	f.Status, f.Detail = Unknown, err.Error()
	for _, a := range absent {
		if err == a {
			f.Status = No
		}
	}
	return f
}
