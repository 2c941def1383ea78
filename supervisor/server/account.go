package server

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/handover"
)

// account is a user of this host's.
type account struct {
	uid, gid uint32
	groups   []uint32
}

// name is the user's, or its number.
func (a *account) name() string { return userName(a.uid) }

func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

func (a *account) home() string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(a.uid), 10)); err == nil {
		return u.HomeDir
	}
	return handover.NoHome
}

// is says whether a name or number stands for the user.
func (a *account) is(name string) bool {
	return name == strconv.FormatUint(uint64(a.uid), 10) || name == a.name()
}

// in says whether the user is of a group.
func (a *account) in(group string) bool {
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return false
		}
		if gid, err = strconv.ParseUint(g.Gid, 10, 32); err != nil {
			return false
		}
	}
	return a.gid == uint32(gid) || slices.Contains(a.groups, uint32(gid))
}

func (a *account) among(list *config.Accounts) bool {
	return slices.ContainsFunc(list.Users, a.is) || slices.ContainsFunc(list.Groups, a.in)
}

// operates says whether the user may see and end everybody's jobs.
func (a *account) operates(cfg *config.Config) bool { return a.uid == 0 || a.among(&cfg.Operators) }

// lookup finds a user by name or number.
func lookup(name string) (*account, error) {
	u, err := user.Lookup(name)
	if _, numeric := strconv.ParseUint(name, 10, 32); numeric == nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return nil, errors.New("there is no such user")
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("the groups of %s: %w", name, err)
	}
	a := &account{}
	for i, text := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.ParseUint(text, 10, 32)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the numbers of %s: %w", name, err)
		case i == 0:
			a.uid = uint32(n)
		case i == 1:
			a.gid = uint32(n)
		default:
			a.groups = append(a.groups, uint32(n))
		}
	}
	return a, nil
}

// mayRunHere says whether this daemon can run jobs as a user: root's can as all,
// any other as its own.
func mayRunHere(uid uint32) bool { return os.Geteuid() == 0 || uint32(os.Geteuid()) == uid }

// runsAs says as whom a job of who's is to run.
func runsAs(cfg *config.Config, who *account, name string) (*account, error) {
	as := who
	if name != "" && !who.is(name) {
		if who.uid != 0 {
			return nil, client.NewProblem(client.Forbidden, "only root may have a job run as another user")
		}
		found, err := lookup(name)
		if err != nil {
			return nil, invalid("/user", err.Error())
		}
		as = found
	}
	switch {
	case len(cfg.Submit.Users)+len(cfg.Submit.Groups) > 0 && !who.among(&cfg.Submit):
		return nil, client.NewProblem(client.Forbidden, who.name()+" may not submit jobs here (submit in the daemon's config)")
	case as.uid == 0 && !cfg.Root:
		p := client.NewProblem(client.Forbidden, "jobs do not run as root here")
		p.Hint = "name another user, or have the daemon's config say root-jobs: true"
		return nil, p
	case !mayRunHere(as.uid):
		return nil, client.NewProblem(client.Forbidden, "this callgated is not root's, and runs jobs of "+userName(uint32(os.Geteuid()))+" only")
	}
	return as, nil
}

// quotaOf is what a user may have: by its own line of the config, the most of
// its groups', or everybody's.
func quotaOf(cfg *config.Config, uid, gid uint32, groups []uint32) config.Quota {
	if len(cfg.Quotas) == 0 {
		return cfg.Quota
	}
	a := &account{uid, gid, groups}
	q, found := config.Quota{}, false
	for name, of := range cfg.Quotas {
		group, isGroup := strings.CutPrefix(name, "@")
		switch {
		case !isGroup && a.is(name):
			return of.Over(cfg.Quota)
		case isGroup && a.in(group):
			of = of.Over(cfg.Quota)
			q.Queued, q.Running, q.Stored = max(q.Queued, of.Queued), max(q.Running, of.Running), max(q.Stored, of.Stored)
			found = true
		}
	}
	if !found {
		return cfg.Quota
	}
	return q
}
