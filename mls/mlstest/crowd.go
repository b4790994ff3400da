package mlstest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Crowd is a large group that nobody had to live through: its members have a place in the ratchet tree,
// which is as their commits would have left it, and no state. Others join it by its group info.
type Crowd struct {
	Suite   mls.CipherSuite
	Members []mls.LeafIndex // which leaves are taken, increasing
	// Committers are the members whose commits set the nodes above them, in this order.
	Committers []mls.LeafIndex
	Seed       uint64
}

// GroupInfo returns the signed description of the group and its tree, for mls.JoinExternal.
func (c Crowd) GroupInfo(config mls.Config) (info, ratchetTree []byte, err error) {
	k := &crowd{Crowd: c, config: config, random: rand.New(rand.NewPCG(c.Seed, 0)), signers: map[mls.LeafIndex]*suite.Signer{}}
	k.suite = suite.Lookup(uint16(c.Suite), uint16(config.HybridSuite))
	if k.suite == nil || len(c.Members) == 0 {
		return nil, nil, fmt.Errorf("a crowd of %d in suite %#04x", len(c.Members), uint16(c.Suite))
	}
	if err := errors.Join(k.fill(), k.commits()); err != nil {
		return nil, nil, err
	}
	info, err = k.info()
	return info, k.diff.Marshal(), err
}

// crowd is a Crowd in the making.
type crowd struct {
	Crowd
	config  mls.Config
	suite   *suite.Suite
	random  *rand.Rand
	diff    *tree.Diff
	signers map[mls.LeafIndex]*suite.Signer
}

var crowdID = []byte("crowd")

func (k *crowd) bytes() []byte {
	b := make([]byte, k.suite.HashSize())
	for i := range b {
		b[i] = byte(k.random.Uint32())
	}
	return b
}

// fill gives all members their leaves, as they came with their key packages.
func (k *crowd) fill() error {
	k.diff = tree.New(k.suite).Diff()
	k.config.NoGREASE = true
	for l := mls.LeafIndex(0); l <= k.Members[len(k.Members)-1]; l++ {
		leaf, err := k.leaf(l)
		if err != nil {
			return err
		}
		if _, err := k.diff.Add(leaf); err != nil {
			return err
		}
	}
	for l := range mls.LeafIndex(k.diff.Size()) {
		if _, member := slices.BinarySearch(k.Members, l); !member && k.diff.Leaf(l) != nil {
			k.diff.SetLeaf(l, nil)
		}
	}
	return nil
}

// leaf makes the leaf of a member, with GREASE values of its own as the leaves of real members have.
func (k *crowd) leaf(l mls.LeafIndex) (*mls.LeafNode, error) {
	signer, err := k.suite.NewSigner(k.bytes())
	if err != nil {
		return nil, err
	}
	k.signers[l] = signer
	key, err := k.suite.DeriveKeyPair(k.bytes())
	if err != nil {
		return nil, err
	}
	grease := func() uint16 { v := uint16(k.random.IntN(15))<<4 | 0x0a; return v<<8 | v }
	n := &mls.LeafNode{EncryptionKey: key.Public(), SignatureKey: signer.Public(), Source: message.SourceKeyPackage,
		Credential: mls.BasicCredential(fmt.Appendf(nil, "member %d of a crowd", l)),
		Lifetime:   message.NewLifetime(Epoch.AddDate(-10, 0, 0), Epoch.AddDate(10, 0, 0)),
		Capabilities: &message.Capabilities{
			Versions:     []message.ProtocolVersion{message.MLS10},
			CipherSuites: []message.CipherSuite{k.Suite, message.CipherSuite(grease())},
			Extensions:   []message.ExtensionType{message.ExtensionAppDataDictionary, message.ExtensionLastResort, message.ExtensionType(grease())},
			Proposals:    []message.ProposalType{message.ProposalAppEphemeral, message.ProposalSelfRemove, message.ProposalType(grease())},
			Credentials:  []message.CredentialType{message.CredentialBasic, message.CredentialX509, message.CredentialType(grease())},
		}}
	return n, k.sign(n, l)
}

func (k *crowd) sign(n *mls.LeafNode, l mls.LeafIndex) (err error) {
	n.Signature, err = k.suite.SignWithLabel(k.signers[l], nil, "LeafNodeTBS", n.AppendTBS(nil, crowdID, l))
	return err
}

// commits sets the paths of all committers. Only the last key of a node ever shows, so each node gets one.
func (k *crowd) commits() error {
	keys := map[tree.Node][]byte{}
	for _, l := range k.Committers {
		steps := k.diff.FilteredPath(l)
		path := make([][]byte, len(steps))
		for i, step := range steps {
			if keys[step.Node] == nil {
				pair, err := k.suite.DeriveKeyPair(k.bytes())
				if err != nil {
					return err
				}
				keys[step.Node] = pair.Public()
			}
			path[i] = keys[step.Node]
		}
		n := *k.diff.Leaf(l)
		n.Source, n.Lifetime = message.SourceCommit, message.Lifetime{}
		n.ParentHash = k.diff.SetPath(l, steps, path)
		if err := k.sign(&n, l); err != nil {
			return err
		}
		k.diff.SetLeaf(l, &n)
	}
	return nil
}

func (k *crowd) info() ([]byte, error) {
	secrets := schedule.FromEpochSecret(k.suite, k.bytes())
	external, err := secrets.ExternalKeyPair()
	if err != nil {
		return nil, err
	}
	signer := k.Members[0]
	info := &message.GroupInfo{Signer: signer, Context: message.GroupContext{Version: message.MLS10, CipherSuite: k.Suite, GroupID: crowdID,
		Epoch: uint64(len(k.Committers)), TreeHash: k.diff.Hash(), ConfirmedTranscriptHash: k.bytes()}}
	info.ConfirmationTag = secrets.ConfirmationTag(info.Context.ConfirmedTranscriptHash)
	info.Extensions = info.Extensions.With(message.ExtensionExternalPub, message.MarshalExternalPub(external.Public()))
	if info.Signature, err = k.suite.SignWithLabel(k.signers[signer], nil, "GroupInfoTBS", info.AppendTBS(nil)); err != nil {
		return nil, err
	}
	return (&message.Message{GroupInfo: info}).Marshal(), nil
}

// Cast is the members of a large group that are played. All are in the same epoch.
type Cast struct {
	A, B, C *mls.Group // B sits beside A, C in the other half of a full tree
	Welcome []byte     // by which B joined; it leaves out the tree
	Tree    []byte     // of that epoch
	Bundle  *mls.KeyPackageBundle
}

// FullCrowd returns a cast in a group of n members, of which the cast is three, in whose tree no parent is
// blank that need not be. A group of two has no others, and C is B; three to five fail.
func FullCrowd(config mls.Config, id mls.CipherSuite, n int) (*Cast, error) {
	if n < 6 {
		return small(config, id, n)
	}
	middle := mls.LeafIndex(n / 4 * 2)
	return enter(config, fullBut(id, n, 0, middle, middle+1))
}

// fullBut is a crowd on the first n leaves, but for some that are blank. Of each two neighbours the left has
// committed, or else the right.
func fullBut(id mls.CipherSuite, n int, blank ...mls.LeafIndex) Crowd {
	c := Crowd{Suite: id, Seed: uint64(n)}
	for l := range mls.LeafIndex(n) {
		if slices.Contains(blank, l) {
			continue
		}
		if c.Members = append(c.Members, l); l%2 == 0 || l == 1 && slices.Contains(blank, 0) {
			c.Committers = append(c.Committers, l)
		}
	}
	return c
}

// Host returns the member A of a group of n members, at least six, beside whom there is room for two: who is
// invited there is not an unmerged leaf of any node.
func Host(config mls.Config, id mls.CipherSuite, n int) (*mls.Group, error) {
	a := mls.LeafIndex(n / 8 * 4)
	info, ratchetTree, err := fullBut(id, n+2, a, a+1, a+2).GroupInfo(config)
	if err != nil {
		return nil, err
	}
	host, _, err := join(config, id, "A", info, ratchetTree)
	return host, err
}

// SparseCrowd returns a cast in a group of n members that has lost as many: blank leaves lie at random, and
// one in eight members committed since those next to it left.
func SparseCrowd(config mls.Config, id mls.CipherSuite, n int) (*Cast, error) {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	c := Crowd{Suite: id, Seed: uint64(n)}
	for _, i := range random.Perm(2 * n)[:n] {
		if l := mls.LeafIndex(i); l > 2 && len(c.Members) < n-3 {
			c.Members = append(c.Members, l)
		}
	}
	c.Committers = slices.Clone(c.Members[:len(c.Members)/8])
	slices.Sort(c.Members)
	return enter(config, c)
}

// enter has three members join a crowd: C and A by themselves, B invited by A.
func enter(config mls.Config, c Crowd) (*Cast, error) {
	info, ratchetTree, err := c.GroupInfo(config)
	if err != nil {
		return nil, err
	}
	out := &Cast{}
	if out.C, _, err = join(config, c.Suite, "C", info, ratchetTree); err != nil {
		return nil, err
	}
	if info, err = out.C.GroupInfo(mls.GroupInfoOptions{ExternalPub: true, WithoutTree: true}); err != nil {
		return nil, err
	}
	var commit []byte
	if out.A, commit, err = join(config, c.Suite, "A", info, out.C.RatchetTree()); err != nil {
		return nil, err
	}
	if err := follow(out.C, commit); err != nil {
		return nil, err
	}
	if commit, err = out.invite(config, c.Suite); err != nil {
		return nil, err
	}
	return out, follow(out.C, commit)
}

func small(config mls.Config, id mls.CipherSuite, n int) (*Cast, error) {
	who, err := identity(config, id, "A")
	if err != nil {
		return nil, err
	}
	out := &Cast{}
	if out.A, err = mls.NewGroup(config, id, who, mls.GroupOptions{}); err != nil {
		return nil, err
	}
	if _, err := out.invite(config, id); err != nil {
		return nil, err
	}
	out.C = out.B
	if n != 2 {
		return nil, fmt.Errorf("a crowd of %d", n)
	}
	return out, nil
}

func identity(config mls.Config, id mls.CipherSuite, name string) (mls.Identity, error) {
	key, err := mls.NewSignatureKey(config, id)
	return mls.Identity{Credential: mls.BasicCredential([]byte(name)), Key: key}, err
}

func join(config mls.Config, id mls.CipherSuite, name string, info, ratchetTree []byte) (*mls.Group, []byte, error) {
	who, err := identity(config, id, name)
	if err != nil {
		return nil, nil, err
	}
	g, p, err := mls.JoinExternal(config, info, who, mls.ExternalOptions{RatchetTree: ratchetTree})
	if err != nil {
		return nil, nil, err
	}
	_, err = p.Apply()
	return g, p.Message, err
}

// invite has A add B.
func (c *Cast) invite(config mls.Config, id mls.CipherSuite) (commit []byte, err error) {
	who, err := identity(config, id, "B")
	if err != nil {
		return nil, err
	}
	if c.Bundle, err = mls.NewKeyPackage(config, id, who, mls.KeyPackageOptions{}); err != nil {
		return nil, err
	}
	p, err := c.A.Commit(mls.CommitOptions{Proposals: []mls.Proposal{&message.Add{KeyPackage: c.Bundle.KeyPackage}},
		GroupInfo: mls.GroupInfoOptions{WithoutTree: true}})
	if err != nil {
		return nil, err
	}
	if _, err := p.Apply(); err != nil {
		return nil, err
	}
	c.Welcome, c.Tree = p.Welcome, c.A.RatchetTree()
	c.B, err = c.Join(config)
	return p.Message, err
}

// Join has B join, which may be repeated.
func (c *Cast) Join(config mls.Config) (*mls.Group, error) {
	j, err := mls.Join(config, c.Welcome, mls.JoinOptions{KeyPackages: []*mls.KeyPackageBundle{c.Bundle}, RatchetTree: c.Tree})
	if err != nil {
		return nil, err
	}
	return j.Group, nil
}

// follow has a member process and merge a commit.
func follow(g *mls.Group, commit []byte) error {
	r, err := g.Process(commit)
	if err != nil {
		return err
	}
	_, err = r.(*mls.StagedCommit).Merge()
	return err
}
