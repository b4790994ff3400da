package mls

import (
	"bytes"
	"math"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

type treeMathCase struct {
	Leaves  uint32 `json:"n_leaves"`
	Nodes   uint32 `json:"n_nodes"`
	Root    uint32
	Left    []*uint32
	Right   []*uint32
	Parent  []*uint32
	Sibling []*uint32
}

func treeMath(t *testing.T, v *treeMathCase) {
	if treemath.Width(v.Leaves) != v.Nodes || uint32(treemath.Root(v.Leaves)) != v.Root {
		t.Fatalf("width %d, root %d", treemath.Width(v.Leaves), treemath.Root(v.Leaves))
	}
	for i := range v.Nodes {
		x := treemath.Node(i)
		check := func(what string, list []*uint32, exists bool, got func() treemath.Node) {
			switch want := list[i]; {
			case (want != nil) != exists:
				t.Errorf("%s of %d: exists is %v", what, i, exists)
			case want != nil && uint32(got()) != *want:
				t.Errorf("%s of %d is %d; want %d", what, i, got(), *want)
			}
		}
		check("left", v.Left, !x.IsLeaf(), x.Left)
		check("right", v.Right, !x.IsLeaf(), x.Right)
		check("parent", v.Parent, x != treemath.Root(v.Leaves), x.Parent)
		check("sibling", v.Sibling, x != treemath.Root(v.Leaves), x.Sibling)
	}
}

type deserializationCase struct {
	Header hexed  `json:"vlbytes_header"`
	Length uint64 `json:"length"`
}

func deserialization(t *testing.T, v *deserializationCase) {
	d := codec.NewDecoder(v.Header)
	if got := d.Varint(); uint64(got) != v.Length || d.Done() != nil {
		t.Errorf("length %d, %v; want %d", got, d.Err(), v.Length)
	}
	if v.Length <= codec.MaxVector {
		same(t, "encoding", codec.AppendVarint(nil, int(v.Length)), v.Header)
	}
}

type cryptoBasicsCase struct {
	Suite   uint16 `json:"cipher_suite"`
	RefHash struct {
		Label      string
		Value, Out hexed
	} `json:"ref_hash"`
	Expand struct {
		Secret, Context, Out hexed
		Label                string
		Length               int
	} `json:"expand_with_label"`
	Derive struct {
		Secret, Out hexed
		Label       string
	} `json:"derive_secret"`
	DeriveTree struct {
		Secret, Out hexed
		Label       string
		Generation  uint32
		Length      int
	} `json:"derive_tree_secret"`
	Sign struct {
		Priv, Pub, Content, Signature hexed
		Label                         string
	} `json:"sign_with_label"`
	Encrypt struct {
		Priv, Pub, Context, Plaintext, Ciphertext hexed
		KEMOutput                                 hexed `json:"kem_output"`
		Label                                     string
	} `json:"encrypt_with_label"`
}

func cryptoBasics(t *testing.T, v *cryptoBasicsCase) {
	s := suiteOf(t, v.Suite)
	same(t, "ref_hash", s.RefHash(v.RefHash.Label, v.RefHash.Value), v.RefHash.Out)
	same(t, "expand_with_label", s.ExpandWithLabel(v.Expand.Secret, v.Expand.Label, v.Expand.Context, v.Expand.Length), v.Expand.Out)
	same(t, "derive_secret", s.DeriveSecret(v.Derive.Secret, v.Derive.Label), v.Derive.Out)
	tree := v.DeriveTree
	same(t, "derive_tree_secret", s.DeriveTreeSecret(tree.Secret, tree.Label, tree.Generation, tree.Length), tree.Out)

	key := good(s.NewSigner(v.Sign.Priv))(t)
	same(t, "public key", key.Public(), v.Sign.Pub)
	if err := s.VerifyWithLabel(v.Sign.Pub, v.Sign.Label, v.Sign.Content, v.Sign.Signature); err != nil {
		t.Error(err)
	}
	own := good(s.SignWithLabel(key, nil, v.Sign.Label, v.Sign.Content))(t)
	if err := s.VerifyWithLabel(v.Sign.Pub, v.Sign.Label, v.Sign.Content, own); err != nil {
		t.Error(err)
	}

	e := v.Encrypt
	pair := good(s.NewKeyPair(e.Priv, nil))(t)
	same(t, "public key", pair.Public(), e.Pub)
	same(t, "plaintext", good(s.DecryptWithLabel(pair, e.Label, e.Context, e.KEMOutput, e.Ciphertext))(t), e.Plaintext)
	kem, ciphertext, err := s.EncryptWithLabel(nil, e.Pub, e.Label, e.Context, e.Plaintext)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "own plaintext", good(s.DecryptWithLabel(pair, e.Label, e.Context, kem, ciphertext))(t), e.Plaintext)
}

type keyScheduleCase struct {
	Suite   uint16 `json:"cipher_suite"`
	GroupID hexed  `json:"group_id"`
	Init    hexed  `json:"initial_init_secret"`
	Epochs  []struct {
		TreeHash     hexed `json:"tree_hash"`
		CommitSecret hexed `json:"commit_secret"`
		PSK          hexed `json:"psk_secret"`
		Confirmed    hexed `json:"confirmed_transcript_hash"`
		Context      hexed `json:"group_context"`
		Joiner       hexed `json:"joiner_secret"`
		Welcome      hexed `json:"welcome_secret"`
		Init         hexed `json:"init_secret"`
		SenderData   hexed `json:"sender_data_secret"`
		Encryption   hexed `json:"encryption_secret"`
		ExporterKey  hexed `json:"exporter_secret"`
		Auth         hexed `json:"epoch_authenticator"`
		External     hexed `json:"external_secret"`
		Confirmation hexed `json:"confirmation_key"`
		Membership   hexed `json:"membership_key"`
		Resumption   hexed `json:"resumption_psk"`
		ExternalPub  hexed `json:"external_pub"`
		Exporter     struct {
			Label           string
			Context, Secret hexed
			Length          int
		}
	}
}

func keySchedule(t *testing.T, v *keyScheduleCase) {
	s := suiteOf(t, v.Suite)
	initSecret := []byte(v.Init)
	for i, want := range v.Epochs {
		context := message.GroupContext{Version: message.MLS10, CipherSuite: CipherSuite(v.Suite), GroupID: v.GroupID, Epoch: uint64(i),
			TreeHash: want.TreeHash, ConfirmedTranscriptHash: want.Confirmed}
		encoded := context.Append(nil)
		same(t, "group_context", encoded, want.Context)
		joiner := schedule.Joiner(s, initSecret, want.CommitSecret, encoded)
		same(t, "joiner_secret", joiner, want.Joiner)
		key, nonce := schedule.Welcome(s, joiner, want.PSK)
		same(t, "welcome key", key, s.ExpandWithLabel(want.Welcome, "key", nil, s.KeySize()))
		same(t, "welcome nonce", nonce, s.ExpandWithLabel(want.Welcome, "nonce", nil, s.NonceSize()))
		e := schedule.New(s, joiner, want.PSK, encoded)
		same(t, "init_secret", e.Init, want.Init)
		same(t, "sender_data_secret", e.SenderData, want.SenderData)
		same(t, "encryption_secret", e.Encryption, want.Encryption)
		same(t, "exporter_secret", e.Exporter, want.ExporterKey)
		same(t, "epoch_authenticator", e.Authenticator, want.Auth)
		same(t, "external_secret", e.External, want.External)
		same(t, "confirmation_key", e.Confirmation, want.Confirmation)
		same(t, "membership_key", e.Membership, want.Membership)
		same(t, "resumption_psk", e.Resumption, want.Resumption)
		same(t, "external_pub", good(e.ExternalKeyPair())(t).Public(), want.ExternalPub)
		same(t, "exporter", e.Export(want.Exporter.Label, want.Exporter.Context, want.Exporter.Length), want.Exporter.Secret)
		initSecret = e.Init
	}
}

type pskSecretCase struct {
	Suite uint16 `json:"cipher_suite"`
	PSKs  []struct {
		ID    hexed `json:"psk_id"`
		PSK   hexed `json:"psk"`
		Nonce hexed `json:"psk_nonce"`
	}
	Secret hexed `json:"psk_secret"`
}

func pskSecret(t *testing.T, v *pskSecretCase) {
	s := suiteOf(t, v.Suite)
	var list []schedule.PSK
	for _, p := range v.PSKs {
		list = append(list, schedule.PSK{ID: PreSharedKeyID{Type: message.PSKExternal, ID: p.ID, Nonce: p.Nonce}, Secret: p.PSK})
	}
	same(t, "psk_secret", schedule.PSKSecret(s, list), v.Secret)
}

type secretTreeCase struct {
	Suite      uint16 `json:"cipher_suite"`
	SenderData struct {
		Secret     hexed `json:"sender_data_secret"`
		Ciphertext hexed
		Key, Nonce hexed
	} `json:"sender_data"`
	Encryption hexed `json:"encryption_secret"`
	Leaves     [][]struct {
		Generation uint32
		HKey       hexed `json:"handshake_key"`
		HNonce     hexed `json:"handshake_nonce"`
		AKey       hexed `json:"application_key"`
		ANonce     hexed `json:"application_nonce"`
	}
}

func secretTree(t *testing.T, v *secretTreeCase) {
	s := suiteOf(t, v.Suite)
	g := &Group{suite: s}
	key, nonce := g.senderDataKey(&epoch{senderData: v.SenderData.Secret}, v.SenderData.Ciphertext)
	same(t, "sender data key", key, v.SenderData.Key)
	same(t, "sender data nonce", nonce, v.SenderData.Nonce)
	tree := secrettree.New(s, uint32(len(v.Leaves)), bytes.Clone(v.Encryption))
	for i, generations := range v.Leaves {
		for _, want := range generations {
			for kind, pair := range map[secrettree.Kind][2][]byte{secrettree.Handshake: {want.HKey, want.HNonce}, secrettree.Application: {want.AKey, want.ANonce}} {
				o := good(tree.Open(LeafIndex(i), kind, want.Generation, math.MaxUint32))(t)
				same(t, "key", o.Key.Key, pair[0])
				same(t, "nonce", o.Key.Nonce, pair[1])
				o.Commit(0)
			}
		}
	}
}

type transcriptHashesCase struct {
	Suite     uint16 `json:"cipher_suite"`
	Key       hexed  `json:"confirmation_key"`
	Content   hexed  `json:"authenticated_content"`
	Before    hexed  `json:"interim_transcript_hash_before"`
	Confirmed hexed  `json:"confirmed_transcript_hash_after"`
	Interim   hexed  `json:"interim_transcript_hash_after"`
}

func transcriptHashes(t *testing.T, v *transcriptHashesCase) {
	s := suiteOf(t, v.Suite)
	a := good(message.UnmarshalAuthenticatedContent(v.Content))(t)
	if a.Content.Commit == nil {
		t.Fatal("not a commit")
	}
	same(t, "encoding", a.Append(nil), v.Content)
	confirmed := schedule.ConfirmedTranscriptHash(s, v.Before, a)
	same(t, "confirmed_transcript_hash_after", confirmed, v.Confirmed)
	same(t, "interim_transcript_hash_after", schedule.InterimTranscriptHash(s, confirmed, a.Auth.ConfirmationTag), v.Interim)
	if !s.VerifyMAC(v.Key, a.Auth.ConfirmationTag, v.Confirmed) {
		t.Error("confirmation_tag")
	}
}
