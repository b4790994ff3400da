package mls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

func TestKeyPackagesThatAreNotValid(t *testing.T) {
	r := newRig(t, 2, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	for _, c := range []struct {
		name   string
		spoil  func(*KeyPackage)
		signed bool // after it was spoiled
		want   []error
	}{
		{"whose signature is another's", func(k *KeyPackage) { k.Signature[0] ^= 1 }, false, []error{ErrKeyPackage, ErrSignature}},
		{"whose leaf is signed by another", func(k *KeyPackage) { k.LeafNode.Signature[0] ^= 1 }, false, []error{ErrLeafNode, ErrSignature}},
		{"whose extensions changed", func(k *KeyPackage) { k.Extensions = Extensions{{Type: 0x00F0}} }, false, []error{ErrKeyPackage, ErrSignature}},
		{"with one key for two uses", func(k *KeyPackage) { k.InitKey = k.LeafNode.EncryptionKey }, true, []error{ErrKeyPackage}},
		{"with an init key that is none", func(k *KeyPackage) { k.InitKey = make([]byte, 32) }, true, []error{ErrKeyPackage}},
		{"with an encryption key that is none", func(k *KeyPackage) { k.LeafNode.EncryptionKey = make([]byte, 31) }, true, []error{ErrLeafNode}},
		{"of a leaf of another source", func(k *KeyPackage) { k.LeafNode.Source = message.SourceUpdate }, true, []error{ErrKeyPackage}},
		{"of a client of another version", func(k *KeyPackage) {
			capabilities := *k.LeafNode.Capabilities
			capabilities.Versions = []message.ProtocolVersion{2}
			k.LeafNode.Capabilities = &capabilities
		}, true, []error{ErrLeafNode, ErrCapabilities}},
		{"of another version", func(k *KeyPackage) { k.Version = 2 }, true, []error{ErrMalformed}},
	} {
		r.Run(c.name, func(t *testing.T) {
			b := r.bundle("new", KeyPackageOptions{})
			c.spoil(b.KeyPackage)
			if c.signed {
				resignKeyPackage(t, b)
			}
			_, err := ParseKeyPackage(r.config, b.Message())
			fails(t, err, c.want...)
			add := &message.Add{KeyPackage: b.KeyPackage}
			r.refuses(bob, r.forgeProposal(alice, add), c.want...)
			r.refuses(bob, r.forgeCommit(alice, add), c.want...)
		})
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	r := newRig(t, 2, Config{})
	g, b := r.members[1], r.bundle("new", KeyPackageOptions{})
	out := good(g.Encrypt([]byte("text"), nil))(t)
	p := good(g.Commit(CommitOptions{}))(t)
	secrets := map[string][]byte{"signature key": g.key.Bytes(), "leaf key": g.keys[g.own.Node()].Bytes(), "init secret": g.secrets.Init,
		"signature key of the bundle": b.key.Bytes(), "init key": b.init.Bytes(), "next exporter": p.next.secrets.Exporter}
	for _, v := range []any{g, *g, b, *b, b.key, *b.key, p, *p, p.Records, p.Records[0], out, *out, message.GroupSecrets{JoinerSecret: g.secrets.Init}, g.secrets, g.epoch.secrets, g.key, g.keys, struct{ in any }{g}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			for name, secret := range secrets {
				for _, form := range []string{"%x", "%s", "%d", "%#v"} {
					printed := strings.Trim(strings.ToLower(fmt.Sprintf(form, secret)), "[]")
					if strings.Contains(text, printed) {
						t.Errorf("%s of %T prints the %s", verb, v, name)
					}
				}
			}
		}
	}
}
