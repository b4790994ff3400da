package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

// certify makes a certificate for a key, valid for an hour around a time.
func certify(t *testing.T, key *ecdsa.PrivateKey, at time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(at.UnixNano()), NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func fingerprint(c tls.Certificate) []byte {
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return sum[:]
}

// serveTLS starts a server anew, so that it is reached by TLS over TCP too, with a certificate.
func (s *server) serveTLS(address string, c tls.Certificate) string {
	s.t.Helper()
	s.Stop()
	l, err := tlsmux.Listen(address, &tls.Config{Certificates: []tls.Certificate{c}})
	check(s.t, err)
	s.Start(l)
	return l.Addr().String()
}

func dialTLS(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
	return tlsmux.Dial(ctx, address, &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify})
}

// visit connects as a guest would who wants to sign up, and says what came of it.
func (d *device) visit(change func(*client.Config)) error {
	d.t.Helper()
	cfg := client.Config{Profile: d.profile, Dial: dialTLS, Server: d.address, Notice: func(n client.Notice) { d.notices = append(d.notices, n) }}
	change(&cfg)
	c := client.New(cfg)
	defer c.Close()
	_, err := c.Whoami(d.t.Context())
	if qpq.CodeOf(err) == "not-signed-in" {
		return nil
	}
	return err
}

func TestTrust(t *testing.T) {
	s := newServer(t, nil)
	key := newKey()
	first := certify(t, key, time.Now())
	address := s.serveTLS("127.0.0.1:0", first)
	d := s.device(t)
	d.address = address
	plain := func(*client.Config) {}

	check(t, d.visit(plain))
	if !d.noticed("first-contact") {
		t.Error("the first contact was not told")
	}
	if pin := must(d.profile.Pin(address)); string(pin) != string(fingerprint(first)) {
		t.Errorf("pinned %x", pin)
	}
	s.serveTLS(address, certify(t, key, time.Now().Add(time.Minute))) // renewed with its key
	check(t, d.visit(plain))
	other := certify(t, newKey(), time.Now())
	s.serveTLS(address, other)
	wants(t, d.visit(plain), qpq.Denied, "fingerprint-changed")
	roots := x509.NewCertPool()
	roots.AddCert(other.Leaf)
	wants(t, d.visit(func(c *client.Config) { c.Roots = roots }), qpq.Denied, "fingerprint-changed")
	wants(t, d.visit(func(c *client.Config) { c.Fingerprint = fingerprint(first) }), qpq.Denied, "fingerprint-changed")
	check(t, d.visit(func(c *client.Config) { c.Fingerprint = fingerprint(other) }))
	check(t, d.visit(plain)) // from now on that one
}

func TestAuthoritiesAreTrusted(t *testing.T) {
	s := newServer(t, nil)
	c := certify(t, newKey(), time.Now())
	address := s.serveTLS("127.0.0.1:0", c)
	d := s.device(t)
	d.address = address
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	check(t, d.visit(func(c *client.Config) { c.Roots = roots }))
	if d.noticed("first-contact") || len(must(d.profile.Pin(address))) > 0 {
		t.Error("a certificate that an authority vouches for was pinned")
	}
	renewed := certify(t, newKey(), time.Now())
	roots.AddCert(renewed.Leaf)
	s.serveTLS(address, renewed)
	check(t, d.visit(func(c *client.Config) { c.Roots = roots }))
	other := certify(t, newKey(), time.Now())
	s.serveTLS(address, other)
	wants(t, d.visit(func(c *client.Config) { c.Roots = roots }), qpq.Denied, "no-longer-vouched")
	check(t, d.visit(func(c *client.Config) { c.Roots, c.Fingerprint = roots, fingerprint(other) }))
	check(t, d.visit(func(c *client.Config) { c.Roots = roots }))
}

func TestAnExpiredCertificateIsNotPinned(t *testing.T) {
	s := newServer(t, nil)
	address := s.serveTLS("127.0.0.1:0", certify(t, newKey(), time.Now().Add(-48*time.Hour)))
	d := s.device(t)
	d.address = address
	wants(t, d.visit(func(*client.Config) {}), qpq.Denied, "certificate-expired")
}

func TestNobodyIsThereToCompare(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.address = s.serveTLS("127.0.0.1:0", certify(t, newKey(), time.Now()))
	wants(t, d.visit(func(c *client.Config) { c.Notice = nil }), qpq.Denied, "unknown-server")
	if must(d.profile.Pin(d.address)) != nil {
		t.Error("a server that nobody was told of is pinned")
	}
}

// TestAFingerprintThatCannotBeSeen reaches a server by a carrier that shows no certificate, as a browser's.
func TestAFingerprintThatCannotBeSeen(t *testing.T) {
	s := newServer(t, nil)
	c := certify(t, newKey(), time.Now())
	d := s.device(t)
	d.address = s.serveTLS("127.0.0.1:0", c)
	unseen := func(c *client.Config) { c.Dial = s.dial }
	check(t, d.visit(unseen))
	wants(t, d.visit(func(cfg *client.Config) { cfg.Dial, cfg.Fingerprint = s.dial, fingerprint(c) }), qpq.Denied, "fingerprint-unseen")
	check(t, d.visit(func(*client.Config) {}))
	wants(t, d.visit(unseen), qpq.Denied, "fingerprint-unseen")
}

func TestFingerprints(t *testing.T) {
	sum := sha256.Sum256([]byte("key"))
	back, err := client.ParseFingerprint(" " + client.FormatFingerprint(sum[:]) + "\n")
	if err != nil || string(back) != string(sum[:]) {
		t.Errorf("read back %x: %v", back, err)
	}
	for _, bad := range []string{"", "SHA256:", "MD5:abc", "SHA256:abc", "SHA256:" + string(make([]byte, 43))} {
		_, err := client.ParseFingerprint(bad)
		wants(t, err, qpq.Invalid, "bad-fingerprint")
	}
}

func TestClocksAreCompared(t *testing.T) {
	s := newServer(t, nil)
	minute := time.Minute
	for off, told := range map[time.Duration]string{ // in whole minutes, as machines are slow at times
		0: "^$", 4 * minute: "^$", -4 * minute: "^$",
		6*minute + minute/2: "^the clock of this machine is 6m[0-9]+s ahead of that of the server", -6*minute - minute/2: "^the clock of this machine is 6m[0-9]+s behind that of the server",
	} {
		d := s.device(t)
		c := client.New(client.Config{Profile: d.profile, Dial: s.dial, Server: domain, Clock: func() time.Time { return time.Now().Add(off) },
			Notice: func(n client.Notice) { d.notices = append(d.notices, n) }})
		_, err := c.Whoami(t.Context())
		wants(t, err, qpq.NotFound, "not-signed-in")
		check(t, c.Close())
		if !regexp.MustCompile(told).MatchString(d.notice("clock")) {
			t.Errorf("a clock off by %v: %v", off, d.notices)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"example.org": "example.org:4433", "example.org:1": "example.org:1", "127.0.0.1": "127.0.0.1:4433", "::1": "[::1]:4433",
		"Example.ORG.": "example.org:4433", "example.org:04433": "example.org:4433", "host:0": "",
		"[::1]": "[::1]:4433", "[::1]:77": "[::1]:77", "[0:0::1]:77": "[::1]:77", " example.org ": "example.org:4433",
		"": "", "a b": "", "a/b": "", "x:y:z": "", "user@host": "", "host:port": "", "example.org..": "", "a\tb": "", "[\u00a0a]:1": "", ":4433": "", "host:99999": "",
	} {
		got, err := client.FullAddress(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"example.org", "[::1]:77", "::1", "Example.ORG.", "a:b:c", "host:0", "[fe80::1%eth0]:1", "example.org..", "[\u00a0a]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		full, err := client.FullAddress(s)
		if err != nil {
			wants(t, err, qpq.Invalid, "bad-address")
		} else if again, err := client.FullAddress(full); err != nil || again != full {
			t.Errorf("%q is read as %q, and that as %q, %v", s, full, again, err)
		}
	})
}

func FuzzFingerprint(f *testing.F) {
	f.Add(client.FormatFingerprint(make([]byte, 32)))
	f.Add("SHA256:AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		sum, err := client.ParseFingerprint(s)
		if err != nil {
			wants(t, err, qpq.Invalid, "bad-fingerprint")
		} else if again, err := client.ParseFingerprint(client.FormatFingerprint(sum)); err != nil || !bytes.Equal(again, sum) {
			t.Errorf("%q is read as %x, and that as %x, %v", s, sum, again, err)
		}
	})
}
