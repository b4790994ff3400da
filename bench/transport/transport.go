// Package transport measures what a call and an idle client cost on each carrier, beside the carriers themselves.
package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"

	"github.com/quicproquo/qpq/transport"
)

// echo answers every call with its request, and pushes one message to each client, so that its push stream is open.
type echo struct{}

func (echo) Open(c *transport.ServerConn) (any, error) {
	c.Push([]byte("welcome"))
	return nil, nil
}

func (echo) Call(_ context.Context, _ *transport.ServerConn, _ uint16, request []byte) (uint16, []byte) {
	return 0, request
}

func (echo) Closed(*transport.ServerConn) {}

// certificate returns configurations of a server and of its clients.
func certificate() (server, client *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}, nil
}
