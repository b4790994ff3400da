package main

import (
	"fmt"
	"time"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/mls/mlstest"
)

// operations are the rows of each group size. A commit includes moving to the new epoch, as it does in ts-mls;
// adding leaves the ratchet tree out of the welcome on neither side.
var operations = []string{"create", "add one", "add all others", "commit", "process", "join", "encrypt 1 KiB", "decrypt 1 KiB"}

// config accepts the key packages of ts-mls, which never expire.
var config = mls.Config{Credentials: mlstest.Anyone{}, MaxLifetime: mls.NoLimit}

var kib = make([]byte, 1024)

// ours is a group of package mls.
type ours struct {
	id   mls.CipherSuite
	n    int
	cast *mlstest.Cast
	one  []mls.Proposal // adds a newcomer
	all  []mls.Proposal // adds everybody but the founder
}

func newOurs(id mls.CipherSuite, n int) (*ours, error) {
	cast, err := mlstest.FullCrowd(config, id, n)
	if err != nil {
		return nil, err
	}
	g := &ours{id: id, n: n, cast: cast}
	for i := range n {
		k, err := newcomer(id, i)
		if err != nil {
			return nil, err
		}
		g.all = append(g.all, &message.Add{KeyPackage: k.KeyPackage})
	}
	g.one, g.all = g.all[:1], g.all[1:]
	return g, nil
}

func identity(id mls.CipherSuite, name string) (mls.Identity, error) {
	key, err := mls.NewSignatureKey(config, id)
	return mls.Identity{Credential: mls.BasicCredential([]byte(name)), Key: key}, err
}

func newcomer(id mls.CipherSuite, i int) (*mls.KeyPackageBundle, error) {
	who, err := identity(id, fmt.Sprint("newcomer ", i))
	if err != nil {
		return nil, err
	}
	return mls.NewKeyPackage(config, id, who, mls.KeyPackageOptions{})
}

// measure returns the mean time of an operation, run for a fifth of a second.
func (g *ours) measure(op string) (time.Duration, error) {
	var took time.Duration
	for runs := 1; ; runs++ {
		once, err := g.once(op)
		if err != nil {
			return 0, err
		}
		if took += once; took > 200*time.Millisecond {
			return took / time.Duration(runs), nil
		}
	}
}

func timing(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

// once runs an operation once, and what surrounds it besides.
func (g *ours) once(op string) (took time.Duration, err error) {
	switch op {
	case "create":
		return timing(func() error { _, err := g.create(); return err })
	case "add one":
		return g.add(g.cast.A, g.one)
	case "add all others":
		founder, err := g.create()
		if err != nil {
			return 0, err
		}
		return g.add(founder, g.all)
	case "commit":
		took, _, err = g.commitAndFollow()
	case "process":
		_, took, err = g.commitAndFollow()
	case "join":
		return timing(func() error { _, err := g.cast.Join(config); return err })
	case "encrypt 1 KiB":
		took, _, err = g.say()
	case "decrypt 1 KiB":
		_, took, err = g.say()
	}
	return took, err
}

func (g *ours) create() (*mls.Group, error) {
	who, err := identity(g.id, "founder")
	if err != nil {
		return nil, err
	}
	return mls.NewGroup(config, g.id, who, mls.GroupOptions{})
}

func (g *ours) add(group *mls.Group, who []mls.Proposal) (time.Duration, error) {
	var p *mls.PendingCommit
	took, err := timing(func() (err error) { p, err = group.Commit(mls.CommitOptions{Proposals: who}); return err })
	if err == nil {
		p.Discard()
	}
	return took, err
}

// commitAndFollow has A commit, B, who sits beside A, process that, and C too.
func (g *ours) commitAndFollow() (commit, process time.Duration, err error) {
	var message []byte
	commit, err = timing(func() error {
		p, err := g.cast.A.Commit(mls.CommitOptions{})
		if err != nil {
			return err
		}
		message = p.Message
		_, err = p.Apply()
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if process, err = timing(func() error { return follow(g.cast.B, message) }); err == nil && g.cast.C != g.cast.B {
		err = follow(g.cast.C, message)
	}
	return commit, process, err
}

func follow(g *mls.Group, commit []byte) error {
	r, err := g.Process(commit)
	if err != nil {
		return err
	}
	_, err = r.(*mls.StagedCommit).Merge()
	return err
}

func (g *ours) say() (encrypt, decrypt time.Duration, err error) {
	var out *mls.Outgoing
	encrypt, err = timing(func() (err error) { out, err = g.cast.A.Encrypt(kib, nil); return err })
	if err != nil {
		return 0, 0, err
	}
	decrypt, err = timing(func() error { _, err := g.cast.B.Process(out.Message); return err })
	return encrypt, decrypt, err
}
