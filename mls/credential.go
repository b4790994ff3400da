package mls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/quicproquo/qpq/mls/message"
)

// BasicCredential returns a credential that is a bare identity, which only the application can check.
func BasicCredential(identity []byte) Credential { return message.BasicCredential(identity) }

// X509Credential returns a credential that is a chain of DER certificates, the member's own first.
func X509Credential(chain ...[]byte) Credential { return message.X509Credential(chain...) }

// X509Validator accepts X.509 credentials whose chain leads to one of the roots and whose first
// certificate is for the signature key (RFC 9420, section 5.3). A member may replace its credential by
// one with the same subject. Certificates are checked at the time of Clock; expiry of members who are
// in a group already is not asked again.
type X509Validator struct {
	Roots *x509.CertPool
	Clock func() time.Time // nil is time.Now
}

// ValidateCredential implements CredentialValidator.
func (v *X509Validator) ValidateCredential(c Credential, signatureKey []byte) error {
	if c.Type != message.CredentialX509 {
		return fmt.Errorf("credential of type %d is not X.509", c.Type)
	}
	chain, err := parseChain(c)
	if err != nil {
		return err
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	options := x509.VerifyOptions{Roots: v.Roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if options.Roots == nil {
		options.Roots = x509.NewCertPool()
	}
	if v.Clock != nil {
		options.CurrentTime = v.Clock()
	}
	if _, err := chain[0].Verify(options); err != nil {
		return err
	}
	if key := encodePublicKey(chain[0].PublicKey); key == nil || !bytes.Equal(key, signatureKey) {
		return fmt.Errorf("certificate is for another key than the leaf's signature key")
	}
	return nil
}

// ValidateSuccessor implements CredentialValidator.
func (v *X509Validator) ValidateSuccessor(old, next Credential) error {
	before, err := parseChain(old)
	if err != nil {
		return err
	}
	after, err := parseChain(next)
	if err != nil {
		return err
	}
	if !bytes.Equal(before[0].RawSubject, after[0].RawSubject) {
		return fmt.Errorf("certificate is for another subject than the one it replaces")
	}
	return nil
}

func parseChain(c Credential) ([]*x509.Certificate, error) {
	if len(c.Certificates) == 0 || len(c.Certificates) > 16 {
		return nil, fmt.Errorf("chain of %d certificates", len(c.Certificates))
	}
	chain := make([]*x509.Certificate, len(c.Certificates))
	for i, der := range c.Certificates {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// encodePublicKey returns a certificate's key as MLS has it, nil for a kind that no suite uses.
func encodePublicKey(key any) []byte {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return k
	case *ecdsa.PublicKey:
		b, err := k.Bytes()
		if err != nil {
			return nil
		}
		return b
	}
	return nil
}
