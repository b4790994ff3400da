package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// rig is a group whose members see every message in the same order.
type rig struct {
	*testing.T
	config  Config
	suite   CipherSuite
	members []*Group // in the order that they came
}

// newRig returns a group of n members, named m0 and so on, at the leaves 0 to n-1. The founder added all others in one commit.
func newRig(t *testing.T, n int, config Config) *rig {
	t.Helper()
	return newRigOf(t, X25519_AES128GCM_SHA256_Ed25519, n, config, nil)
}

// newRigOf is newRig with a suite and with the extensions that the group starts with.
func newRigOf(t *testing.T, suite CipherSuite, n int, config Config, extensions Extensions) *rig {
	t.Helper()
	if config.Credentials == nil {
		config.Credentials = anyone{}
	}
	r := &rig{T: t, config: config, suite: suite}
	founder := good(NewGroup(config, suite, r.identity("m0"), GroupOptions{Extensions: extensions}))(t)
	r.members = []*Group{founder}
	var names []string
	for i := 1; i < n; i++ {
		names = append(names, fmt.Sprint("m", i))
	}
	if n > 1 {
		r.add(founder, names...)
	}
	return r
}

// Run runs a subtest, in which the rig's own failures are that test's.
func (r *rig) Run(name string, f func(*testing.T)) bool {
	r.Helper()
	parent := r.T
	defer func() { r.T = parent }()
	return parent.Run(name, func(t *testing.T) { r.T = t; f(t) })
}

func (r *rig) identity(name string) Identity {
	r.Helper()
	return Identity{BasicCredential([]byte(name)), good(NewSignatureKey(r.config, r.suite))(r)}
}

func (r *rig) bundle(name string, o KeyPackageOptions) *KeyPackageBundle {
	r.Helper()
	return good(NewKeyPackage(r.config, r.suite, r.identity(name), o))(r)
}

// addition returns the proposal to add a new client.
func (r *rig) addition(name string) *message.Add {
	r.Helper()
	return &message.Add{KeyPackage: r.bundle(name, KeyPackageOptions{}).KeyPackage}
}

// add has a member add new ones, who join.
func (r *rig) add(by *Group, names ...string) []*Group {
	r.Helper()
	return r.addWith(by, CommitOptions{}, names...)
}

// addWith is add, with more in the commit.
func (r *rig) addWith(by *Group, o CommitOptions, names ...string) []*Group {
	r.Helper()
	var bundles []*KeyPackageBundle
	for _, name := range names {
		b := r.bundle(name, KeyPackageOptions{})
		bundles = append(bundles, b)
		o.Proposals = append(o.Proposals, &message.Add{KeyPackage: b.KeyPackage})
	}
	p := r.commit(by, o)
	var joined []*Group
	for _, b := range bundles {
		j := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(r)
		joined = append(joined, j.Group)
	}
	r.members = append(r.members, joined...)
	r.agree()
	return joined
}

// commit has a member commit, and all others merge it.
func (r *rig) commit(by *Group, o CommitOptions) *PendingCommit {
	r.Helper()
	p := good(by.Commit(o))(r)
	r.merge(by, p)
	return p
}

// merge has a pending commit applied by its maker and merged by all others.
func (r *rig) merge(by *Group, p *PendingCommit) {
	r.Helper()
	for _, g := range r.members {
		if g != by {
			good(r.stage(g, p.Message).Merge())(r)
		}
	}
	good(p.Apply())(r)
	r.members = slices.DeleteFunc(r.members, (*Group).Removed)
	r.agree()
}

func (r *rig) stage(g *Group, commit []byte) *StagedCommit {
	r.Helper()
	staged, ok := good(g.Process(commit))(r).(*StagedCommit)
	if !ok {
		r.Fatal("the commit was taken for something else")
	}
	return staged
}

// propose hands a proposal to all but its sender.
func (r *rig) propose(by *Group, out *Outgoing, err error) *Outgoing {
	r.Helper()
	good(out, err)(r)
	for _, g := range r.members {
		if g != by {
			if _, ok := good(g.Process(out.Message))(r).(*ReceivedProposal); !ok {
				r.Fatal("the proposal was taken for something else")
			}
		}
	}
	return out
}

// joinExternally has somebody join by an external commit, which all merge.
func (r *rig) joinExternally(by *Group, name string, o ExternalOptions) *Group {
	r.Helper()
	g, p := good2(JoinExternal(r.config, r.info(by), r.identity(name), o))(r)
	r.members = append(r.members, g)
	r.merge(g, p)
	return g
}

// info returns a group info that allows to join.
func (r *rig) info(by *Group) []byte {
	r.Helper()
	return good(by.GroupInfo(GroupInfoOptions{ExternalPub: true}))(r)
}

// says has a member send a text, which must reach another.
func (r *rig) says(from, to *Group, text string) *ApplicationMessage {
	r.Helper()
	return r.hears(to, good(from.Encrypt([]byte(text), nil))(r).Message, text)
}

// hears has a member open a message, which must hold the text.
func (r *rig) hears(g *Group, data []byte, text string) *ApplicationMessage {
	r.Helper()
	m, ok := good(g.Process(data))(r).(*ApplicationMessage)
	if !ok || string(m.Plaintext) != text {
		r.Fatalf("message is not %q", text)
	}
	return m
}

// agree verifies that all members are in the same state.
func (r *rig) agree() {
	r.Helper()
	for _, g := range r.members {
		same(r.T, "epoch authenticator", g.EpochAuthenticator(), r.members[0].EpochAuthenticator())
		same(r.T, "export", good(g.Export("label", nil, 16))(r), good(r.members[0].Export("label", nil, 16))(r))
		same(r.T, "tree", g.RatchetTree(), r.members[0].RatchetTree())
	}
}

// restored returns a group put together again from its records.
func (r *rig) restored(g *Group) *Group {
	r.Helper()
	list := records{}
	list.apply(g.Records())
	return good(Restore(r.config, list))(r)
}

// refuses verifies that a member refuses a message, with all of the errors, and that it changes nothing.
func (r *rig) refuses(g *Group, data []byte, want ...error) {
	r.Helper()
	before, proposals := g.EpochAuthenticator(), len(g.Proposals())
	_, err := g.Process(data)
	fails(r.T, err, want...)
	same(r.T, "epoch authenticator after a refused message", g.EpochAuthenticator(), before)
	if len(g.Proposals()) != proposals {
		r.Error("a refused message left a proposal")
	}
}

// fails verifies that err is each of the wanted errors.
func fails(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("got %v, want %v", err, w)
		}
	}
}

// good2 is good for two values.
func good2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

// forge signs what a member who does not keep the rules can send, as a public message.
func (r *rig) forge(by *Group, c *message.FramedContent) []byte {
	r.Helper()
	c.GroupID, c.Epoch, c.Sender = by.GroupID(), by.Epoch(), message.MemberSender(by.own)
	a := &message.AuthenticatedContent{WireFormat: message.WirePublicMessage, Content: c}
	if c.Commit != nil {
		a.Auth.ConfirmationTag = make([]byte, by.suite.HashSize())
	}
	if err := by.sign(a, by.key); err != nil {
		r.Fatal(err)
	}
	return good(by.protect(a))(r)
}

// forgeCommit signs a commit of the given proposals by value, without a path.
func (r *rig) forgeCommit(by *Group, proposals ...Proposal) []byte {
	r.Helper()
	c := &message.Commit{}
	for _, p := range proposals {
		c.Proposals = append(c.Proposals, message.ProposalOrRef{Proposal: p})
	}
	return r.forge(by, &message.FramedContent{Type: message.ContentCommit, Commit: c})
}

func (r *rig) forgeProposal(by *Group, p Proposal) []byte {
	r.Helper()
	return r.forge(by, &message.FramedContent{Type: message.ContentProposal, Proposal: p})
}

// resign changes a public message of a member and signs it again. Its confirmation tag stays.
func (r *rig) resign(by *Group, data []byte, change func(*message.PublicMessage)) []byte {
	r.Helper()
	m := good(message.Unmarshal(bytes.Clone(data)))(r)
	change(m.Public)
	a := m.Public.Authenticated()
	if err := by.sign(a, by.key); err != nil {
		r.Fatal(err)
	}
	return good(by.protect(a))(r)
}

// resignPath changes the path of a member's commit and signs its leaf and the commit again.
func (r *rig) resignPath(by *Group, data []byte, change func(*message.UpdatePath)) []byte {
	r.Helper()
	return r.resign(by, data, func(m *message.PublicMessage) {
		path := m.Content.Commit.Path
		change(path)
		r.signLeaf(by, path.LeafNode)
	})
}

// fitPath has the path of a member's commit carry the parent hash that its proposals, all by value, lead to.
func (r *rig) fitPath(by *Group, c *message.Commit) {
	r.Helper()
	var items []transition.Item
	for _, p := range c.Proposals {
		items = append(items, transition.Item{Proposal: p.Proposal, Sender: message.MemberSender(by.own)})
	}
	context := by.Context()
	result := good(by.rules.Apply(by.tree, &context, message.MemberSender(by.own), items))(r)
	var keys [][]byte
	for _, n := range c.Path.Nodes {
		keys = append(keys, n.EncryptionKey)
	}
	c.Path.LeafNode.ParentHash = result.Diff.SetPath(by.own, result.Diff.FilteredPath(by.own), keys)
	r.signLeaf(by, c.Path.LeafNode)
}

func (r *rig) signLeaf(by *Group, n *LeafNode) {
	r.Helper()
	if err := signLeaf(by.config, by.suite, by.key, n, by.GroupID(), by.own); err != nil {
		r.Fatal(err)
	}
}

// reencoded decodes a message, changes it, and encodes it.
func (r *rig) reencoded(data []byte, change func(*message.Message)) []byte {
	r.Helper()
	m := good(message.Unmarshal(bytes.Clone(data)))(r)
	change(m)
	return m.Marshal()
}

// seal encrypts an application message by hand: plaintext and sender data are what the caller makes of them.
func (r *rig) seal(by *Group, text string, plaintext func([]byte) []byte, data func(*message.SenderData)) []byte {
	r.Helper()
	a := &message.AuthenticatedContent{WireFormat: message.WirePrivateMessage, Content: by.content(message.ContentApplication, nil)}
	a.Content.Application = []byte(text)
	if err := by.sign(a, by.key); err != nil {
		r.Fatal(err)
	}
	content := a.AppendPrivateContent(nil, 16)
	if plaintext != nil {
		content = plaintext(content)
	}
	key := good(by.epoch.secrets.Next(by.own, ratchetOf(message.ContentApplication)))(r)
	sender := message.SenderData{Leaf: by.own, Generation: key.Generation, ReuseGuard: [4]byte{1, 2, 3, 4}}
	if data != nil {
		data(&sender)
	}
	m := &message.PrivateMessage{GroupID: by.GroupID(), Epoch: by.Epoch(), Type: message.ContentApplication}
	guard(key.Nonce, sender.ReuseGuard)
	m.Ciphertext = good(by.suite.Seal(key.Key, key.Nonce, m.AppendContentAAD(nil), content))(r)
	senderKey, senderNonce := by.senderDataKey(by.epoch, m.Ciphertext)
	m.EncryptedSenderData = good(by.suite.Seal(senderKey, senderNonce, m.AppendSenderDataAAD(nil), sender.Append(nil)))(r)
	return (&message.Message{Private: m}).Marshal()
}

// treeNode is one node of a ratchet tree; both fields are nil if it is blank.
type treeNode struct {
	leaf   *LeafNode
	parent *message.ParentNode
}

// nodes returns the nodes of a member's tree, in the order of the array form, to be changed.
func (r *rig) nodes(g *Group) []treeNode {
	r.Helper()
	tr := good(tree.Unmarshal(g.suite, g.RatchetTree(), 1000))(r)
	list := make([]treeNode, 2*tr.Size()-1)
	for i := range list {
		if x := tree.Node(i); x.IsLeaf() {
			list[i].leaf = tr.Leaf(x.Leaf())
		} else {
			list[i].parent = tr.Parent(x)
		}
	}
	return list
}

// marshalNodes encodes a ratchet tree.
func marshalNodes(list []treeNode) []byte {
	for len(list) > 0 && list[len(list)-1] == (treeNode{}) {
		list = list[:len(list)-1]
	}
	return codec.AppendList(nil, list, func(b []byte, n treeNode) []byte {
		switch {
		case n.leaf != nil:
			return n.leaf.Append(append(b, 1, 1))
		case n.parent != nil:
			return n.parent.Append(append(b, 1, 2))
		}
		return append(b, 0)
	})
}

// presented returns a member's group info with a tree of its choice, whose hash it vouches for.
func (r *rig) presented(by *Group, ratchetTree []byte) []byte {
	r.Helper()
	return r.reencoded(r.info(by), func(m *message.Message) {
		info := m.GroupInfo
		if tr, err := tree.Unmarshal(by.suite, ratchetTree, 1000); err == nil {
			info.Context.TreeHash = tr.Hash()
		}
		info.Extensions = info.Extensions.With(message.ExtensionRatchetTree, ratchetTree)
		info.Signature = good(by.suite.SignWithLabel(by.key, nil, "GroupInfoTBS", info.AppendTBS(nil)))(r)
	})
}

// joinable returns the error with which somebody outside takes a tree that a member presents, nil if it is taken.
func (r *rig) joinable(by *Group, list []treeNode) error {
	r.Helper()
	_, _, err := JoinExternal(r.config, r.presented(by, marshalNodes(list)), r.identity("outsider"), ExternalOptions{})
	return err
}
