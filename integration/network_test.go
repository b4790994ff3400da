//go:build linux

package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdTCPOnly makes a network on the way to a server that lets TCP through and loses what comes by UDP.
func cmdTCPOnly(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	address := freeAddress()
	hole, err := net.ListenPacket("udp", address) // read by nobody
	ts.Check(err)
	l, err := net.Listen("tcp", address)
	ts.Check(err)
	s := of(ts)
	s.closers = append(s.closers, func() {
		_ = hole.Close()
		_ = l.Close()
	})
	s.others.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.others.Go(func() { forward(conn, args[1]) })
		}
	})
	ts.Setenv(args[0], address)
}

func forward(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to)
		_ = from.Close()
	})
	_, _ = io.Copy(to, from)
	_ = to.Close()
	back.Wait()
}

// cmdAuthority makes a certificate authority and what it vouches for.
func cmdAuthority(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1)
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a story"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	root, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	ts.Check(err)
	signed, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(leafKey)
	ts.Check(err)
	for _, f := range []struct {
		ending, kind string
		content      []byte
	}{{".pem", "CERTIFICATE", root}, {".crt", "CERTIFICATE", signed}, {".key", "PRIVATE KEY", private}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+f.ending), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.content}), 0o600))
	}
}
