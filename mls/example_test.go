package mls_test

import (
	"fmt"
	"log"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
)

// anybody believes every credential. A real application checks what they prove.
type anybody struct{}

func (anybody) ValidateCredential(mls.Credential, []byte) error        { return nil }
func (anybody) ValidateSuccessor(mls.Credential, mls.Credential) error { return nil }

// client is somebody with what a client keeps: an identity, and records on a disk.
type client struct {
	mls.Identity
	disk map[string][]byte
}

func newClient(c mls.Config, name string) *client {
	key, err := mls.NewSignatureKey(c, mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519)
	if err != nil {
		log.Fatal(err)
	}
	return &client{mls.Identity{Credential: mls.BasicCredential([]byte(name)), Key: key}, map[string][]byte{}}
}

// store does what has to be durable before anything is sent or shown.
func (c *client) store(records []mls.Record) {
	for _, r := range records {
		if r.Value == nil {
			delete(c.disk, r.Key)
		} else {
			c.disk[r.Key] = r.Value
		}
	}
}

// Alice starts a group, adds Bob by the key package that he published, and sends him a message. Bob's
// program ends before he reads it, and goes on from what it stored.
func Example() {
	const suite = mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519
	config := mls.Config{Credentials: anybody{}}
	alice, bob := newClient(config, "alice"), newClient(config, "bob")

	published, err := mls.NewKeyPackage(config, suite, bob.Identity, mls.KeyPackageOptions{})
	if err != nil {
		log.Fatal(err)
	}

	group, err := mls.NewGroup(config, suite, alice.Identity, mls.GroupOptions{})
	if err != nil {
		log.Fatal(err)
	}
	alice.store(group.Records())
	commit, err := group.Commit(mls.CommitOptions{Proposals: []mls.Proposal{&message.Add{KeyPackage: published.KeyPackage}}})
	if err != nil {
		log.Fatal(err)
	}
	alice.store(commit.Records)
	// Here commit.Message goes to the delivery service. Once it has accepted it:
	records, err := commit.Apply()
	if err != nil {
		log.Fatal(err)
	}
	alice.store(records)

	joined, err := mls.Join(config, commit.Welcome, mls.JoinOptions{KeyPackages: []*mls.KeyPackageBundle{published}})
	if err != nil {
		log.Fatal(err)
	}
	bob.store(joined.Records())
	published.Wipe()

	sent, err := group.Encrypt([]byte("hello"), nil)
	if err != nil {
		log.Fatal(err)
	}
	alice.store(sent.Records)

	restored, err := mls.Restore(config, bob.disk)
	if err != nil {
		log.Fatal(err)
	}
	received, err := restored.Process(sent.Message)
	if err != nil {
		log.Fatal(err)
	}
	switch m := received.(type) {
	case *mls.ApplicationMessage:
		bob.store(m.Records)
		fmt.Printf("%s from %s\n", m.Plaintext, m.SenderLeaf.Credential.Identity)
	case *mls.StagedCommit:
		fmt.Println("somebody changes the group")
	}
	// Output: hello from alice
}
