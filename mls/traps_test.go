package mls

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/message"
)

// The traps that implementations of MLS fell into. In this file: those of encodings, senders and message keys; in
// traps_tree_test.go those of the ratchet tree, in traps_commit_test.go those of commits, in traps_checks_test.go those of
// what is checked of members and groups.

func TestTagsAreComparedInFullLength(t *testing.T) {
	r := newRig(t, 2, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	p := good(alice.Commit(CommitOptions{}))(t)
	for _, n := range []int{0, 1, 16, 31} {
		r.Run(fmt.Sprintf("%d bytes of a membership tag are none", n), func(t *testing.T) {
			r.refuses(bob, r.reencoded(p.Message, func(m *message.Message) {
				m.Public.MembershipTag = m.Public.MembershipTag[:n]
			}), ErrMembershipTag)
		})
		r.Run(fmt.Sprintf("%d bytes of a confirmation tag are none", n), func(t *testing.T) {
			r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) {
				m.Auth.ConfirmationTag = m.Auth.ConfirmationTag[:n]
			}), ErrConfirmationTag)
		})
	}
	r.Run("a tag with a byte more is none", func(t *testing.T) {
		r.refuses(bob, r.reencoded(p.Message, func(m *message.Message) {
			m.Public.MembershipTag = append(m.Public.MembershipTag, 0)
		}), ErrMembershipTag)
		r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) {
			m.Auth.ConfirmationTag = append(m.Auth.ConfirmationTag, 0)
		}), ErrConfirmationTag)
	})
	r.Run("the whole tags are taken", func(t *testing.T) { r.merge(alice, p) })
}

// Where a decoder computes the rest of a content from the lengths that it would write, a length in a longer form
// shifts what follows.
func TestContentInLongerFormIsRefused(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice, bob := r.members[0], r.members[1]
	r.refuses(bob, r.seal(alice, "text", func(content []byte) []byte {
		if content[0] != 4 {
			t.Fatal("the content does not start with the length of the text")
		}
		return append([]byte{0x40, 4}, content[1:]...)
	}, nil), ErrMalformed)
	r.hears(bob, r.seal(alice, "text", nil, nil), "text")
}

// everyKind returns a message of each wire format, and which bytes of it are a length of one byte.
func everyKind(r *rig) map[string][]byte {
	alice := r.members[0]
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{r.addition("new")}}))(r)
	alice.pending.Discard()
	return map[string][]byte{
		"public message":  r.forgeProposal(alice, r.addition("other")),
		"private message": good(alice.Encrypt([]byte("text"), nil))(r).Message,
		"welcome":         p.Welcome,
		"group info":      r.info(alice),
		"key package":     r.bundle("third", KeyPackageOptions{}).Message(),
	}
}

// readAs hands a message to the function that takes messages of its kind.
func readAs(r *rig, kind string, data []byte) (err error) {
	switch kind {
	case "public message", "private message":
		_, err = r.members[1].Process(data)
	case "welcome":
		_, err = Join(r.config, data, JoinOptions{})
	case "group info":
		_, _, err = JoinExternal(r.config, data, r.identity("outsider"), ExternalOptions{})
	case "key package":
		_, err = ParseKeyPackage(r.config, data)
	}
	return err
}

func TestLengthsAreMinimal(t *testing.T) {
	r := newRig(t, 2, Config{})
	for kind, data := range everyKind(r) {
		r.Run(kind, func(t *testing.T) {
			at := map[string]int{"group info": 8, "key package": 8, "welcome": 6}[kind]
			if at == 0 {
				at = 4 // the group id, behind version and wire format
			}
			longer := bytes.Clone(data[:at])
			switch {
			case data[at] < 0x40:
				longer = append(append(longer, 0x40, data[at]), data[at+1:]...)
			case data[at] < 0x80:
				longer = append(append(longer, 0x80, 0, data[at]&0x3f), data[at+1:]...)
			default:
				t.Fatalf("length %#x", data[at])
			}
			// What is no message may, by chance, have the form of a bare one: then its signature tells.
			if err := readAs(r, kind, longer); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) {
				t.Errorf("got %v", err)
			}
		})
	}
	r.Run("a length of eight bytes", func(t *testing.T) {
		data := append([]byte{0, 1, 0, 2, 0xc0, 0, 0, 0, 0, 0, 0, 1}, 'g')
		r.refuses(r.members[1], data, ErrMalformed)
	})
}

func TestTrailingBytesAreRefused(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice, bob := r.members[0], r.members[1]
	for kind, data := range everyKind(r) {
		r.Run("behind a "+kind, func(t *testing.T) {
			fails(t, readAs(r, kind, append(bytes.Clone(data), 0)), ErrMalformed)
			if kind != "welcome" { // which is for nobody here
				if err := readAs(r, kind, data); err != nil {
					t.Errorf("without them: %v", err)
				}
			}
		})
	}
	for name, e := range map[string]Extension{
		"external senders":      {Type: message.ExtensionExternalSenders, Data: append(message.MarshalExternalSenders(nil), 0)},
		"required capabilities": {Type: message.ExtensionRequiredCapabilities, Data: append((&message.RequiredCapabilities{}).Marshal(), 0)},
	} {
		r.Run("in the extension "+name, func(t *testing.T) {
			r.refuses(bob, r.forgeProposal(alice, &message.GroupContextExtensions{Extensions: Extensions{e}}), ErrMalformed)
			_, err := NewGroup(r.config, r.suite, r.identity("founder"), GroupOptions{Extensions: Extensions{e}})
			fails(t, err, ErrMalformed)
		})
	}
	r.Run("in the extension external pub", func(t *testing.T) {
		data := r.reencoded(r.info(alice), func(m *message.Message) {
			pub, _ := m.GroupInfo.Extensions.Find(message.ExtensionExternalPub)
			m.GroupInfo.Extensions = m.GroupInfo.Extensions.With(message.ExtensionExternalPub, append(bytes.Clone(pub), 0))
			m.GroupInfo.Signature = good(alice.suite.SignWithLabel(alice.key, nil, "GroupInfoTBS", m.GroupInfo.AppendTBS(nil)))(t)
		})
		fails(t, readAs(r, "group info", data), ErrMalformed)
	})
	r.Run("in the ratchet tree", func(t *testing.T) {
		fails(t, readAs(r, "group info", r.presented(alice, append(alice.RatchetTree(), 0))), ErrMalformed)
		list := append(r.nodes(alice), treeNode{}, treeNode{})
		blank := codec.AppendVecFunc(nil, func(b []byte) []byte {
			d := codec.NewDecoder(marshalNodes(list))
			return append(append(b, d.Vec()...), 0, 0)
		})
		fails(t, readAs(r, "group info", r.presented(alice, blank)), ErrTree)
	})
}

func TestPaddingThatIsNotZeroIsRefused(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice, bob := r.members[0], r.members[1]
	for name, at := range map[string]int{"first": -16, "last": -1} {
		r.Run(name+" byte", func(t *testing.T) {
			r.refuses(bob, r.seal(alice, "text", func(content []byte) []byte {
				content[len(content)+at] = 1
				return content
			}, nil), ErrMalformed)
		})
	}
	r.hears(bob, r.seal(alice, "text", nil, nil), "text")
}

func TestSendersOutsideTheTree(t *testing.T) {
	service := message.ExternalSender{SignatureKey: []byte("key"), Credential: BasicCredential([]byte("service"))}
	r := newRigOf(t, X25519_AES128GCM_SHA256_Ed25519, 3, Config{PublicHandshake: true}, Extensions{
		{Type: message.ExtensionExternalSenders, Data: message.MarshalExternalSenders([]message.ExternalSender{service})}})
	alice, bob := r.members[0], r.members[1]
	outside := []uint32{3, 4, 1 << 30, 1 << 31, 1<<31 + 2, math.MaxUint32} // 3 is blank
	for _, index := range outside {
		r.Run(fmt.Sprintf("public message of leaf %d", index), func(t *testing.T) {
			data := r.forgeProposal(alice, r.addition("new"))
			r.refuses(bob, r.resign(alice, data, func(m *message.PublicMessage) { m.Content.Sender.Index = index }), ErrUnknownSender)
		})
		r.Run(fmt.Sprintf("private message of leaf %d", index), func(t *testing.T) {
			r.refuses(bob, r.seal(alice, "text", nil, func(d *message.SenderData) { d.Leaf = LeafIndex(index) }), ErrUnknownSender)
		})
		r.Run(fmt.Sprintf("external sender %d", index), func(t *testing.T) {
			key := good(NewSignatureKey(r.config, r.suite))(t)
			data := good(ProposeExternal(r.config, alice.GroupID(), alice.Epoch(), index, key, r.addition("new")))(t)
			r.refuses(bob, data, ErrUnknownSender)
		})
		r.Run(fmt.Sprintf("group info of leaf %d", index), func(t *testing.T) {
			data := r.reencoded(r.info(alice), func(m *message.Message) {
				m.GroupInfo.Signer = LeafIndex(index)
				m.GroupInfo.Signature = good(alice.suite.SignWithLabel(alice.key, nil, "GroupInfoTBS", m.GroupInfo.AppendTBS(nil)))(t)
			})
			fails(t, readAs(r, "group info", data), ErrGroupInfo, ErrUnknownSender)
		})
	}
	r.says(alice, bob, "all is well")
}

func TestIndicesThatOverflow(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	for _, index := range []LeafIndex{3, 4, 1 << 30, 1 << 31, 1<<31 + 2, math.MaxUint32} {
		r.Run(fmt.Sprintf("removal of leaf %d", index), func(t *testing.T) {
			remove := &message.Remove{Removed: index}
			r.refuses(bob, r.forgeProposal(alice, remove), ErrProposal)
			r.refuses(bob, r.forgeCommit(alice, remove), ErrProposal)
			_, err := alice.Commit(CommitOptions{Proposals: []Proposal{remove}})
			fails(t, err, ErrProposal)
			_, _, err = JoinExternal(r.config, r.info(alice), r.identity("m2"), ExternalOptions{Resync: &index})
			fails(t, err, ErrProposal)
		})
		r.Run(fmt.Sprintf("unmerged leaf %d", index), func(t *testing.T) {
			list := r.nodes(alice)
			list[3].parent = &message.ParentNode{EncryptionKey: good(alice.suite.GenerateKeyPair(nil))(t).Public(),
				UnmergedLeaves: []LeafIndex{index}}
			fails(t, r.joinable(alice, list), ErrTree)
		})
	}
	if _, ok := alice.Member(math.MaxUint32); ok {
		t.Error("there is a member at the last leaf that there can be")
	}
}

func TestDuplicateCostsNoMessageKey(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice, bob := r.members[0], r.members[1]
	var sent [][]byte
	for i := range 6 {
		sent = append(sent, good(alice.Encrypt([]byte(fmt.Sprint(i)), nil))(t).Message)
	}
	r.hears(bob, sent[0], "0")
	r.refuses(bob, sent[0], ErrConsumed)
	r.hears(bob, sent[3], "3") // passes over 1 and 2
	for _, i := range []int{0, 3, 3} {
		r.refuses(bob, sent[i], ErrConsumed)
	}
	r.hears(bob, sent[1], "1")
	r.refuses(bob, sent[1], ErrConsumed)
	for _, i := range []int{4, 2, 5} {
		r.hears(bob, sent[i], fmt.Sprint(i))
	}
}

func TestForgeryCostsNoMessageKey(t *testing.T) {
	r := newRig(t, 3, Config{})
	alice, bob, mallory := r.members[0], r.members[1], r.members[2]
	first := good(alice.Encrypt([]byte("first"), nil))(t).Message
	second := good(alice.Encrypt([]byte("second"), nil))(t).Message
	for _, generation := range []uint32{0, 1, 900} {
		// Every member can encrypt sender data, so Mallory can point at Alice's keys.
		r.refuses(bob, r.seal(mallory, "text", nil, func(d *message.SenderData) {
			d.Leaf, d.Generation = alice.OwnIndex(), generation
		}), ErrDecrypt)
	}
	r.refuses(bob, r.seal(alice, "text", func(content []byte) []byte {
		content[len(content)-1] = 1
		return content
	}, nil), ErrMalformed)
	r.hears(bob, second, "second")
	r.refuses(bob, r.seal(mallory, "text", nil, func(d *message.SenderData) {
		d.Leaf, d.Generation = alice.OwnIndex(), 0
	}), ErrDecrypt)
	r.hears(bob, first, "first")
}

// A late message is from whoever was at the leaf then, not from whoever is now.
func TestLeafReusedAcrossPastEpochs(t *testing.T) {
	r := newRig(t, 3, Config{})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	var late [][]byte
	for range 2 {
		late = append(late, good(bob.Encrypt([]byte("from bob"), nil))(t).Message)
	}
	r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: bob.OwnIndex()}}})
	blank := carol.Epoch()
	dave := r.add(carol, "dave")[0]
	if dave.OwnIndex() != bob.OwnIndex() {
		t.Fatalf("dave is at leaf %d, bob was at %d", dave.OwnIndex(), bob.OwnIndex())
	}
	fromDave := good(dave.Encrypt([]byte("from dave"), nil))(t).Message
	r.commit(carol, CommitOptions{})

	check := func(g *Group, data []byte, text, name string) {
		t.Helper()
		m := r.hears(g, data, text)
		same(t, "sender", m.SenderLeaf.Credential.Identity, []byte(name))
	}
	check(alice, late[0], "from bob", "m1")
	check(alice, fromDave, "from dave", "dave")
	check(r.restored(alice), late[1], "from bob", "m1")
	check(r.restored(carol), fromDave, "from dave", "dave")

	r.Run("nobody speaks in the epoch when the leaf was blank", func(t *testing.T) {
		for _, e := range carol.past {
			if e.context.Epoch == blank && carol.leafAt(e, bob.OwnIndex()) != nil {
				t.Error("somebody is at the leaf")
			}
		}
	})
	r.Run("the one who came cannot speak for the one who left", func(t *testing.T) {
		// Dave knows none of the old epoch's keys; what he has opens nothing of it.
		if _, err := dave.Process(late[0]); err == nil {
			t.Error("dave opened a message of before his time")
		}
		forged := r.reencoded(fromDave, func(m *message.Message) { m.Private.Epoch = blank - 1 })
		r.refuses(alice, forged, ErrDecrypt)
	})
}

func TestOwnEchoes(t *testing.T) {
	for _, public := range []bool{false, true} {
		t.Run(fmt.Sprintf("public handshake %t", public), func(t *testing.T) {
			r := newRig(t, 2, Config{PublicHandshake: public})
			alice, bob := r.members[0], r.members[1]
			echoed := func(g *Group, data []byte) *PendingCommit {
				t.Helper()
				e, ok := good(g.Process(data))(t).(*Echo)
				if !ok {
					t.Fatal("an own message was taken for another's")
				}
				return e.Commit
			}
			text := good(alice.Encrypt([]byte("text"), nil))(t).Message
			proposal := r.propose(alice, good(alice.ProposeUpdate(nil))(t), nil).Message
			p := good(bob.Commit(CommitOptions{}))(t)
			for _, data := range [][]byte{text, proposal, text} {
				if echoed(alice, data) != nil {
					t.Error("the echo is of no commit")
				}
			}
			if len(alice.Proposals()) != 1 {
				t.Errorf("%d proposals after an echo", len(alice.Proposals()))
			}
			if echoed(bob, p.Message) != p {
				t.Error("the echo is of the pending commit")
			}
			same(t, "echo after a restart", echoed(r.restored(bob), p.Message).Message, p.Message)
			if bob.Epoch() != 1 {
				t.Error("an echo changed the epoch")
			}
			r.merge(bob, p)
			r.hears(bob, text, "text")
			r.says(alice, bob, "still in step")
			r.refuses(bob, p.Message, ErrWrongEpoch)
		})
	}
	t.Run("a commit that was discarded is nothing to apply", func(t *testing.T) {
		r := newRig(t, 2, Config{})
		bob := r.members[1]
		p := good(bob.Commit(CommitOptions{}))(t)
		p.Discard()
		if e := good(bob.Process(p.Message))(t).(*Echo); e.Commit != nil {
			t.Error("the echo is of a commit that was discarded")
		}
	})
}
