package identity

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
)

var update = flag.Bool("update", false, "rewrite the vectors of testdata")

// vectors are encodings that must never change: for other implementations, and for ourselves.
type vectors struct {
	AccountSeed  string   `json:"account_seed"`
	VaultKey     string   `json:"vault_key"`
	DeviceKey    string   `json:"device_key"`
	DeviceID     string   `json:"device_id"`
	Request      string   `json:"device_request"`
	Certificate  string   `json:"device_certificate"`
	States       []string `json:"account_states"` // first; a device added; that device revoked
	StateHash    string   `json:"last_state_hash"`
	Session      string   `json:"session_statement"` // what is signed, without label
	SessionSig   string   `json:"session_signature"`
	Export       string   `json:"opaque_export_key"`
	Recovery     string   `json:"recovery_code"`
	SealedKey    string   `json:"sealed_account_key"`
	VaultItem    string   `json:"vault_item"` // "settings" version 2 of the person: {"a":1}
	LinkCode     string   `json:"link_code"`
	Rendezvous   string   `json:"link_rendezvous"`
	PasswordKey  string   `json:"password_key"`
	VaultPublic  string   `json:"vault_public_key"`
	DevicePublic string   `json:"device_public_key"`
}

func makeVectors() vectors {
	a := newAccount("vectors")
	r := &stream{name: "vector nonces"}
	phone := newDevice("vector phone")
	v2 := must(a.state.Next(Change{Now: epoch.Add(time.Hour), Key: a.key, Add: []*DeviceRequest{a.request(phone)}}))
	key, vault := must(NewAccountKey(&stream{name: "vector key 2"})), must(NewVaultKey(&stream{name: "vector vault 2"}))
	v3 := must(v2.Next(Change{Now: epoch.Add(2 * time.Hour), Key: a.key, Revoke: []qpq.DeviceID{phone.ID()}, NewKey: key, Vault: vault}))
	session := Session{Domain: alice.Domain, User: alice, Device: a.device.ID(), Counter: 9, Nonce: [32]byte{1, 2, 3}, Exporter: bytes.Repeat([]byte{4}, 32)}
	sig, hash, link := must(a.device.SignSession(session)), v3.Hash(), must(NewLinkCode(r))
	recovery := must(NewRecoveryCode(r))
	export := bytes.Repeat([]byte{5}, 64)
	password := must(NewPasswordKey(alice, export, recovery))
	rendezvous, public := link.Rendezvous(), a.device.Public()
	x := hex.EncodeToString
	return vectors{
		AccountSeed: x(a.key.b), VaultKey: x(a.vault.b), DeviceKey: x(a.device.b), DeviceID: a.device.ID().String(),
		Request: x(a.request(a.device).Bytes()), Certificate: x(a.state.Devices[0].Bytes()),
		States: []string{x(a.state.Bytes()), x(v2.Bytes()), x(v3.Bytes())}, StateHash: x(hash[:]),
		Session: x(must(session.signed())), SessionSig: x(sig[:]), Export: x(export), Recovery: recovery.Reveal(),
		SealedKey: x(must(password.SealAccount(r, a.key))), VaultItem: x(must(a.vault.Seal(r, alice, "settings", 2, []byte(`{"a":1}`)))),
		LinkCode: link.Reveal(), Rendezvous: x(rendezvous[:]), PasswordKey: x(password.b),
		VaultPublic: x(a.vault.Public()), DevicePublic: x(public[:]),
	}
}

func TestVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	got := append(must(json.MarshalIndent(makeVectors(), "", "\t")), '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("what is written differs from %s", file)
	}
	var v vectors
	if err := json.Unmarshal(want, &v); err != nil {
		t.Fatal(err)
	}
	var states [][]byte
	for _, s := range v.States {
		states = append(states, must(hex.DecodeString(s)))
	}
	last, err := VerifyChain(nil, states)
	if err != nil || last.Version != 3 {
		t.Errorf("the chain of the vectors: %v", err)
	}
}
