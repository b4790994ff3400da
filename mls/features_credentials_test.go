package mls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/quicproquo/qpq/mls/message"
)

// authority issues certificates.
type authority struct {
	*testing.T
	cert *x509.Certificate
	key  ed25519.PrivateKey
	now  time.Time
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	good(pub, err)(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0)}
	der := good(x509.CreateCertificate(rand.Reader, template, template, pub, key))(t)
	return &authority{t, good(x509.ParseCertificate(der))(t), key, now}
}

// certificate returns the DER of a certificate for somebody's signature key.
func (a *authority) certificate(name string, public any, isCA bool, days int) []byte {
	a.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IsCA: isCA, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.AddDate(0, 0, days)}
	return good(x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key))(a)
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// publicKey returns the public half of a signature key as crypto/x509 takes it.
func publicKey(t *testing.T, s CipherSuite, k *SignatureKey) any {
	if s == P256_AES128GCM_SHA256_P256 {
		return good(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public()))(t)
	}
	return ed25519.PublicKey(k.Public())
}

func TestX509Credentials(t *testing.T) {
	for _, s := range []CipherSuite{X25519_AES128GCM_SHA256_Ed25519, P256_AES128GCM_SHA256_P256} {
		t.Run(fmt.Sprintf("suite %d", s), func(t *testing.T) { x509Group(t, s) })
	}
}

func x509Group(t *testing.T, s CipherSuite) {
	a, foreign := newAuthority(t, "authority"), newAuthority(t, "foreign")
	now := a.now
	clock := func() time.Time { return now }
	c := Config{Credentials: &X509Validator{Roots: a.pool(), Clock: clock}, Clock: clock}
	key := func() *SignatureKey { return good(NewSignatureKey(c, s))(t) }
	identity := func(a *authority, name string) Identity {
		k := key()
		return Identity{X509Credential(a.certificate(name, publicKey(t, s, k), false, 30)), k}
	}
	alice := good(NewGroup(c, s, identity(a, "alice"), GroupOptions{}))(t)
	b := good(NewKeyPackage(c, s, identity(a, "bob"), KeyPackageOptions{}))(t)
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}}))(t)
	good(p.Apply())(t)
	bob := good(Join(c, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t).Group
	r := &rig{T: t, config: c, suite: s, members: []*Group{alice, bob}}

	r.Run("through an intermediate authority", func(t *testing.T) {
		middle := newAuthority(t, "middle")
		der := a.certificate("middle", middle.key.Public(), true, 30)
		middle.cert = good(x509.ParseCertificate(der))(t)
		k := key()
		leaf := middle.certificate("carol", publicKey(t, s, k), false, 30)
		good(NewKeyPackage(c, s, Identity{X509Credential(leaf, der), k}, KeyPackageOptions{}))(t)
		_, err := NewKeyPackage(c, s, Identity{X509Credential(leaf), k}, KeyPackageOptions{})
		fails(t, err, ErrCredential)
	})
	other := key()
	lax := c
	lax.Credentials = anyone{}
	for name, id := range map[string]Identity{
		"of another authority":    identity(foreign, "carol"),
		"for another key":         {X509Credential(a.certificate("carol", publicKey(t, s, other), false, 30)), key()},
		"that has expired":        {X509Credential(a.certificate("carol", publicKey(t, s, other), false, 0)), other},
		"that is not DER":         {X509Credential([]byte("certificate")), key()},
		"without any certificate": {X509Credential(), key()},
		"of another kind":         {BasicCredential([]byte("carol")), key()},
	} {
		r.Run("refuses one "+name, func(t *testing.T) {
			if name == "that has expired" {
				now = a.now.Add(time.Hour)
				defer func() { now = a.now }()
			}
			_, err := NewKeyPackage(c, s, id, KeyPackageOptions{})
			fails(t, err, ErrCredential)
			k := good(NewKeyPackage(lax, s, id, KeyPackageOptions{}))(t).KeyPackage
			_, err = ParseKeyPackage(c, (&message.Message{KeyPackage: k}).Marshal())
			fails(t, err, ErrCredential)
			_, err = alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}})
			fails(t, err, ErrCredential)
			_, _, err = JoinExternal(c, r.info(alice), id, ExternalOptions{})
			fails(t, err, ErrCredential)
		})
	}
	r.Run("a member changes its key and certificate", func(t *testing.T) {
		next := identity(a, "bob")
		p := r.commit(bob, CommitOptions{Identity: &next})
		if u := p.Updated; len(u) != 1 || u[0].Index != bob.OwnIndex() || u[0].New.Equal(u[0].Old) {
			t.Errorf("updated %v", p.Updated)
		}
		m, _ := alice.Member(bob.OwnIndex())
		same(t, "signature key", m.Leaf.SignatureKey, next.Key.Public())
		r.says(bob, alice, "under the new key")
	})
	r.Run("a member becomes nobody else", func(t *testing.T) {
		next := identity(a, "mallory")
		_, err := bob.Commit(CommitOptions{Identity: &next})
		fails(t, err, ErrCredential)
		own := bob.rules
		bob.rules = good(lax.filled())(t).rules(bob.suite)
		p := good(bob.Commit(CommitOptions{Identity: &next}))(t)
		r.refuses(alice, p.Message, ErrCredential)
		p.Discard()
		bob.rules = own
	})
	r.Run("nobody else comes in a member's place", func(t *testing.T) {
		leaf := bob.OwnIndex()
		other := identity(a, "mallory")
		_, _, err := JoinExternal(c, r.info(alice), other, ExternalOptions{Resync: &leaf})
		fails(t, err, ErrCredential)
		_, p := good2(JoinExternal(lax, r.info(alice), other, ExternalOptions{Resync: &leaf}))(t)
		r.refuses(alice, p.Message, ErrCredential)
	})
	r.Run("certificates that expire in a group stop nobody", func(t *testing.T) {
		now = a.now.AddDate(1, 0, 0)
		defer func() { now = a.now }()
		r.commit(bob, CommitOptions{})
		r.propose(bob, good(bob.ProposeUpdate(nil))(t), nil)
		r.commit(alice, CommitOptions{})
		r.says(bob, alice, "still here")
		next := identity(a, "bob")
		_, err := bob.Commit(CommitOptions{Identity: &next}) // a new one must hold
		fails(t, err, ErrCredential)
	})
}

// registry is an authentication service: it knows which key belongs to whom, and may forget.
type registry struct {
	keys  map[string]string
	asked int
}

var errUnknown = errors.New("nobody of this name has this key")

func (r *registry) ValidateCredential(c Credential, key []byte) error {
	r.asked++
	if r.keys[string(c.Identity)] != string(key) {
		return errUnknown
	}
	return nil
}

func (r *registry) ValidateSuccessor(old, next Credential) error {
	if string(old.Identity) != string(next.Identity) {
		return errUnknown
	}
	return nil
}

func TestWhoIsNotKnownIsRefused(t *testing.T) {
	known := &registry{keys: map[string]string{}}
	c := Config{Credentials: known, PublicHandshake: true}
	lax := Config{Credentials: anyone{}, PublicHandshake: true}
	s := X25519_AES128GCM_SHA256_Ed25519
	identity := func(name string, enrol bool) Identity {
		k := good(NewSignatureKey(c, s))(t)
		if enrol {
			known.keys[name] = string(k.Public())
		}
		return Identity{BasicCredential([]byte(name)), k}
	}
	alice := good(NewGroup(c, s, identity("alice", true), GroupOptions{}))(t)
	b := good(NewKeyPackage(c, s, identity("bob", true), KeyPackageOptions{}))(t)
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}}))(t)
	good(p.Apply())(t)
	bob := good(Join(c, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t).Group
	r := &rig{T: t, config: lax, suite: s, members: []*Group{alice, bob}}
	mallory := identity("mallory", false)
	k := good(NewKeyPackage(lax, s, mallory, KeyPackageOptions{}))(t).KeyPackage

	r.Run("who has no account founds nothing", func(t *testing.T) {
		_, err := NewGroup(c, s, mallory, GroupOptions{})
		fails(t, err, ErrCredential, errUnknown)
	})
	r.Run("when added", func(t *testing.T) {
		add := &message.Add{KeyPackage: k}
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{add}})
		fails(t, err, ErrCredential, errUnknown)
		r.refuses(bob, r.forgeCommit(alice, add), ErrCredential, errUnknown)
		r.refuses(bob, r.forgeProposal(alice, add), ErrCredential, errUnknown)
	})
	r.Run("when joining by itself", func(t *testing.T) {
		_, p := good2(JoinExternal(lax, r.info(alice), mallory, ExternalOptions{}))(t)
		r.refuses(bob, p.Message, ErrCredential, errUnknown)
	})
	r.Run("when taking a member's place", func(t *testing.T) {
		other := identity("other", true)
		leaf := bob.OwnIndex()
		_, p := good2(JoinExternal(lax, r.info(alice), other, ExternalOptions{Resync: &leaf}))(t)
		r.refuses(alice, p.Message, ErrCredential, errUnknown)
	})
	r.Run("when a member changes its key", func(t *testing.T) {
		next := identity("bob", false)
		bob.config = good(lax.filled())(t)
		bob.rules = bob.config.rules(bob.suite)
		p := good(bob.Commit(CommitOptions{Identity: &next}))(t)
		r.refuses(alice, p.Message, ErrCredential, errUnknown)
		p.Discard()
	})
	r.Run("in a group that is joined", func(t *testing.T) {
		delete(known.keys, "alice")
		_, _, err := JoinExternal(c, r.info(bob), identity("carol", true), ExternalOptions{})
		fails(t, err, ErrCredential, errUnknown)
	})
	r.Run("but a member whose account is gone is for others to remove", func(t *testing.T) {
		r.commit(alice, CommitOptions{})
		asked := known.asked
		r.commit(alice, CommitOptions{})
		if known.asked != asked {
			t.Error("a credential that did not change was asked about again")
		}
	})
}

func TestCredentialsThatOthersDoNotKnow(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice := r.members[0]
	basicOnly := *alice.tree.Leaf(0).Capabilities
	basicOnly.Credentials = []message.CredentialType{message.CredentialBasic}
	b := r.bundle("only knows basic ones", KeyPackageOptions{Leaf: LeafOptions{Capabilities: &basicOnly}})
	r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}})

	k := good(NewSignatureKey(r.config, r.suite))(t)
	id := Identity{X509Credential([]byte("certificate")), k}
	other := good(NewKeyPackage(r.config, r.suite, id, KeyPackageOptions{}))(t).KeyPackage
	_, err := alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: other}}})
	fails(t, err, ErrCapabilities)
	_, err = NewKeyPackage(r.config, r.suite, id, KeyPackageOptions{Leaf: LeafOptions{Capabilities: &basicOnly}})
	fails(t, err, ErrCapabilities)
}
