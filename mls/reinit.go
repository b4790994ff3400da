package mls

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// SuccessorOptions is what a group that comes of another takes: a re-initialised one or a branch.
type SuccessorOptions struct {
	Identity Identity
	Leaf     LeafOptions
	// KeyPackages are fresh ones of the other members: of all of them for a successor, of some for a branch.
	KeyPackages []*KeyPackage
	GroupInfo   GroupInfoOptions
	// GroupID is of a branch; nil draws one. A successor has the one of the re-initialisation.
	GroupID []byte
	// Extensions are of a branch. A successor has those of the re-initialisation.
	Extensions Extensions
}

// ReInit makes the group that takes the place of this one, which a commit of a [message.ReInit] proposal ended (RFC 9420, section
// 11.2). The new group's pending commit adds all others; its welcome is for them, and its records are the whole group.
func (g *Group) ReInit(o SuccessorOptions) (*Group, *PendingCommit, error) {
	if g.reinit == nil || g.status != active {
		return nil, nil, fmt.Errorf("%w: the group was not ended by a re-initialisation", ErrProposal)
	}
	if err := g.checkReInit(g.reinit); err != nil { // whoever committed it may not have asked
		return nil, nil, fmt.Errorf("re-initialise: %w", err)
	}
	o.GroupID, o.Extensions = g.reinit.GroupID, g.reinit.Extensions
	successor, p, err := g.succeed(o, g.reinit.CipherSuite, message.ResumptionReInit)
	if err != nil {
		return nil, nil, fmt.Errorf("re-initialise: %w", err)
	}
	if err := g.checkMembers(p.next.result.Diff.Members(), successor, p); err != nil {
		return nil, nil, fmt.Errorf("re-initialise: %w", err)
	}
	return successor, p, nil
}

// checkReInit verifies what a group may be replaced by: what this client can make, and nothing worse.
func (g *Group) checkReInit(p *message.ReInit) error {
	if p.Version != message.MLS10 {
		return fmt.Errorf("%w: re-initialisation with version %d", ErrProposal, p.Version)
	}
	s, err := g.config.suite(p.CipherSuite)
	if err != nil {
		return err
	}
	return checkDowngrade(g.suite, s)
}

func checkDowngrade(from, to *suite.Suite) error {
	if from.Hybrid() && !to.Hybrid() {
		return fmt.Errorf("%w: %s by %s", ErrDowngrade, from, to)
	}
	return nil
}

// checkMembers verifies that all members of g are among those of its successor.
func (g *Group) checkMembers(n int, successor *Group, p *PendingCommit) error {
	if n != g.Size() {
		return fmt.Errorf("%w: %d members where there were %d", ErrConfig, n, g.Size())
	}
	credentials := []Credential{successor.tree.Leaf(successor.own).Credential}
	for _, m := range p.Added {
		credentials = append(credentials, m.Leaf.Credential)
	}
	return g.matchMembers(credentials, true)
}

// Branch makes a group of some members of this one (RFC 9420, section 11.3). The new group's pending
// commit adds them; its welcome is for them, and its records are the whole group.
func (g *Group) Branch(o SuccessorOptions) (*Group, *PendingCommit, error) {
	if err := g.mayChange(); err != nil {
		return nil, nil, err
	}
	branch, p, err := g.succeed(o, g.CipherSuite(), message.ResumptionBranch)
	if err != nil {
		return nil, nil, fmt.Errorf("branch: %w", err)
	}
	for _, m := range p.Added {
		if err := g.matchMembers([]Credential{m.Leaf.Credential}, false); err != nil {
			return nil, nil, fmt.Errorf("branch: %w", err)
		}
	}
	return branch, p, nil
}

func (g *Group) succeed(o SuccessorOptions, id CipherSuite, usage message.ResumptionUsage) (*Group, *PendingCommit, error) {
	n, err := NewGroup(*g.config, id, o.Identity, GroupOptions{ID: o.GroupID, Extensions: o.Extensions, Leaf: o.Leaf})
	if err != nil {
		return nil, nil, err
	}
	nonce, err := g.config.randomBytes(n.suite.HashSize())
	if err != nil {
		return nil, nil, err
	}
	b := n.newCommit(message.MemberSender(n.own), CommitOptions{GroupInfo: o.GroupInfo})
	for _, k := range o.KeyPackages {
		if err := g.config.checkKeyPackage(k); err != nil {
			return nil, nil, err
		}
		b.add(&message.Add{KeyPackage: k})
	}
	b.add(&message.PreSharedKey{PSK: PreSharedKeyID{Type: message.PSKResumption, Usage: usage, GroupID: g.GroupID(), Epoch: g.Epoch(), Nonce: nonce}})
	rules := *n.rules
	rules.ResumptionUsage = usage
	p, err := b.asMember(&rules, g)
	if err == nil {
		p.Records = n.Records() // nothing of the new group was stored before
	}
	return n, p, err
}

// matchMembers verifies that each of the credentials is one of a member's, according to the
// application, and with all also the reverse.
func (g *Group) matchMembers(credentials []Credential, all bool) error {
	same := func(old, next Credential) bool {
		return old.Equal(next) || g.config.Credentials.ValidateSuccessor(old, next) == nil
	}
	found := map[LeafIndex]bool{}
	exact := map[string]LeafIndex{}
	for m := range g.Members() {
		exact[string(m.Leaf.Credential.Append(nil))] = m.Index
	}
	for _, c := range credentials {
		if l, ok := exact[string(c.Append(nil))]; ok {
			found[l] = true
			continue
		}
		matched := false
		for m := range g.Members() {
			if same(m.Leaf.Credential, c) {
				found[m.Index], matched = true, true
				break
			}
		}
		if !matched {
			return fmt.Errorf("%w: a member of the new group was not in the old one", ErrCredential)
		}
	}
	if !all {
		return nil
	}
	for m := range g.Members() {
		if !found[m.Index] && !slices.ContainsFunc(credentials, m.Leaf.Credential.Equal) {
			return fmt.Errorf("%w: a member of the old group is not in the new one", ErrCredential)
		}
	}
	return nil
}

func credentialsOf(g *Group) []Credential {
	var list []Credential
	for m := range g.Members() {
		list = append(list, m.Leaf.Credential)
	}
	return list
}

// checkSuccessor verifies a group that was joined as the successor of g (RFC 9420, section 11.2).
func (g *Group) checkSuccessor(n *Group, epoch uint64) error {
	r := g.reinit
	c := n.epoch.context
	if r == nil || epoch != g.Epoch() || !bytes.Equal(r.GroupID, c.GroupID) || r.Version != c.Version ||
		r.CipherSuite != c.CipherSuite || !r.Extensions.Equal(c.Extensions) {
		return fmt.Errorf("%w: it is not the group that the re-initialisation announced", ErrWelcome)
	}
	if err := checkDowngrade(g.suite, n.suite); err != nil {
		return err
	}
	return g.matchMembers(credentialsOf(n), true)
}

// checkBranch verifies a group that was joined as a branch of g (RFC 9420, section 11.3).
func (g *Group) checkBranch(n *Group) error {
	if n.epoch.context.Version != g.epoch.context.Version || n.CipherSuite() != g.CipherSuite() {
		return fmt.Errorf("%w: version or cipher suite differs from that of the group it branched from", ErrWelcome)
	}
	return g.matchMembers(credentialsOf(n), false)
}
