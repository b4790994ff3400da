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

// trust decides on the certificate of the server at an address.
func (c *Client) trust(address string) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		pinned, err := c.cfg.Profile.Pin(address)
		if err != nil {
			return err
		}
		switch {
		case c.cfg.Fingerprint != nil:
			if !bytes.Equal(sum[:], c.cfg.Fingerprint) {
				return errOtherServer(address, sum[:], c.cfg.Fingerprint, "check the fingerprint with who runs the server")
			}
			if bytes.Equal(sum[:], pinned) {
				return nil
			}
			return c.cfg.Profile.SetPin(address, sum[:])
		case bytes.Equal(sum[:], pinned):
			return nil
		case pinned != nil:
			return errOtherServer(address, sum[:], pinned,
				"somebody may be listening in. If who runs the server confirms the new one, give it once with --fingerprint")
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if c.vouched(host, state.PeerCertificates) {
			return nil
		}
		if now := c.cfg.Clock(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return qpq.E(qpq.Denied, "certificate-expired", fmt.Sprintf("the certificate of %s counts from %s to %s, and here it is %s: check the clock, or tell who runs the server",
				address, leaf.NotBefore.Format("2006-01-02"), leaf.NotAfter.Format("2006-01-02"), now.Format("2006-01-02 15:04")))
		}
		if err := c.cfg.Profile.SetPin(address, sum[:]); err != nil {
			return err
		}
		c.notice("first-contact", fmt.Sprintf("first contact with %s: its fingerprint is\n  %s\ncompare it with what the server printed at its start; from now on no other is accepted", address, FormatFingerprint(sum[:])))
		return nil
	}
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
