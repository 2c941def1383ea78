package main

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/learn"
	"callgate/supervisor"
	"callgate/supervisor/host"
)

// learning is a run that is learned from.
type learning struct {
	log     learn.Log
	draft   learn.Draft
	set     policy.Set // the base, its default a log; what stays hidden; ceilings
	real    policy.Set // the base as it is
	bound   *policy.Sections
	lifted  map[*policy.Rule]bool
	hides   *policy.Policy          // what builtin:default hides
	secrets *policy.Policy          // the same, with what was lifted
	own     func(*policy.Rule) bool // whether a rule stands in the policy that is added to
	ceiling bool                    // a call was kept from the command by --under
	foreign bool                    // and one for its ABI
}

// bareText is a policy that permits nothing.
const bareText = "callgate: 1\nsyscalls: []\nfiles: []\nexec: []\nnetwork: []\n"

// liftCompat is what --lift takes beside the places of rules.
const liftCompat = "compat"

// learnedName is what positions call the policy that is asked while it is learned.
const learnedName = "learn"

// prepare loads the policies that the command is learned under.
func (f *learnFlags) prepare(args []string) (*learning, error) {
	if !f.bare && len(f.run.policies) == 0 {
		f.run.policies = []string{"builtin:base"}
	}
	l := &learning{own: f.addition.own}
	real, err := f.base(bareText, "callgate: 1\n")
	if err != nil {
		return nil, ownFailure(err)
	}
	l.real = policy.Set{real}
	if sections := real.LeftOut(); len(sections) == 4 {
		hint := "-p builtin:base, or --bare"
		if f.addition != nil {
			hint = "have it say `extends: builtin:base`"
		}
		return nil, &failure{status: exitCallgate, err: fmt.Errorf("%s restricts nothing, so that nothing can be learned", strings.Join(f.run.policies, ", ")), hint: hint}
	}
	base, err := f.asked(l, real)
	if err != nil {
		return nil, ownFailure(err)
	}
	if err := f.compat(l); err != nil {
		return nil, err
	}
	l.log.Base, l.log.Extending = base, !f.bare
	if err := f.surround(l, base); err != nil {
		return nil, err
	}
	if f.draft(l, args); !base.Environment.PrivateTmp && !f.addition.has("environment", "private-tmp") {
		f.run.room.privateTmp, l.draft.PrivateTmp = true, true
	}
	f.run.found = l.found
	return l, nil
}

// asked is the base as it is asked while it is learned from: what no rule of it decides, it
// logs.
func (f *learnFlags) asked(l *learning, real *policy.Policy) (*policy.Policy, error) {
	start := "callgate: 1\n"
	if real.Default.Restricts() {
		start += "default: log\n"
	}
	if l.draft.Compat = slices.Contains(f.lift, liftCompat); l.draft.Compat {
		start += "compat: { i386: same, x32: same }\n"
	}
	base, err := f.base(bareText+"default: log\ncompat: { i386: same, x32: same }\n", start)
	if err == nil {
		base.Isolate = 0 // names mean others in a sandbox with mounts of its own
	}
	return base, err
}

// surround puts the base into the set that holds while it is learned from: with what
// builtin:default hides, the ceilings and the guards.
func (f *learnFlags) surround(l *learning, base *policy.Policy) error {
	standard, err := loader().Load(defaultPolicy)
	if err != nil {
		return ownFailure(err)
	}
	if err := l.liftRules(f.lift, base, standard); err != nil {
		return err
	}
	l.secrets = standard.Denials(policy.Files, func(*policy.Rule) bool { return false })
	l.hides = standard.Denials(policy.Files, func(r *policy.Rule) bool { return slices.Contains(f.lift, r.Pos.Place()) })
	if f.addition != nil { // which may permit what is hidden
		l.hides.Unless(policy.Files, l.real[0], func(r *policy.Rule) bool { return r.Action.Permits() && f.addition.own(r) })
		l.draft.File = f.addition.file()
	}
	l.set = policy.Set{base, l.hides}
	if len(f.under) > 0 {
		under, err := loader().LoadAll(f.under...)
		if err != nil {
			return ownFailure(err)
		}
		l.set = append(l.set, under...)
	}
	if err := f.run.limits.narrow(l.set); err != nil {
		return ownFailure(err)
	}
	if l.set, err = loader().Guard(l.set); err != nil {
		return ownFailure(err)
	}
	return nil
}

// base is a policy that extends those that are named, or the text for none.
func (f *learnFlags) base(bare, start string) (*policy.Policy, error) {
	if f.bare {
		return loader().Parse(learnedName, []byte(bare))
	}
	flag := "-p"
	if f.addition != nil {
		flag = "--add"
	}
	names := make([]string, len(f.run.policies))
	for i, name := range f.run.policies {
		names[i] = strconv.Quote(name)
	}
	p, err := f.addition.loader().Parse(learnedName, []byte(start+"extends: ["+strings.Join(names, ", ")+"]\n"))
	var mistakes policy.Mistakes
	if errors.As(err, &mistakes) {
		for i := range mistakes {
			if mistakes[i].Pos.File == learnedName { // it was named on the command line
				mistakes[i].Pos = policy.Position{File: flag}
			}
		}
	}
	return p, err
}

// liftRules has the rules that --lift names log instead of deny.
func (l *learning) liftRules(places []string, base, standard *policy.Policy) error {
	left := slices.DeleteFunc(slices.Clone(places), func(place string) bool { return place == liftCompat })
	named := func(r *policy.Rule) bool {
		spot := r.Pos.Place()
		if !slices.Contains(places, spot) {
			return false
		}
		left = slices.DeleteFunc(left, func(place string) bool { return place == spot })
		return true
	}
	l.lifted = map[*policy.Rule]bool{}
	for _, r := range base.Lift(named) {
		l.lifted[r] = true
	}
	standard.Denials(policy.Files, named)
	if len(left) > 0 {
		return &failure{status: exitCallgate, err: fmt.Errorf("--lift %s: no rule that denies stands there", printable(left[0])),
			hint: "name a rule as a denial does: FILE:LINE; what callgate's own guards deny cannot be lifted"}
	}
	return nil
}

// draft is what the policy is written with.
func (f *learnFlags) draft(l *learning, args []string) {
	l.draft.Command = args
	dir := f.folder()
	for _, name := range f.run.policies {
		if !strings.HasPrefix(name, "builtin:") && !filepath.IsAbs(name) {
			if here, err := filepath.Abs(name); err == nil {
				if rel, err := filepath.Rel(dir, here); err == nil {
					name = rel
				}
			}
		}
		l.draft.Extends = append(l.draft.Extends, name)
	}
}

// folder is where the policy is to lie; standard output is here.
func (f *learnFlags) folder() string {
	dir := "."
	if f.output != "-" {
		dir = filepath.Dir(f.output)
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return dir
}

// real is a path without symbolic links, where it can be told.
func real(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// place says where the command is learned from.
func (l *learning) place(f *runFlags, j *prepared) error {
	at, err := host.Place(f.room.dir, j.command.Env)
	if err != nil {
		return err
	}
	opts, err := host.Bind(l.real, f.room.dir, j.command.Env, f.room.caller(), "")
	if err != nil {
		return err
	}
	l.bound = opts.Sections
	hidden, err := host.Bind(policy.Set{l.real[0], l.secrets}, f.room.dir, j.command.Env, f.room.caller(), "")
	if err != nil {
		return err
	}
	p := &l.draft.Place
	p.Work, p.Home = real(at.Dir), real(at.Home)
	if f.room.tmp != nil {
		p.Tmp = real(f.room.tmp.Path)
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		p.Shared = append(p.Shared, real(dir))
	}
	l.widen(hidden.Sections)
	return nil
}

// widen finds the folders that no rule is to be on for the sake of what is in them: those
// that a denied name is beneath; and the rules that must stand before what is learned.
func (l *learning) widen(b *policy.Sections) {
	policies := b.Policies(policy.Files)
	for i, rules := range b.Rules(policy.Files) {
		for _, bound := range rules {
			if !bound.Rule.Action.Restricts() {
				continue
			}
			anywhere := false
			for _, at := range bound.Paths {
				anywhere = anywhere || at.Glob && at.Path == "/"
				above := path.Dir(at.Path)
				if at.Glob {
					above = at.Path
				}
				for ; above != "/"; above = path.Dir(above) {
					if !slices.Contains(l.draft.Place.Wide, above) {
						l.draft.Place.Wide = append(l.draft.Place.Wide, above)
					}
				}
			}
			if anywhere && policies[i] == l.real[0] && !l.own(bound.Rule) {
				l.draft.Kept = append(l.draft.Kept, bound.Rule)
			}
		}
	}
}

// found takes in what the supervisor tells of.
func (l *learning) found(f supervisor.Finding) {
	v := &f.Verdict
	switch {
	case !v.Action.Permits() && v.Rule != nil && v.Rule.Quiet && v.Policy == l.log.Base: // as when the policy is used
	case !v.Action.Permits() && v.Rule != nil && (v.Policy == l.log.Base || v.Policy == l.hides):
		l.log.Denied(f.Program, v.Rule, f.Call, f.Object)
	case !v.Action.Permits() && v.Policy == l.log.Base:
		l.foreign = l.foreign || v.Cause == policy.ByCompat
	case !v.Action.Permits():
		l.ceiling = l.ceiling || v.Policy != nil && v.Policy != l.hides && !policy.IsGuard(v.Policy.Name)
	case v.Policy != l.log.Base, v.Rule != nil && !l.lifted[v.Rule]:
	case f.Object == nil:
		l.log.Call(f.Program, f.Call)
	case l.bound == nil || len(l.bound.Refusals(f.Object)) > 0:
		l.log.Object(f.Program, f.Object, f.New, v.Rule != nil)
	}
}
