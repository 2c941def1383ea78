package foreign

import (
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// applies says whether an entry counts: excludes drop it where any holds, includes unless
// all do (setupSeccomp in moby/profiles, seccomp/seccomp_linux.go).
func (r *reader) applies(includes, excludes *value) bool {
	applies := true
	if excludes != nil {
		caps, arches, kernel := r.circumstances(excludes)
		applies = !slices.Contains(caps, true) && !slices.Contains(arches, true) && (kernel == nil || !*kernel)
	}
	if includes != nil {
		caps, arches, kernel := r.circumstances(includes)
		applies = applies && !slices.Contains(caps, false) && (len(arches) == 0 || slices.Contains(arches, true)) && (kernel == nil || *kernel)
	}
	return applies
}

// dockerArches are the names that includes and excludes have for ABIs.
var dockerArches = map[abi.Arch]string{abi.X86_64: "amd64", abi.AArch64: "arm64"}

// circumstances says of each that an includes or excludes names whether it is so.
func (r *reader) circumstances(v *value) (caps, arches []bool, kernel *bool) {
	m := r.object(v, filterKeys)
	for _, c := range r.list(m["caps"]) {
		r.note(policy.Position{File: r.name}, "what hangs on capabilities is taken as for %s; --caps names others", r.capabilities())
		caps = append(caps, slices.Contains(r.opts.Caps, r.word(c, nil)))
	}
	for _, a := range r.list(m["arches"]) {
		arches = append(arches, r.word(a, nil) == dockerArches[r.opts.Arch])
	}
	if m["minKernel"] != nil {
		is := r.minKernel(m["minKernel"])
		kernel = &is
	}
	return caps, arches, kernel
}

func (r *reader) capabilities() string {
	if len(r.opts.Caps) == 0 {
		return "a process without any"
	}
	return strings.Join(r.opts.Caps, ", ")
}

// leastKernel is callgate's own minimum.
var leastKernel = abi.Version{Major: 5, Minor: 13}

func (r *reader) minKernel(v *value) bool {
	major, rest, ok := strings.Cut(r.word(v, nil), ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, err1 := strconv.ParseUint(major, 10, 16)
	y, err2 := strconv.ParseUint(minor, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		if v.kind == '"' {
			r.bad(v, `write for example "5.10"`, "expected a kernel version, found %s", quote(v.text))
		}
		return false
	}
	asked := abi.Version{Major: uint16(x), Minor: uint16(y)}
	if r.opts.Kernel == (abi.Version{}) {
		if leastKernel.Before(asked) {
			r.bad(v, "name a version with --kernel", "the entry hangs on whether the kernel is %s or newer", quote(v.text))
		}
		return true
	}
	return !r.opts.Kernel.Before(asked)
}
