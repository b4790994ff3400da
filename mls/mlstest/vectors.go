package mlstest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// Suites are those that the package's own vectors are for.
var Suites = []mls.CipherSuite{mls.X25519_AES128GCM_SHA256_Ed25519, mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519}

// object is a JSON object. Byte slices in it are hexadecimal.
type object map[string]any

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	out := map[string]any{}
	for k, v := range o {
		if b, ok := v.([]byte); ok {
			v = hex.EncodeToString(b)
		}
		out[k] = v
	}
	return json.Marshal(out)
}

// Vectors returns the package's own vectors, by file name, in the formats of mlswg/mls-implementations.
func Vectors(t *testing.T) map[string][]byte {
	files := map[string][]byte{}
	for name, generate := range map[string]func(*testing.T, *suite.Suite) []object{
		"key-schedule.json": keySchedule, "secret-tree.json": secretTree, "psk_secret.json": pskSecret,
		"crypto-basics.json": cryptoBasics, "passive-client-own.json": passiveClients,
	} {
		var cases []object
		for _, id := range Suites {
			cases = append(cases, generate(t, suite.Lookup(uint16(id), 0))...)
		}
		data, err := json.MarshalIndent(cases, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = append(data, '\n')
	}
	return files
}

// bytesOf returns n bytes that follow from a label.
func bytesOf(s *suite.Suite, label string, n int) []byte {
	return s.ExpandWithLabel(make([]byte, s.HashSize()), label, nil, n)
}

func keySchedule(t *testing.T, s *suite.Suite) []object {
	initSecret := bytesOf(s, "init", s.HashSize())
	o := object{"cipher_suite": s.ID(), "group_id": []byte("group"), "initial_init_secret": initSecret}
	var epochs []object
	for i := range 5 {
		commit, psk := bytesOf(s, fmt.Sprint("commit", i), s.HashSize()), bytesOf(s, fmt.Sprint("psk", i), s.HashSize())
		context := message.GroupContext{Version: message.MLS10, CipherSuite: mls.CipherSuite(s.ID()), GroupID: []byte("group"),
			Epoch: uint64(i), TreeHash: bytesOf(s, fmt.Sprint("tree", i), s.HashSize()),
			ConfirmedTranscriptHash: bytesOf(s, fmt.Sprint("confirmed", i), s.HashSize())}
		encoded := context.Append(nil)
		joiner := schedule.Joiner(s, initSecret, commit, encoded)
		e := schedule.New(s, joiner, psk, encoded)
		pair, err := e.ExternalKeyPair()
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, object{"tree_hash": context.TreeHash, "commit_secret": commit, "psk_secret": psk,
			"confirmed_transcript_hash": context.ConfirmedTranscriptHash, "group_context": encoded, "joiner_secret": joiner,
			"welcome_secret": s.DeriveSecret(s.Extract(joiner, psk), "welcome"), "init_secret": e.Init,
			"sender_data_secret": e.SenderData, "encryption_secret": e.Encryption, "exporter_secret": e.Exporter,
			"epoch_authenticator": e.Authenticator, "external_secret": e.External, "confirmation_key": e.Confirmation,
			"membership_key": e.Membership, "resumption_psk": e.Resumption, "external_pub": pair.Public(),
			"exporter": object{"label": "label", "context": []byte("context"), "length": 24,
				"secret": e.Export("label", []byte("context"), 24)}})
		initSecret = e.Init
	}
	o["epochs"] = epochs
	return []object{o}
}

func secretTree(t *testing.T, s *suite.Suite) []object {
	const leaves = 8
	secret, sender := bytesOf(s, "encryption", s.HashSize()), bytesOf(s, "sender", s.HashSize())
	ciphertext := bytesOf(s, "sample", 77)
	sample := ciphertext[:s.HashSize()]
	o := object{"cipher_suite": s.ID(), "encryption_secret": secret,
		"sender_data": object{"sender_data_secret": sender, "ciphertext": ciphertext,
			"key": s.ExpandWithLabel(sender, "key", sample, s.KeySize()), "nonce": s.ExpandWithLabel(sender, "nonce", sample, s.NonceSize())}}
	tree := secrettree.New(s, leaves, append([]byte{}, secret...))
	var list [][]object
	for l := range treemath.Leaf(leaves) {
		var generations []object
		for g := range 20 {
			h, err := tree.Next(l, secrettree.Handshake)
			if err != nil {
				t.Fatal(err)
			}
			a, err := tree.Next(l, secrettree.Application)
			if err != nil {
				t.Fatal(err)
			}
			if g%7 == 0 {
				generations = append(generations, object{"generation": g, "handshake_key": h.Key, "handshake_nonce": h.Nonce,
					"application_key": a.Key, "application_nonce": a.Nonce})
			}
		}
		list = append(list, generations)
	}
	o["leaves"] = list
	return []object{o}
}

func pskSecret(_ *testing.T, s *suite.Suite) []object {
	var cases []object
	for n := range 4 {
		var psks []schedule.PSK
		list := []object{}
		for i := range n {
			id := mls.PreSharedKeyID{Type: message.PSKExternal, ID: []byte(fmt.Sprint("key ", i)),
				Nonce: bytesOf(s, fmt.Sprint("nonce", i), s.HashSize())}
			secret := bytesOf(s, fmt.Sprint("key", i), s.HashSize())
			psks = append(psks, schedule.PSK{ID: id, Secret: secret})
			list = append(list, object{"psk_id": id.ID, "psk": secret, "psk_nonce": id.Nonce})
		}
		cases = append(cases, object{"cipher_suite": s.ID(), "psks": list, "psk_secret": schedule.PSKSecret(s, psks)})
	}
	return cases
}

func cryptoBasics(t *testing.T, s *suite.Suite) []object {
	random := Deterministic(t, uint64(s.ID()), mls.Config{}).Rand
	signer, err := s.GenerateSigner(random)
	if err != nil {
		t.Fatal(err)
	}
	content, context, plaintext := []byte("content"), []byte("context"), []byte("plaintext")
	signature, err := s.SignWithLabel(signer, random, "label", content)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := s.GenerateKeyPair(random)
	if err != nil {
		t.Fatal(err)
	}
	kem, ciphertext, err := s.EncryptWithLabel(random, pair.Public(), "label", context, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	secret := bytesOf(s, "secret", s.HashSize())
	return []object{{"cipher_suite": s.ID(),
		"ref_hash": object{"label": "label", "value": content, "out": s.RefHash("label", content)},
		"expand_with_label": object{"secret": secret, "label": "label", "context": context, "length": 40,
			"out": s.ExpandWithLabel(secret, "label", context, 40)},
		"derive_secret": object{"secret": secret, "label": "label", "out": s.DeriveSecret(secret, "label")},
		"derive_tree_secret": object{"secret": secret, "label": "label", "generation": 9, "length": 20,
			"out": s.DeriveTreeSecret(secret, "label", 9, 20)},
		"sign_with_label": object{"priv": signer.Bytes(), "pub": signer.Public(), "content": content, "label": "label",
			"signature": signature},
		"encrypt_with_label": object{"priv": pair.Bytes(), "pub": pair.Public(), "label": "label", "context": context,
			"plaintext": plaintext, "kem_output": kem, "ciphertext": ciphertext}}}
}
