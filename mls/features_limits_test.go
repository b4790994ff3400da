package mls

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

func TestMemberLimit(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true, MaxMembers: 4})
	alice, bob := r.members[0], r.members[1]
	lax := r.config
	lax.MaxMembers = 100
	r.Run("more are refused", func(t *testing.T) {
		two := []Proposal{r.addition("fourth"), r.addition("fifth")}
		_, err := alice.Commit(CommitOptions{Proposals: two})
		fails(t, err, ErrTooManyMembers)
		r.refuses(bob, r.forgeCommit(alice, two...), ErrTooManyMembers)
	})
	fourth := r.add(alice, "fourth")[0]
	r.Run("who joins by itself too", func(t *testing.T) {
		_, _, err := JoinExternal(r.config, r.info(alice), r.identity("fifth"), ExternalOptions{})
		fails(t, err, ErrTooManyMembers)
		_, p := good2(JoinExternal(lax, r.info(alice), r.identity("fifth"), ExternalOptions{}))(t)
		r.refuses(bob, p.Message, ErrTooManyMembers)
	})
	r.Run("a group that is larger is not joined", func(t *testing.T) {
		small := r.config
		small.MaxMembers = 3
		_, _, err := JoinExternal(small, r.info(alice), r.identity("new"), ExternalOptions{})
		fails(t, err, ErrTooManyMembers)
	})
	r.Run("one may take another's place", func(t *testing.T) {
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: fourth.OwnIndex()}, r.addition("instead")}})
	})
}

func TestMessageSizeLimit(t *testing.T) {
	const limit = 20_000
	r := newRig(t, 3, Config{MaxMessageSize: limit})
	alice, bob := r.members[0], r.members[1]
	large := make([]byte, limit+1)
	r.Run("of what is sent", func(t *testing.T) {
		_, err := alice.Encrypt(large, nil)
		fails(t, err, ErrTooLarge)
		_, err = alice.Encrypt(nil, large)
		fails(t, err, ErrTooLarge)
		_, err = alice.Commit(CommitOptions{AuthenticatedData: large})
		fails(t, err, ErrTooLarge)
		var many []Proposal
		for i := range 60 {
			many = append(many, r.addition(fmt.Sprint(i)))
		}
		_, err = alice.Commit(CommitOptions{Proposals: many})
		fails(t, err, ErrTooLarge)
		_, err = alice.Export("label", nil, 255*32+1)
		fails(t, err, ErrTooLarge)
		_, err = alice.Export("label", nil, -1)
		fails(t, err, ErrTooLarge)
		good(alice.Export("label", nil, 255*32))(t)
	})
	r.Run("of what is received", func(t *testing.T) {
		r.refuses(bob, large, ErrTooLarge)
		_, err := Join(r.config, large, JoinOptions{})
		fails(t, err, ErrTooLarge)
		_, _, err = JoinExternal(r.config, large, r.identity("new"), ExternalOptions{})
		fails(t, err, ErrTooLarge)
		_, err = ParseKeyPackage(r.config, large)
		fails(t, err, ErrTooLarge)
		b := r.bundle("new", KeyPackageOptions{Extensions: Extensions{{Type: 0x00F0, Data: large}}})
		for _, data := range [][]byte{b.Message(), b.KeyPackage.Append(nil)} {
			_, err = ParseKeyPackage(r.config, data)
			fails(t, err, ErrTooLarge)
		}
	})
	text := make([]byte, limit-2000)
	r.hears(bob, good(alice.Encrypt(text, nil))(t).Message, string(text))
}

// TestFewKeysAreKeptOfManyThatAreMissing: whoever was away for long reads what comes next, and does not carry along what never comes.
func TestFewKeysAreKeptOfManyThatAreMissing(t *testing.T) {
	r := newRig(t, 2, Config{MaxForward: 5000})
	alice, bob := r.members[0], r.members[1]
	var sent [][]byte
	for i := range 3001 {
		sent = append(sent, good(alice.Encrypt([]byte(fmt.Sprint(i)), nil))(t).Message)
	}
	r.hears(bob, sent[3000], "3000")
	r.refuses(bob, sent[1999], ErrConsumed)
	r.hears(bob, sent[2000], "2000")
	r.hears(r.restored(bob), sent[2999], "2999")
}

func TestForwardLimit(t *testing.T) {
	r := newRig(t, 3, Config{MaxForward: 10})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	var sent [][]byte
	for i := range 40 {
		sent = append(sent, good(alice.Encrypt([]byte(fmt.Sprint(i)), nil))(t).Message)
	}
	r.refuses(bob, sent[11], ErrTooFar)
	r.hears(bob, sent[10], "10")
	r.refuses(bob, sent[22], ErrTooFar)
	r.hears(bob, sent[21], "21") // passes over ten more, and drops the keys of the oldest ten
	for i, want := range map[int]error{0: ErrConsumed, 9: ErrConsumed, 10: ErrConsumed, 21: ErrConsumed} {
		r.refuses(bob, sent[i], want)
	}
	for _, i := range []int{20, 11, 15, 22} {
		r.hears(bob, sent[i], fmt.Sprint(i))
	}
	r.Run("counts for each sender and each restart", func(t *testing.T) {
		r.hears(carol, sent[10], "10")
		r.hears(r.restored(carol), sent[20], "20")
		r.refuses(r.restored(carol), sent[22], ErrTooFar)
	})
	r.Run("counts handshakes by themselves", func(t *testing.T) {
		for range 12 {
			good(alice.ProposeUpdate(nil))(t)
		}
		out := good(alice.ProposeUpdate(nil))(t)
		r.refuses(bob, out.Message, ErrTooFar)
	})
}

func TestPastEpochLimit(t *testing.T) {
	for limit, want := range map[int]int{0: 5, 2: 2, -1: 0} {
		t.Run(fmt.Sprintf("%d keeps %d", limit, want), func(t *testing.T) {
			r := newRig(t, 2, Config{PastEpochs: limit})
			alice, bob := r.members[0], r.members[1]
			var sent [][]byte
			for i := range 8 {
				sent = append(sent, good(alice.Encrypt([]byte(fmt.Sprint(i)), nil))(t).Message)
				if i < 7 {
					r.commit(bob, CommitOptions{})
				}
			}
			for i, data := range sent {
				if age := len(sent) - 1 - i; age <= want {
					r.hears(bob, data, fmt.Sprint(i))
					r.refuses(r.restored(bob), data, ErrConsumed)
				} else {
					r.refuses(bob, data, ErrEpochGone)
				}
			}
		})
	}
	r := newRig(t, 3, Config{})
	alice, bob := r.members[0], r.members[1]
	late := good(alice.Encrypt([]byte("late"), nil))(t).Message
	proposal := good(alice.ProposeUpdate(nil))(t).Message
	r.commit(bob, CommitOptions{})
	r.Run("only texts may be late", func(t *testing.T) { r.refuses(bob, proposal, ErrWrongEpoch) })
	r.Run("nothing may be early", func(t *testing.T) {
		early := r.reencoded(late, func(m *message.Message) { m.Private.Epoch = bob.Epoch() + 1 })
		r.refuses(bob, early, ErrWrongEpoch)
	})
	r.Run("of another group", func(t *testing.T) {
		r.refuses(bob, r.reencoded(late, func(m *message.Message) { m.Private.GroupID = []byte("other") }), ErrWrongGroup)
		other := newRig(t, 2, Config{})
		r.refuses(bob, good(other.members[0].Encrypt([]byte("text"), nil))(t).Message, ErrWrongGroup)
	})
	r.Run("with a lower limit after a restart", func(t *testing.T) {
		for range 4 {
			r.commit(bob, CommitOptions{})
		}
		list := records{}
		list.apply(bob.Records())
		c := r.config
		c.PastEpochs = 1
		less := good(Restore(c, list))(t)
		p := good(alice.Commit(CommitOptions{}))(t)
		list.apply(good(r.stage(less, p.Message).Merge())(t))
		var kept []string
		for key := range list {
			if len(key) > len(recordPast) && key[:len(recordPast)] == recordPast {
				kept = append(kept, key)
			}
		}
		if len(kept) != 1 || len(less.past) != 1 {
			t.Errorf("keeps %v", kept)
		}
		p.Discard()
	})
}

func TestPadding(t *testing.T) {
	size := func(r *rig, n int) int {
		return len(good(r.members[0].Encrypt(bytes.Repeat([]byte("x"), n), nil))(t).Message)
	}
	for name, c := range map[string]struct {
		padding func(int) int
		sizes   int
	}{"to a multiple of 64": {nil, 3}, "to a multiple of 1000": {PadToMultiple(1000), 1}, "none": {NoPadding, 100},
		"less than there is": {func(int) int { return 0 }, 100}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, Config{Padding: c.padding})
			var sizes []int
			for n := range 100 {
				sizes = append(sizes, size(r, n))
			}
			if got := len(slices.Compact(sizes)); got > c.sizes || got < c.sizes-2 {
				t.Errorf("%d sizes of 100 texts, want %d", got, c.sizes)
			}
			r.says(r.members[0], r.members[1], "text")
		})
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	r := newRig(t, 1, Config{})
	other := good(NewSignatureKey(r.config, X25519_CHACHA20POLY1305_SHA256_Ed25519))(t)
	id := r.identity("new")
	for name, c := range map[string]struct {
		config   Config
		identity Identity
		suite    CipherSuite
		want     error
	}{
		"no credentials":                     {Config{}, id, r.suite, ErrConfig},
		"no signature key":                   {r.config, Identity{Credential: id.Credential}, r.suite, ErrConfig},
		"the signature key of another suite": {r.config, Identity{id.Credential, other}, r.suite, ErrConfig},
		"a suite that does not exist":        {r.config, id, 0x0999, ErrSuite},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewGroup(c.config, c.suite, c.identity, GroupOptions{})
			fails(t, err, c.want)
			_, err = NewKeyPackage(c.config, c.suite, c.identity, KeyPackageOptions{})
			fails(t, err, c.want)
			if c.suite == r.suite {
				_, _, err = JoinExternal(c.config, r.info(r.members[0]), c.identity, ExternalOptions{})
				fails(t, err, c.want)
			}
		})
	}
	t.Run("the hybrid suite at a code point of the application", func(t *testing.T) {
		c := Config{Credentials: anyone{}, HybridSuite: 0xF0AB}
		r := newRigOf(t, 0xF0AB, 2, c, nil)
		if r.members[1].CipherSuite() != 0xF0AB {
			t.Errorf("suite %#04x", r.members[1].CipherSuite())
		}
		_, _, err := JoinExternal(Config{Credentials: anyone{}}, r.info(r.members[0]), r.identity("new"), ExternalOptions{})
		fails(t, err, ErrSuite)
	})
}

func TestPathsThatCannotBeOpened(t *testing.T) {
	r := newRig(t, 4, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	p := good(alice.Commit(CommitOptions{}))(t)
	for name, spoil := range map[string]func(*message.UpdatePath){
		"a node too few": func(p *message.UpdatePath) { p.Nodes = p.Nodes[:1] },
		"a node too many": func(p *message.UpdatePath) {
			p.Nodes = append(p.Nodes, message.UpdatePathNode{EncryptionKey: []byte("key")})
		},
		"a ciphertext too few":     func(p *message.UpdatePath) { p.Nodes[0].Secrets = nil },
		"a ciphertext too many":    func(p *message.UpdatePath) { p.Nodes[0].Secrets = append(p.Nodes[0].Secrets, p.Nodes[0].Secrets[0]) },
		"a ciphertext for another": func(p *message.UpdatePath) { p.Nodes[0].Secrets[0] = p.Nodes[1].Secrets[0] },
		"a key that is none":       func(p *message.UpdatePath) { p.Nodes[0].EncryptionKey = make([]byte, 32) },
		"a key of another length":  func(p *message.UpdatePath) { p.Nodes[0].EncryptionKey = make([]byte, 31) },
	} {
		r.Run(name, func(t *testing.T) { r.refuses(bob, r.resignPath(alice, p.Message, spoil), ErrPath) })
	}
	for name, spoil := range map[string]func(*message.UpdatePath){
		"a leaf that is signed by another": func(p *message.UpdatePath) { p.LeafNode.Signature[0] ^= 1 },
		"a leaf for another place":         func(p *message.UpdatePath) { r.signLeaf(bob, p.LeafNode) },
	} {
		r.Run(name, func(t *testing.T) {
			r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) { spoil(m.Content.Commit.Path) }), ErrLeafNode, ErrSignature)
		})
	}
	r.Run("a leaf of another source", func(t *testing.T) {
		r.refuses(bob, r.resignPath(alice, p.Message, func(p *message.UpdatePath) { p.LeafNode.Source = message.SourceUpdate }), ErrLeafNode)
	})
	r.Run("a secret of another key", func(t *testing.T) {
		context := p.next.context
		context.ConfirmedTranscriptHash = alice.Context().ConfirmedTranscriptHash
		for _, secret := range [][]byte{make([]byte, 32), make([]byte, 31), nil} {
			kemOutput, ciphertext := good2(alice.suite.EncryptWithLabel(nil, bob.tree.Leaf(1).EncryptionKey, "UpdatePathNode", context.Append(nil), secret))(t)
			r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) {
				m.Content.Commit.Path.Nodes[0].Secrets[0] = message.HPKECiphertext{KEMOutput: kemOutput, Ciphertext: ciphertext}
			}), ErrPath)
		}
	})
	r.merge(alice, p)
}
