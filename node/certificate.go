package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
)

// selfSignedYears is how long a certificate of the server's own counts. Clients pin its key, so that
// only a lost or stolen key is a reason to replace it.
const selfSignedYears = 20

// Certificate is the server's TLS certificate, which can be read anew while it runs.
type Certificate struct {
	certFile, keyFile string
	own               bool
	newKey            bool
	present           atomic.Pointer[tls.Certificate]
	modified          [2]time.Time // of the files when they were read; only Reload uses it
}

// Certificate returns the certificate in certFile, with its chain, and keyFile; or, where both are empty,
// the home's own, self-signed for domain and made at the first start.
func (h *Home) Certificate(domain, certFile, keyFile string, now time.Time) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if (certFile == "") != (keyFile == "") {
		return nil, qpq.E(qpq.Invalid, "bad-certificate", "a certificate takes its key and a key its certificate: give both --tls-cert and --tls-key")
	}
	if certFile == "" {
		c.own, c.certFile, c.keyFile = true, h.path(fileCertificate), h.path(fileTLSKey)
		var err error
		if c.newKey, err = h.selfSign(domain, now); err != nil {
			return nil, err
		}
	}
	if _, err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// ResetKey returns a secret that belongs to the key of the certificate: the same at each start.
func (c *Certificate) ResetKey() (key [32]byte, err error) {
	private, err := x509.MarshalPKCS8PrivateKey(c.present.Load().PrivateKey)
	if err != nil {
		return key, err
	}
	defer clear(private)
	b, err := hkdf.Key(sha256.New, private, nil, "qpq stateless reset", len(key))
	return [32]byte(b), err
}

// selfSign makes a certificate where there is none, or where the server has never started: then the domain may
// still change. A key that is there stays, since clients know the server by it. It reports whether it made one.
func (h *Home) selfSign(domain string, now time.Time) (newKey bool, err error) {
	_, present := os.Stat(h.path(fileCertificate))
	_, started := os.Stat(h.Database())
	if !errors.Is(present, fs.ErrNotExist) && !errors.Is(started, fs.ErrNotExist) {
		return false, nil
	}
	key, newKey, err := h.tlsKey()
	if err != nil {
		return false, err
	}
	der, err := selfSigned(key, domain, now)
	if err != nil {
		return false, err
	}
	return newKey, writeFile(h.path(fileCertificate), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// tlsKey returns the key of the home's own certificate, and makes it if there is none.
func (h *Home) tlsKey() (key *ecdsa.PrivateKey, made bool, err error) {
	path := h.path(fileTLSKey)
	b, err := os.ReadFile(path)
	if err == nil {
		defer clear(b)
		var parsed any
		if block, _ := pem.Decode(b); block != nil {
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		if key, ok := parsed.(*ecdsa.PrivateKey); ok {
			return key, false, nil
		}
		return nil, false, damagedKey(path, err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, homeError(path, "read", err)
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, false, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, false, err
	}
	defer clear(private)
	return key, true, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// selfSigned returns a certificate for a domain that vouches for itself.
func selfSigned(key *ecdsa.PrivateKey, domain string, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: domain},
		NotBefore: now.Add(-day), NotAfter: now.AddDate(selfSignedYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(strings.Trim(domain, "[]")); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{domain}
	}
	return x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
}

// Reload reads the files anew if they changed, and reports whether it did. Where they cannot be used, the
// certificate in use stays.
func (c *Certificate) Reload() (bool, error) {
	var modified [2]time.Time
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return false, qpq.Wrap(qpq.NotFound, "bad-certificate", fmt.Sprintf("the certificate cannot be used: %v: restore the file, or name others with --tls-cert and --tls-key", err), err)
		}
		modified[i] = info.ModTime()
	}
	if c.present.Load() != nil && modified == c.modified {
		return false, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return false, qpq.Wrap(qpq.Invalid, "bad-certificate", fmt.Sprintf("the certificate in %s and the key in %s cannot be used: %v: restore them, or name others with --tls-cert and --tls-key", c.certFile, c.keyFile, err), err)
	}
	c.modified = modified
	c.present.Store(&pair)
	return true, nil
}

// TLS returns the configuration for listeners.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.present.Load(), nil },
	}
}

// Own reports whether the certificate is the home's own, self-signed.
func (c *Certificate) Own() bool { return c.own }

// NewKey reports whether the home's own key was made just now: clients that knew another refuse this one.
func (c *Certificate) NewKey() bool { return c.newKey }

// Leaf returns the certificate itself.
func (c *Certificate) Leaf() *x509.Certificate { return c.present.Load().Leaf }

// Check fails where clients would refuse the certificate for a domain, or will within days.
func (c *Certificate) Check(domain string, now time.Time) error {
	leaf := c.Leaf()
	switch {
	case now.Before(leaf.NotBefore):
		return qpq.E(qpq.Invalid, "bad-certificate", fmt.Sprintf("the certificate counts only from %s: check the clock", leaf.NotBefore.Format(time.DateTime)))
	case !now.Before(leaf.NotAfter):
		return qpq.E(qpq.Invalid, "bad-certificate", fmt.Sprintf("the certificate expired at %s: renew it", leaf.NotAfter.Format(time.DateTime)))
	case leaf.NotAfter.Sub(now) < 7*day:
		return qpq.E(qpq.Invalid, "certificate-expires", fmt.Sprintf("the certificate expires at %s: renew it", leaf.NotAfter.Format(time.DateTime)))
	}
	if err := leaf.VerifyHostname(strings.Trim(domain, "[]")); err != nil {
		return qpq.Wrap(qpq.Invalid, "bad-certificate", fmt.Sprintf("the certificate is not for %s: %v", domain, err), err)
	}
	return nil
}

// Fingerprint returns what people compare at first contact: SHA-256 of the certificate's public key
// (SubjectPublicKeyInfo, RFC 5280), in the form that ssh made known. It stays when a certificate is renewed with
// its key.
func (c *Certificate) Fingerprint() string {
	sum := sha256.Sum256(c.Leaf().RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
