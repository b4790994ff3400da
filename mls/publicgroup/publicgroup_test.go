package publicgroup_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/mls/publicgroup"
)

type anyone struct{}

func (anyone) ValidateCredential(mls.Credential, []byte) error        { return nil }
func (anyone) ValidateSuccessor(mls.Credential, mls.Credential) error { return nil }

// cast is a group with public handshakes, and somebody who follows it.
type cast struct {
	t        *testing.T
	config   mls.Config
	suite    mls.CipherSuite
	members  []*mls.Group
	follower *publicgroup.Group
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCast(t *testing.T, suite mls.CipherSuite) *cast {
	c := &cast{t: t, suite: suite, config: mls.Config{Credentials: anyone{}, PublicHandshake: true}}
	g := must(mls.NewGroup(c.config, suite, c.identity("founder"), mls.GroupOptions{}))(t)
	c.members = append(c.members, g)
	info := must(g.GroupInfo(mls.GroupInfoOptions{}))(t)
	c.follower = must(publicgroup.New(publicgroup.Config{Credentials: anyone{}}, info, nil))(t)
	return c
}

func (c *cast) identity(name string) mls.Identity {
	return mls.Identity{Credential: mls.BasicCredential([]byte(name)), Key: must(mls.NewSignatureKey(c.config, c.suite))(c.t)}
}

// propose hands a proposal to everybody but its sender.
func (c *cast) propose(from int, out *mls.Outgoing) {
	for i, g := range c.members {
		if i != from {
			must(g.Process(out.Message))(c.t)
		}
	}
	p, _, err := c.follower.Process(out.Message)
	if err != nil || !bytes.Equal(p.Ref, out.Ref) {
		c.t.Fatalf("follower: %v", err)
	}
}

// commit lets everybody take a commit, and compares what the follower knows with what a member knows.
func (c *cast) commit(from int, p *mls.PendingCommit) *publicgroup.Commit {
	c.t.Helper()
	var rest []*mls.Group
	for i, g := range c.members {
		if i == from {
			must(p.Apply())(c.t)
		} else {
			staged := must(g.Process(p.Message))(c.t).(*mls.StagedCommit)
			must(staged.Merge())(c.t)
		}
		if !g.Removed() {
			rest = append(rest, g)
		}
	}
	c.members = rest
	_, staged, err := c.follower.Process(p.Message)
	if err != nil {
		c.t.Fatalf("follower: %v", err)
	}
	if err := staged.Merge(); err != nil {
		c.t.Fatal(err)
	}
	if err := staged.Merge(); !errors.Is(err, mls.ErrStale) {
		c.t.Errorf("merged twice: %v", err)
	}
	if want := changeOf(p.Change); !slices.Equal(changeOf(staged.Change), want) {
		c.t.Errorf("the follower sees another change:\n%q; the committer\n%q", changeOf(staged.Change), want)
	}
	want, got := c.members[0].Context(), c.follower.Context()
	if !bytes.Equal(want.Append(nil), got.Append(nil)) || !bytes.Equal(c.members[0].RatchetTree(), c.follower.RatchetTree()) {
		c.t.Fatalf("the follower has another group in epoch %d", c.follower.Epoch())
	}
	return staged
}

// changeOf writes down all of a change.
func changeOf(c mls.Change) []string {
	list := []string{fmt.Sprint(c.Committer, c.Epoch, c.ReInit)}
	for _, m := range c.Added {
		list = append(list, fmt.Sprintf("added %d %x", m.Index, m.Leaf.Append(nil)))
	}
	for _, m := range c.Removed {
		list = append(list, fmt.Sprintf("removed %d %x", m.Index, m.Leaf.Append(nil)))
	}
	for _, m := range c.Updated {
		list = append(list, fmt.Sprintf("updated %d %x %x", m.Index, m.Old.Append(nil), m.New.Append(nil)))
	}
	for _, p := range c.Proposals {
		list = append(list, fmt.Sprintf("%v: %x", p.Sender, message.AppendProposal(nil, p.Proposal)))
	}
	return list
}

func (c *cast) add(name string) {
	b := must(mls.NewKeyPackage(c.config, c.suite, c.identity(name), mls.KeyPackageOptions{}))(c.t)
	p := must(c.members[0].Commit(mls.CommitOptions{Proposals: []mls.Proposal{&message.Add{KeyPackage: b.KeyPackage}}}))(c.t)
	staged := c.commit(0, p)
	if len(staged.Added) != 1 || !bytes.Equal(staged.Added[0].Leaf.Credential.Identity, []byte(name)) {
		c.t.Errorf("added: %v", staged.Added)
	}
	j := must(mls.Join(c.config, p.Welcome, mls.JoinOptions{KeyPackages: []*mls.KeyPackageBundle{b}}))(c.t)
	c.members = append(c.members, j.Group)
}

func TestFollow(t *testing.T) {
	for _, suite := range []mls.CipherSuite{mls.X25519_AES128GCM_SHA256_Ed25519, mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519} {
		t.Run(fmt.Sprintf("%#04x", uint16(suite)), func(t *testing.T) {
			c := newCast(t, suite)
			for i := range 6 {
				c.add(fmt.Sprint("member ", i))
			}
			c.propose(2, must(c.members[2].ProposeUpdate(nil))(t))
			c.propose(3, must(c.members[3].ProposeRemove(c.members[5].OwnIndex()))(t))
			staged := c.commit(1, must(c.members[1].Commit(mls.CommitOptions{}))(t))
			if len(staged.Proposals) != 2 || len(staged.Removed) != 1 || c.follower.Size() != 6 {
				t.Errorf("%d proposals, %d removed, %d members", len(staged.Proposals), len(staged.Removed), c.follower.Size())
			}
			info := must(c.members[0].GroupInfo(mls.GroupInfoOptions{ExternalPub: true}))(t)
			joiner, p, err := mls.JoinExternal(c.config, info, c.identity("joiner"), mls.ExternalOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.members = append(c.members, joiner)
			c.commit(len(c.members)-1, p)
			n := 0
			for m := range c.follower.Members() {
				if want, ok := joiner.Member(m.Index); !ok || !want.Leaf.Equal(m.Leaf) {
					t.Errorf("leaf %d differs", m.Index)
				}
				n++
			}
			if n != joiner.Size() || !bytes.Equal(c.follower.ConfirmationTag(), must(message.Unmarshal(must(joiner.GroupInfo(mls.GroupInfoOptions{}))(t)))(t).GroupInfo.ConfirmationTag) {
				t.Errorf("%d members, or another confirmation tag", n)
			}
		})
	}
}

// TestRefuse shows that the follower believes nobody.
func TestRefuse(t *testing.T) {
	c := newCast(t, mls.X25519_AES128GCM_SHA256_Ed25519)
	for i := range 3 {
		c.add(fmt.Sprint("member ", i))
	}
	p := must(c.members[1].Commit(mls.CommitOptions{}))(t)
	m := must(message.Unmarshal(p.Message))(t)
	forge := func(change func(*message.PublicMessage)) []byte {
		m := must(message.Unmarshal(bytes.Clone(p.Message)))(t)
		change(m.Public)
		return m.Marshal()
	}
	if m.Public == nil {
		t.Fatal("the commit is not public")
	}
	text := must(c.members[1].Encrypt([]byte("text"), nil))(t)
	for name, bad := range map[string]struct {
		message []byte
		want    error
	}{
		"a private message":   {text.Message, publicgroup.ErrPrivate},
		"another group":       {forge(func(p *message.PublicMessage) { p.Content.GroupID = []byte("other") }), mls.ErrWrongGroup},
		"a past epoch":        {forge(func(p *message.PublicMessage) { p.Content.Epoch-- }), mls.ErrWrongEpoch},
		"a sender of no leaf": {forge(func(p *message.PublicMessage) { p.Content.Sender.Index = 77 }), mls.ErrUnknownSender},
		"another sender":      {forge(func(p *message.PublicMessage) { p.Content.Sender.Index = 0 }), mls.ErrSignature},
		"changed content":     {forge(func(p *message.PublicMessage) { p.Content.Commit.Path.Nodes[0].EncryptionKey[0] ^= 1 }), mls.ErrSignature},
		"an unknown proposal": {forge(func(p *message.PublicMessage) { p.Content.AuthenticatedData = []byte("x") }), mls.ErrSignature},
		"no message at all":   {p.Message[:10], mls.ErrMalformed},
	} {
		if _, _, err := c.follower.Process(bad.message); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v; want %v", name, err, bad.want)
		}
	}
	out := must(c.members[2].ProposeUpdate(nil))(t)
	must(c.members[1].Process(out.Message))(t)
	p.Discard()
	byRef := must(c.members[1].Commit(mls.CommitOptions{}))(t)
	if _, _, err := c.follower.Process(byRef.Message); !errors.Is(err, mls.ErrUnknownProposal) {
		t.Errorf("a commit of a proposal that was never seen: %v", err)
	}
}

// allBut accepts everybody but one.
type allBut struct {
	anyone
	identity string
}

func (a allBut) ValidateCredential(c mls.Credential, _ []byte) error {
	if string(c.Identity) == a.identity {
		return errors.New("refused")
	}
	return nil
}

func TestRefuseGroupInfo(t *testing.T) {
	c := newCast(t, mls.X25519_AES128GCM_SHA256_Ed25519)
	senders := message.MarshalExternalSenders([]message.ExternalSender{{SignatureKey: make([]byte, 32), Credential: mls.BasicCredential([]byte("service"))}})
	g := must(mls.NewGroup(c.config, c.suite, c.identity("founder"), mls.GroupOptions{
		Extensions: mls.Extensions{{Type: message.ExtensionExternalSenders, Data: senders}}}))(t)
	whole, bare := must(g.GroupInfo(mls.GroupInfoOptions{}))(t), must(g.GroupInfo(mls.GroupInfoOptions{WithoutTree: true}))(t)
	forged := must(message.Unmarshal(bytes.Clone(whole)))(t)
	forged.GroupInfo.Context.Epoch++
	for _, x := range []struct {
		name        string
		info, tree  []byte
		credentials mls.CredentialValidator
		want        error
	}{
		{"as it is", whole, nil, anyone{}, nil},
		{"with the tree beside it", bare, g.RatchetTree(), anyone{}, nil},
		{"without a tree", bare, nil, anyone{}, mls.ErrNoTree},
		{"with the tree of another group", bare, c.members[0].RatchetTree(), anyone{}, mls.ErrSignature},
		{"changed", forged.Marshal(), nil, anyone{}, mls.ErrSignature},
		{"of a member who is refused", whole, nil, allBut{identity: "founder"}, mls.ErrCredential},
		{"of an external sender who is refused", whole, nil, allBut{identity: "service"}, mls.ErrCredential},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, err := publicgroup.New(publicgroup.Config{Credentials: x.credentials}, x.info, x.tree); !errors.Is(err, x.want) {
				t.Errorf("%v; want %v", err, x.want)
			}
		})
	}
}

func FuzzProcess(f *testing.F) {
	t := &testing.T{}
	c := newCast(t, mls.X25519_AES128GCM_SHA256_Ed25519)
	c.add("member")
	f.Add(must(c.members[1].Commit(mls.CommitOptions{}))(t).Message)
	f.Add(must(c.members[0].ProposeUpdate(nil))(t).Message)
	f.Fuzz(func(_ *testing.T, data []byte) { _, _, _ = c.follower.Process(data) })
}
