// Package dial reaches a server over whatever gets through: QUIC, or TLS over TCP on the same port where UDP is
// blocked.
package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

// Patience is how long UDP may stay without an answer before TCP is tried too.
const Patience = 3 * time.Second

// Timeout is how long all attempts together may take.
const Timeout = 20 * time.Second

// Dialer dials servers. The zero value is ready to use; Close it to free its socket.
type Dialer struct {
	// Notice, if not nil, is told what people should know while they wait.
	Notice func(text string)

	mu       sync.Mutex
	endpoint *quic.Endpoint
}

// Dial connects to a server at host:port. verify decides on its certificate; its error ends the attempt. Dial fails with qpq.Unavailable,
// or with what verify returned.
func (d *Dialer) Dial(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if host, _, err := net.SplitHostPort(address); err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "bad-address", fmt.Sprintf("%q is no address to connect to: write host:port", address), err)
	} else if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		return nil, cannot(address, err)
	}
	refused := make(chan error, 2) // what verify said: a server that is not trusted is not asked again another way
	c := &tls.Config{
		InsecureSkipVerify: true, // verify does it
		VerifyConnection: func(state tls.ConnectionState) error {
			err := verify(state)
			if err != nil {
				refused <- err
				cancel()
			}
			return err
		},
	}
	attempts := []attempt{
		{name: "UDP", dial: func(ctx context.Context) (transport.Conn, error) { return d.quic(ctx, address, c) }},
		{name: "TCP", after: Patience, dial: func(ctx context.Context) (transport.Conn, error) { return tlsmux.Dial(ctx, address, c) }},
	}
	conn, _, err := race(ctx, attempts, func(attempt) {
		if d.Notice != nil {
			d.Notice(fmt.Sprintf("no answer from %s by UDP, which a network on the way may block: trying TCP", address))
		}
	})
	if err == nil {
		return conn, nil
	}
	select {
	case err := <-refused:
		return nil, err
	default:
	}
	return nil, cannot(address, err)
}

func cannot(address string, err error) error {
	return qpq.Wrap(qpq.Unavailable, "cannot-connect", fmt.Sprintf("cannot connect to %s: %s", address, why(err)), err)
}

func (d *Dialer) quic(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	e, err := d.socket()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*Patience)
	defer cancel()
	return e.Dial(ctx, address, c)
}

// socket returns the UDP socket that all connections share.
func (d *Dialer) socket() (*quic.Endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.endpoint == nil {
		e, err := quic.NewEndpoint(":0", quic.Config{})
		if err != nil {
			return nil, err
		}
		d.endpoint = e
	}
	return d.endpoint, nil
}

// Close frees the socket. It ends connections by QUIC.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.endpoint == nil {
		return nil
	}
	return d.endpoint.Close()
}

// why says in words what people can act on.
func why(err error) string {
	var dns *net.DNSError
	var known *qpq.Error
	switch {
	case errors.As(err, &dns):
		return "there is no host of this name: check the spelling, or the connection to the Internet"
	case errors.As(err, &known):
		return known.Text
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the address, and that the server runs"
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way to it from this network: check the connection to the Internet"
	case errors.Is(err, context.Canceled):
		return "given up on request"
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return "there is no answer: check the address, and that the server runs"
	}
	return "it did not come to a connection" // the cause may have text of whoever answered
}
