package main

import (
	"fmt"
	"time"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/mls/mlstest"
)

// theirs is a group of ts-mls, whose members "one" and "two" are played. Those of a large group, like ours, never were:
// package mls invites the two.
type theirs struct {
	peer    *peer
	n       int
	suite   mls.CipherSuite
	missing map[string]string // why an operation cannot be measured

	welcome, commit, text []byte
	newcomer              []byte
	all                   [][]byte
}

func (b *bench) newTheirs(n int) (*theirs, error) {
	t := &theirs{peer: b.peer, n: n, suite: mls.X25519_AES128GCM_SHA256_Ed25519, missing: map[string]string{}}
	for i := range n {
		k, err := newcomer(t.suite, i)
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, k.Message())
	}
	t.newcomer, t.all = t.all[0], t.all[1:]
	enter := t.enter
	if n < 8 {
		enter = t.found
	}
	if l, ok := b.last["join"]; ok && l.took*time.Duration(n/l.members) > b.limit {
		t.leaveOut(fmt.Sprintf("not run: a join takes %s at %d", short(l.took), l.members))
		return t, nil
	}
	err := enter()
	if err == nil {
		err = t.talk()
	}
	if err != nil {
		t.leaveOut(failed(err))
	}
	return t, nil
}

// leaveOut gives a reason to measure nothing but what takes no group.
func (t *theirs) leaveOut(reason string) {
	for _, op := range operations[1:] {
		t.missing[op] = reason
	}
}

func (t *theirs) name(who string) string { return fmt.Sprintf("%s of %d", who, t.n) }

func (t *theirs) pack(who string) ([]byte, error) {
	return call[[]byte](t.peer, "keyPackage", fields{"name": t.name(who), "suite": t.suite})
}

// founder has ts-mls found a group that stays as it is.
func (t *theirs) founder() fields {
	return fields{"name": t.name("founder"), "suite": t.suite, "group": []byte("ts-mls")}
}

// found has member one found a group and invite member two.
func (t *theirs) found() error {
	if _, err := call[any](t.peer, "create", fields{"name": t.name("one"), "suite": t.suite, "group": []byte("small")}); err != nil {
		return err
	}
	two, err := t.pack("two")
	if err != nil {
		return err
	}
	out, err := call[struct{ Commit, Welcome []byte }](t.peer, "commit", fields{"name": t.name("one"), "add": [][]byte{two}})
	if err != nil {
		return err
	}
	t.welcome = out.Welcome
	_, err = call[any](t.peer, "join", fields{"name": t.name("two"), "welcome": t.welcome})
	return err
}

// enter has both members invited to a large group, and fill the nodes above them.
func (t *theirs) enter() error {
	host, err := mlstest.Host(config, t.suite, t.n-2)
	if err != nil {
		return err
	}
	var adds []mls.Proposal
	for _, who := range []string{"one", "two"} {
		data, err := t.pack(who)
		if err != nil {
			return err
		}
		k, err := mls.ParseKeyPackage(config, data)
		if err != nil {
			return err
		}
		adds = append(adds, &message.Add{KeyPackage: k})
	}
	p, err := host.Commit(mls.CommitOptions{Proposals: adds})
	if err != nil {
		return err
	}
	t.welcome = p.Welcome
	for _, who := range []string{"one", "two"} {
		if _, err := call[any](t.peer, "join", fields{"name": t.name(who), "welcome": t.welcome}); err != nil {
			return err
		}
	}
	for who, other := range map[string]string{"one": "two", "two": "one"} {
		out, err := call[struct{ Commit []byte }](t.peer, "commit", fields{"name": t.name(who)})
		if err != nil {
			return err
		}
		if _, err := call[any](t.peer, "process", fields{"name": t.name(other), "message": out.Commit}); err != nil {
			return err
		}
	}
	return nil
}

// talk prepares a commit and a text of member one for member two, neither of which changes member one.
func (t *theirs) talk() error {
	if _, err := call[any](t.peer, "create", t.founder()); err != nil {
		return err
	}
	for method, out := range map[string]*[]byte{"commit": &t.commit, "encrypt": &t.text} {
		again := fields{"name": t.name("one"), "as": t.name("again")}
		if _, err := call[any](t.peer, "fork", again); err != nil {
			return err
		}
		params := fields{"name": t.name("again"), "text": kib}
		if method == "encrypt" {
			text, err := call[[]byte](t.peer, method, params)
			if err != nil {
				return err
			}
			*out = text
			continue
		}
		commit, err := call[struct{ Commit []byte }](t.peer, method, params)
		if err != nil {
			return err
		}
		*out = commit.Commit
	}
	return nil
}

// measure returns the mean time of an operation, run for about half a second.
func (t *theirs) measure(op string) (time.Duration, error) {
	method, params := t.request(op)
	once, err := t.peer.measure(method, params, 1)
	if times := int(500 * time.Millisecond / max(once, time.Microsecond)); err == nil && times > 1 {
		return t.peer.measure(method, params, min(times, 1000))
	}
	return once, err
}

func (t *theirs) request(op string) (method string, params fields) {
	one, two := t.name("one"), t.name("two")
	switch op {
	case "create":
		return "create", t.founder()
	case "add one":
		return "commit", fields{"name": one, "add": [][]byte{t.newcomer}}
	case "add all others":
		return "commit", fields{"name": t.name("founder"), "add": t.all}
	case "commit":
		return "commit", fields{"name": one}
	case "process":
		return "process", fields{"name": two, "message": t.commit}
	case "join":
		return "join", fields{"name": two, "welcome": t.welcome}
	case "encrypt 1 KiB":
		return "encrypt", fields{"name": one, "text": kib}
	default:
		return "process", fields{"name": two, "message": t.text}
	}
}
