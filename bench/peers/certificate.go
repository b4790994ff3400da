package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// clientTLS is how clients connect to servers that have a certificate of their own making. What they check costs all peers the same.
var clientTLS = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS12}

// certify writes key and certificate of localhost, ECDSA on P-256, to key.pem and certificate.pem of a site.
func (s site) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(s.path("key.pem"), keyPEM, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("certificate.pem"), certPEM, 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.path("both.pem"), append(certPEM, keyPEM...), 0o600)
}
