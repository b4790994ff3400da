package client

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// Servers are trusted as in ssh: the key of the first contact is pinned, and another one refused. A certificate
// that an authority vouches for needs no pin.

// FormatFingerprint returns a fingerprint as people compare it.
func FormatFingerprint(sum []byte) string {
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum)
}

// ParseFingerprint reads what FormatFingerprint wrote.
func ParseFingerprint(s string) ([]byte, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), "SHA256:")
	b, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != sha256.Size {
		return nil, qpq.E(qpq.Invalid, "bad-fingerprint", fmt.Sprintf("%q is no fingerprint: it begins with SHA256: as the server prints it at its start", s))
	}
	return b, nil
}

// verdict is why a server was trusted.
type verdict int

const (
	known   verdict = iota // by its pin, or because an authority vouches for it as before
	given                  // by the fingerprint that the person gave
	vouched                // by an authority, for the first time
	met                    // for the first time, by nothing
)

// trust decides on the certificate of the server at an address. Nothing is noted before the server has proved that it has the key,
// and of several attempts to connect only the one that is used counts.
func (c *Client) trust(address string) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		_, err := c.judge(address, state.PeerCertificates)
		return err
	}
}

// meet notes what was decided on the server that a connection leads to.
func (c *Client) meet(address string, peer transport.Peer) error {
	if len(peer.Certificates) == 0 {
		return c.meetUnseen(address)
	}
	var chain []*x509.Certificate
	for _, der := range peer.Certificates {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain = append(chain, certificate)
	}
	v, err := c.judge(address, chain)
	if err != nil {
		return err
	}
	switch sum := fingerprint(chain[0]); v {
	case given:
		return c.cfg.Profile.SetPin(address, sum)
	case vouched:
		return c.cfg.Profile.SetPin(address, []byte{})
	case met:
		if err := c.cfg.Profile.SetPin(address, sum); err != nil {
			return err
		}
		c.notice("first-contact", fmt.Sprintf("first contact with %s: its fingerprint is\n  %s\ncompare it with what the server printed at its start; from now on no other is accepted", address, FormatFingerprint(sum)))
	}
	return nil
}

// meetUnseen is meet for a carrier that shows no certificate, as a browser's: it has decided already. It fails with qpq.Denied where only
// one key is to be trusted.
func (c *Client) meetUnseen(address string) error {
	pinned, err := c.cfg.Profile.Pin(address)
	if err != nil || c.cfg.Fingerprint == nil && len(pinned) == 0 {
		return err
	}
	return qpq.E(qpq.Denied, "fingerprint-unseen", fmt.Sprintf(
		"the server at %s is trusted by its fingerprint, and this way to it does not show the server's: leave the fingerprint to a program that sees it, or connect another way", address))
}

func fingerprint(certificate *x509.Certificate) []byte {
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return sum[:]
}

// judge says why the server with a certificate is trusted, or fails with qpq.Denied.
func (c *Client) judge(address string, chain []*x509.Certificate) (verdict, error) {
	leaf, sum := chain[0], fingerprint(chain[0])
	pinned, err := c.cfg.Profile.Pin(address)
	if err != nil {
		return 0, err
	}
	if want := c.cfg.Fingerprint; want != nil {
		if !bytes.Equal(sum, want) {
			return 0, errOtherServer(address, sum, want, "check the fingerprint with who runs the server")
		}
		return given, nil
	}
	if len(pinned) > 0 {
		if !bytes.Equal(sum, pinned) {
			return 0, errOtherServer(address, sum, pinned,
				"somebody may be listening in. If who runs the server confirms the new one, give it once with --fingerprint")
		}
		return known, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	switch authority := c.vouched(host, chain); {
	case authority && pinned != nil:
		return known, nil
	case authority:
		return vouched, nil
	case pinned != nil:
		return 0, qpq.E(qpq.Denied, "no-longer-vouched", fmt.Sprintf(
			"THE SERVER AT %s HAD A CERTIFICATE THAT AN AUTHORITY VOUCHES FOR, AND THIS ONE HAS NONE\n  met %s\nNothing was sent: somebody may be listening in. If who runs the server confirms the fingerprint, give it once with --fingerprint",
			address, FormatFingerprint(sum)))
	}
	if now := c.cfg.Clock(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return 0, qpq.E(qpq.Denied, "certificate-expired", fmt.Sprintf("the certificate of %s counts from %s to %s, and here it is %s: check the clock, or tell who runs the server",
			address, leaf.NotBefore.Format("2006-01-02"), leaf.NotAfter.Format("2006-01-02"), now.Format("2006-01-02 15:04")))
	}
	if c.cfg.Notice == nil {
		return 0, qpq.E(qpq.Denied, "unknown-server", fmt.Sprintf("the server at %s is not known yet, and nobody is there to compare its fingerprint: connect to it once by hand, or give --fingerprint", address))
	}
	return met, nil
}

// vouched reports whether an authority vouches for the certificate.
func (c *Client) vouched(host string, chain []*x509.Certificate) bool {
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		DNSName: strings.Trim(host, "[]"), Roots: c.cfg.Roots, Intermediates: between, CurrentTime: c.cfg.Clock()})
	return err == nil
}

func errOtherServer(address string, got, want []byte, advice string) error {
	return qpq.E(qpq.Denied, "fingerprint-changed", fmt.Sprintf(
		"THE SERVER AT %s HAS ANOTHER KEY\n  expected %s\n  met      %s\nNothing was sent: %s", address, FormatFingerprint(want), FormatFingerprint(got), advice))
}
