package loadtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/wire"
)

// fleet is all clients of this process, on one UDP socket.
type fleet struct {
	plan   Plan
	record *recorder
	book   *book // of the accounts; nil where there are none
	info   wire.ServerInfoReply
	people []*person
	say    func(doing string, done, of int)
	files  sync.Map           // that messages of this process bring, by the id of the message
	met    *transport.Session // the first connection that a search for the limit counts, over which the server was met; nil for others

	mu          sync.Mutex
	endpoint    *quic.Endpoint
	fingerprint []byte // of the server's key
}

// atOnce is how many of what takes a while at the server are under way while clients are prepared.
const atOnce = 64

// meet learns who the server is.
func (f *fleet) meet(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, f.plan.Patience)
	defer cancel()
	s, err := f.dial(within, nil)
	if err != nil {
		return reaching(f.plan.Server, err)
	}
	f.info, err = wire.Call(ctx, s, wire.ServerInfo{Client: "qpq-loadtest"})
	if err == nil && f.plan.FindLimit {
		f.met = s
		return nil
	}
	_ = s.Close()
	if err != nil {
		return reaching(f.plan.Server, err)
	}
	return nil
}

// reaching explains why the server cannot be reached.
func reaching(server string, err error) error {
	if qpq.KindOf(err) == qpq.Denied {
		return err
	}
	return qpq.Wrap(qpq.Unavailable, "cannot-connect", fmt.Sprintf("cannot reach a server at %s by QUIC: %v: check --server, and that UDP gets through", server, err), err)
}

// dial opens a connection on the shared socket. It waits while as many others are being opened as the socket bears, however long that is; QUIC bounds how
// long the opening takes.
func (f *fleet) dial(ctx context.Context, push func([]byte)) (*transport.Session, error) {
	f.mu.Lock()
	from := f.endpoint
	f.mu.Unlock()
	conn, err := from.Dial(ctx, f.plan.Server, &tls.Config{InsecureSkipVerify: true, VerifyConnection: f.verify}) // verify decides
	if err != nil {
		return nil, err
	}
	return transport.NewSession(conn, transport.SessionConfig{Push: push}), nil
}

// verify takes the server that the plan names; where it names none, any, but the same for all connections.
func (f *fleet) verify(state tls.ConnectionState) error {
	sum := fingerprint(state.PeerCertificates[0])
	f.mu.Lock()
	defer f.mu.Unlock()
	want := f.plan.Fingerprint
	if len(want) == 0 {
		want = f.fingerprint
	}
	if len(want) > 0 && !bytes.Equal(want, sum) {
		return qpq.E(qpq.Denied, "other-server", fmt.Sprintf("the server at %s has the fingerprint %s, and %s was expected: check --fingerprint with who runs it",
			f.plan.Server, formatFingerprint(sum), formatFingerprint(want)))
	}
	f.fingerprint = sum
	return nil
}

func fingerprint(c *x509.Certificate) []byte {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return sum[:]
}

func formatFingerprint(sum []byte) string {
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum)
}

// cut ends all connections at once by closing the socket, and opens another for those to come.
func (f *fleet) cut() error {
	next, err := quic.NewEndpoint(":0", quic.Config{})
	if err != nil {
		return err
	}
	f.mu.Lock()
	before := f.endpoint
	f.endpoint = next
	f.mu.Unlock()
	return before.Close()
}

func (f *fleet) close() {
	if f.met != nil {
		_ = f.met.Close() // or the server would count it until it notices
	}
	clients.Together(context.Background(), len(f.people), atOnce, func(i int) error { f.people[i].leave(); return nil })
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.endpoint.Close()
	if f.book != nil {
		f.book.close()
	}
}

// connectAll has everybody who is not connected connect as the device of their account.
func (f *fleet) connectAll(ctx context.Context) error {
	var done atomic.Int64
	return clients.Together(ctx, len(f.people), atOnce, func(i int) error {
		p := f.people[i]
		if p.alive() {
			return nil
		}
		if err := stubbornly(ctx, func() error { return patiently(ctx, func() error { return p.connect(ctx) }) }); err != nil {
			return fmt.Errorf("connect as %s: %w", p.user, err)
		}
		f.say("connecting", int(done.Add(1)), len(f.people))
		return nil
	})
}

// stubbornly repeats what fails, a few times with growing pauses, unless it is refused: one connection of thousands that breaks on a busy machine must not
// end what is not measured yet.
func stubbornly(ctx context.Context, do func() error) error {
	const tries = 6
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == tries || qpq.KindOf(err) == qpq.Denied || !sleepUntil(ctx, time.Now().Add(time.Duration(try)*time.Second)) {
			return err
		}
	}
}

// patiently repeats what a server refuses because too much is asked of it at a time: preparations are not measured.
func patiently(ctx context.Context, do func() error) error {
	wait := 250 * time.Millisecond
	for {
		err := do()
		if !errors.Is(err, qpq.RateLimited) || qpq.CodeOf(err) == "too-many-conversations" {
			return err
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, 5*time.Second)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
