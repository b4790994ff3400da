package mls

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

const (
	customExtension message.ExtensionType = 0xF0E0
	customProposal  message.ProposalType  = 0xF0C0
)

func TestRequiredCapabilities(t *testing.T) {
	required := Extensions{{Type: message.ExtensionRequiredCapabilities, Data: (&message.RequiredCapabilities{
		Extensions: []message.ExtensionType{customExtension}, Proposals: []message.ProposalType{customProposal},
		Credentials: []message.CredentialType{message.CredentialBasic}}).Marshal()}}
	c := Config{Extensions: []message.ExtensionType{customExtension}, Proposals: []message.ProposalType{customProposal}}
	r := newRigOf(t, X25519_AES128GCM_SHA256_Ed25519, 2, c, required)
	alice := r.members[0]
	for name, lacks := range map[string]func(*Config){
		"the extension": func(c *Config) { c.Extensions = nil },
		"the proposal":  func(c *Config) { c.Proposals = nil },
	} {
		r.Run("nobody who lacks "+name, func(t *testing.T) {
			c := r.config
			lacks(&c)
			id := r.identity("lacking")
			b := good(NewKeyPackage(c, r.suite, id, KeyPackageOptions{}))(t)
			_, err := alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}})
			fails(t, err, ErrCapabilities)
			_, _, err = JoinExternal(c, r.info(alice), id, ExternalOptions{})
			fails(t, err, ErrCapabilities)
			_, err = NewGroup(c, r.suite, id, GroupOptions{Extensions: required})
			fails(t, err, ErrCapabilities)
			_, err = alice.Commit(CommitOptions{Leaf: &LeafOptions{Capabilities: b.KeyPackage.LeafNode.Capabilities}})
			fails(t, err, ErrCapabilities)
		})
	}
	r.Run("a credential that a member lacks", func(t *testing.T) {
		capabilities := *alice.tree.Leaf(0).Capabilities
		capabilities.Credentials = nil
		_, err := alice.Commit(CommitOptions{Leaf: &LeafOptions{Capabilities: &capabilities}})
		fails(t, err, ErrCapabilities)
	})
	r.add(alice, "who has both")
	r.joinExternally(alice, "who has both too", ExternalOptions{})
	r.Run("are part of what the group tells", func(t *testing.T) {
		if !alice.Extensions().Equal(required) {
			t.Errorf("extensions %v", alice.Extensions())
		}
	})
}

func TestGREASE(t *testing.T) {
	r := newRig(t, 3, Config{})
	seen := map[uint16]bool{}
	for range 40 {
		k := r.bundle("new", KeyPackageOptions{}).KeyPackage
		c := k.LeafNode.Capabilities
		lists := map[string][]uint16{}
		for _, v := range c.CipherSuites {
			lists["suites"] = append(lists["suites"], uint16(v))
		}
		for _, v := range c.Extensions {
			lists["extensions"] = append(lists["extensions"], uint16(v))
		}
		for _, v := range c.Proposals {
			lists["proposals"] = append(lists["proposals"], uint16(v))
		}
		for _, v := range c.Credentials {
			lists["credentials"] = append(lists["credentials"], uint16(v))
		}
		for _, e := range k.Extensions {
			lists["extensions of the key package"] = append(lists["extensions of the key package"], uint16(e.Type))
		}
		if len(lists) != 5 {
			t.Fatalf("lists %v", lists)
		}
		for name, list := range lists {
			at := slices.IndexFunc(list, message.IsGREASE)
			if at < 0 {
				t.Fatalf("no such value among the %s: %#04x", name, list)
			}
			seen[list[at]] = true
		}
	}
	for v := range seen {
		// RFC 9420, section 13.5: 0x0A0A, 0x1A1A, … 0xEAEA.
		if v>>8 != v&0xff || v&0x0f != 0x0a || v == 0xfafa {
			t.Errorf("%#04x is not reserved", v)
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d different values", len(seen))
	}
	info := good(message.Unmarshal(r.info(r.members[0])))(t).GroupInfo
	if !slices.ContainsFunc(info.Extensions, func(e Extension) bool { return message.IsGREASE(e.Type) }) {
		t.Error("no such extension in the group info")
	}
	if slices.ContainsFunc(info.Context.Extensions, func(e Extension) bool { return message.IsGREASE(e.Type) }) {
		t.Error("such an extension in the group context")
	}
	r.Run("values of others are ignored", func(t *testing.T) {
		b := r.bundle("greasy", KeyPackageOptions{})
		n := b.KeyPackage.LeafNode
		capabilities := *n.Capabilities
		capabilities.Extensions = append(slices.Clone(capabilities.Extensions), 0x3A3A, 0xDADA)
		n.Capabilities, n.Extensions = &capabilities, Extensions{{Type: 0xDADA, Data: []byte("anything")}}
		b.KeyPackage.Extensions = Extensions{{Type: 0x4A4A, Data: []byte("anything")}}
		resignKeyPackage(t, b)
		good(ParseKeyPackage(r.config, b.Message()))(t)
		p := r.commit(r.members[0], CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}},
			GroupInfo: GroupInfoOptions{Extensions: Extensions{{Type: 0xF5A5, Data: []byte("anything")}}}})
		j := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t)
		if data, _ := j.Info.Find(0xF5A5); string(data) != "anything" {
			t.Errorf("extensions of the group info: %v", j.Info)
		}
	})
	r.Run("a leaf has no extension that it does not list", func(t *testing.T) {
		_, err := NewKeyPackage(r.config, r.suite, r.identity("new"), KeyPackageOptions{Leaf: LeafOptions{Extensions: Extensions{{Type: 0x00F0}}}})
		fails(t, err, ErrLeafNode)
	})
	r.Run("none where they are not wanted", func(t *testing.T) {
		c := r.config
		c.NoGREASE = true
		k := good(NewKeyPackage(c, r.suite, r.identity("new"), KeyPackageOptions{}))(t).KeyPackage
		if len(k.Extensions) != 0 || slices.ContainsFunc(k.LeafNode.Capabilities.Extensions, message.IsGREASE) {
			t.Error("such a value")
		}
	})
}

func TestLastResortKeyPackage(t *testing.T) {
	r := newRig(t, 1, Config{})
	b := r.bundle("bob", KeyPackageOptions{LastResort: true})
	k := good(ParseKeyPackage(r.config, b.Message()))(t)
	if !k.IsLastResort() || r.bundle("carol", KeyPackageOptions{}).KeyPackage.IsLastResort() {
		t.Error("not marked, or marked without being asked")
	}
	r.Run("joins two groups", func(t *testing.T) {
		b := good(UnmarshalKeyPackageBundle(r.config, b.Marshal()))(t)
		for _, name := range []string{"one", "two"} {
			g := good(NewGroup(r.config, r.suite, r.identity(name), GroupOptions{}))(t)
			p := good(g.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}}))(t)
			good(p.Apply())(t)
			j := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{r.bundle("another", KeyPackageOptions{}), b}}))(t)
			if !j.KeyPackage.KeyPackage.IsLastResort() {
				t.Error("joined with another key package")
			}
			r.says(j.Group, g, "joined "+name)
		}
	})
	r.Run("is marked by the component of the draft too", func(t *testing.T) {
		dict := message.AppDataDictionary{{Component: message.ComponentLastResortKeyPackage}}
		b := r.bundle("bob", KeyPackageOptions{Extensions: Extensions{{Type: message.ExtensionAppDataDictionary, Data: dict.Marshal()}}})
		if !good(ParseKeyPackage(r.config, b.Message()))(t).IsLastResort() {
			t.Error("not marked")
		}
	})
	r.Run("a welcome for none of the key packages", func(t *testing.T) {
		p := good(r.members[0].Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}}))(t)
		_, err := Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{r.bundle("bob", KeyPackageOptions{})}})
		fails(t, err, ErrNotForMe)
	})
	r.Run("a bundle is put together from keys that belong to it", func(t *testing.T) {
		other := r.bundle("other", KeyPackageOptions{})
		mixed := bytes.Replace(b.Marshal(), b.key.Bytes(), other.key.Bytes(), 1)
		_, err := UnmarshalKeyPackageBundle(r.config, mixed)
		fails(t, err, ErrKeyPackage)
	})
}

var errNoNumber = errors.New("update is not a number")

// sum is an application component: its entry is the sum of all updates, each a byte.
func sum(_ message.ComponentID, current []byte, updates [][]byte) ([]byte, error) {
	total := byte(0)
	for _, b := range append([][]byte{current}, updates...) {
		if len(b) > 1 {
			return nil, errNoNumber
		}
		for _, v := range b {
			total += v
		}
	}
	return []byte{total}, nil
}

func TestApplicationDataOfComponents(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true, AppData: sum})
	alice, bob := r.members[0], r.members[1]
	entry := func(g *Group, c message.ComponentID) []byte {
		data, _ := g.Extensions().Find(message.ExtensionAppDataDictionary)
		if data == nil {
			return nil
		}
		value, _ := good(message.UnmarshalAppDataDictionary(data))(t).Find(c)
		return value
	}
	update := func(c message.ComponentID, v ...byte) *message.AppDataUpdate {
		return &message.AppDataUpdate{Component: c, Update: v}
	}
	r.propose(bob, good(bob.Propose(update(0xF001, 1), nil))(t), nil)
	p := r.commit(alice, CommitOptions{Proposals: []Proposal{update(0xF001, 2), update(0xF000, 5), update(0xF001, 4)}, WithoutPath: true})
	if good(message.Unmarshal(p.Message))(t).Public.Content.Commit.Path != nil {
		t.Error("application data needs no path")
	}
	for _, g := range r.members {
		same(t, "sum of updates", entry(g, 0xF001), []byte{7})
		same(t, "the other component", entry(g, 0xF000), []byte{5})
	}
	r.commit(bob, CommitOptions{Proposals: []Proposal{&message.AppDataUpdate{Component: 0xF000, Remove: true}}})
	same(t, "after it was removed", entry(alice, 0xF000), nil)
	same(t, "what stays", entry(alice, 0xF001), []byte{7})
	r.Run("who joins knows it", func(t *testing.T) {
		same(t, "by welcome", entry(r.add(alice, "carol")[0], 0xF001), []byte{7})
		same(t, "by external commit", entry(r.joinExternally(alice, "dave", ExternalOptions{}), 0xF001), []byte{7})
	})
	removal := &message.AppDataUpdate{Component: 0xF001, Remove: true}
	for name, list := range map[string][]Proposal{
		"removed and changed":             {update(0xF001, 1), removal},
		"changed and removed":             {removal, update(0xF001, 1)},
		"removed twice":                   {removal, removal},
		"removed where there is none":     {&message.AppDataUpdate{Component: 0xF009, Remove: true}},
		"changed to what it cannot be":    {update(0xF001, 1, 2)},
		"changed where nobody knows what": nil,
	} {
		r.Run(name, func(t *testing.T) {
			if list == nil {
				lacking := newRig(t, 1, Config{Proposals: []message.ProposalType{message.ProposalAppDataUpdate}})
				_, err := lacking.members[0].Commit(CommitOptions{Proposals: []Proposal{update(1, 1)}})
				fails(t, err, ErrProposal)
				return
			}
			_, err := alice.Commit(CommitOptions{Proposals: list})
			fails(t, err, ErrProposal)
			r.refuses(bob, r.forgeCommit(alice, list...), ErrProposal)
		})
	}
	r.Run("what the component says is the cause", func(t *testing.T) {
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{update(0xF001, 1, 2)}})
		fails(t, err, errNoNumber)
	})
}

func TestDataBesideACommit(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice, bob := r.members[0], r.members[1]
	before := alice.Extensions()
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.AppEphemeral{Component: 0xF001, Data: []byte("beside")}}}))(t)
	staged := r.stage(bob, p.Message)
	if len(staged.Proposals) != 1 || string(staged.Proposals[0].Proposal.(*message.AppEphemeral).Data) != "beside" {
		t.Errorf("proposals %v", staged.Proposals)
	}
	r.merge(alice, p)
	if !alice.Extensions().Equal(before) {
		t.Error("it stays in the group")
	}
}

func TestCustomProposals(t *testing.T) {
	c := Config{Proposals: []message.ProposalType{customProposal}, Authorize: func(p Proposal, s Sender) error {
		if p, ok := p.(*message.Custom); ok && string(p.Data) == "forbidden" {
			return errRefused
		}
		return nil
	}}
	r := newRig(t, 3, c)
	alice, bob := r.members[0], r.members[1]
	custom := func(data string) *message.Custom {
		return &message.Custom{ProposalType: customProposal, Data: []byte(data)}
	}
	r.propose(alice, good(alice.Propose(custom("by reference"), nil))(t), nil)
	p := good(bob.Commit(CommitOptions{Proposals: []Proposal{custom("by value")}}))(t)
	staged := r.stage(r.members[2], p.Message)
	var got []string
	for _, a := range staged.Proposals {
		got = append(got, string(a.Proposal.(*message.Custom).Data))
	}
	if !slices.Equal(got, []string{"by reference", "by value"}) {
		t.Errorf("proposals %q", got)
	}
	r.merge(bob, p)
	r.Run("that the application refuses", func(t *testing.T) {
		_, err := alice.Propose(custom("forbidden"), nil)
		fails(t, err, ErrProposal, errRefused)
		_, err = alice.Commit(CommitOptions{Proposals: []Proposal{custom("forbidden")}})
		fails(t, err, ErrProposal, errRefused)
		r.refuses(bob, r.forgeProposal(alice, custom("forbidden")), ErrProposal, errRefused)
		r.refuses(bob, r.forgeCommit(alice, custom("forbidden")), ErrProposal, errRefused)
	})
	r.Run("of a type that a member does not list", func(t *testing.T) {
		other := &message.Custom{ProposalType: customProposal + 1}
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{other}})
		fails(t, err, ErrProposal, ErrCapabilities)
		r.refuses(bob, r.forgeCommit(alice, other), ErrCapabilities)
	})
	r.Run("members who come or go with the commit need not know it", func(t *testing.T) {
		without := r.config
		without.Proposals = nil
		k := good(NewKeyPackage(without, r.suite, r.identity("without"), KeyPackageOptions{}))(t)
		add := r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k.KeyPackage}, custom("beside an addition")}})
		j := good(Join(without, add.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{k}}))(t)
		r.members = append(r.members, j.Group)
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{custom("now it does")}})
		fails(t, err, ErrCapabilities)
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: j.OwnIndex()}, custom("beside a removal")}})
	})
}
