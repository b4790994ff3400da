package loadtest

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// Coordinator and workers talk in lines of JSON over TLS 1.3. Each proves that it knows the secret, of which both derive the one key that
// either trusts. A secret that can be guessed can be guessed by whoever connects, so there is a least length.
const leastSecret = 16

// A worker says something every beat, and is lost if nothing came for silence.
const (
	beat    = 2 * time.Second
	silence = 20 * time.Second
)

// longestLine is how many bytes a line has at most: a result has a few hundred for each slice and series.
const longestLine = 256 << 20

// order is what a coordinator says.
type order struct {
	Plan  *Plan // first
	Start bool  // when all are ready
	Stop  bool  // before it is over
}

// answer is what a worker says. One that has nothing in it says that the worker is alive.
type answer struct {
	Host     string    `json:",omitempty"` // first
	Ready    bool      `json:",omitempty"` // what is not measured is done
	Progress *Progress `json:",omitempty"`
	Done     *share    `json:",omitempty"` // last
	Failed   string    `json:",omitempty"` // with it: why it is not all that it should be
}

// credentials returns the TLS configuration of both ends.
func credentials(secret wire.Secret) (*tls.Config, error) {
	text := secret.Reveal()
	if len(text) < leastSecret {
		return nil, qpq.E(qpq.Invalid, "weak-secret", fmt.Sprintf("the secret of coordinator and workers has %d bytes, and takes %d: make the file with openssl rand -base64 32", len(text), leastSecret))
	}
	seed, err := hkdf.Key(sha256.New, []byte(text), nil, "qpq-loadtest coordinator and workers", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error { // the only key that counts is the one of the secret
			theirs, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || !bytes.Equal(theirs, key.Public().(ed25519.PublicKey)) {
				return errOtherSecret
			}
			return nil
		},
	}, nil
}

var errOtherSecret = qpq.E(qpq.Denied, "other-secret", "the other end has another secret: give both the same --secret-file")

// speaker is one end of a connection between coordinator and worker.
type speaker struct {
	conn  net.Conn
	lines *bufio.Scanner

	mu sync.Mutex // held by who writes
}

func newSpeaker(conn net.Conn) *speaker {
	s := &speaker{conn: conn, lines: bufio.NewScanner(conn)}
	s.lines.Buffer(nil, longestLine)
	return s
}

// say writes one line.
func (s *speaker) say(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(silence)); err != nil {
		return err
	}
	_, err = s.conn.Write(append(b, '\n'))
	return err
}

// hear reads one line, which has to come within a time if there is one.
func (s *speaker) hear(v any, within time.Duration) error {
	var until time.Time
	if within > 0 {
		until = time.Now().Add(within)
	}
	if err := s.conn.SetReadDeadline(until); err != nil {
		return err
	}
	if !s.lines.Scan() {
		if err := s.lines.Err(); err != nil {
			return err
		}
		return errors.New("the connection ended")
	}
	return json.Unmarshal(s.lines.Bytes(), v)
}
