package world

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
)

// datagrams is a network on which QUIC is spoken. Every machine has a socket of its own, and each device a way to the server on which datagrams get
// lost and overtake each other.
type datagrams struct {
	w                  *World
	config             quic.Config
	sockets            sockets
	certificate, trust *tls.Config
	closing            sync.WaitGroup

	mu     sync.Mutex
	server *quic.Endpoint  // nil while none runs
	parted map[string]bool // devices off the network
	ends   map[string]*end
	made   map[string]int // ends so far, by device
}

// sockets are those of machines, and what is between them.
type sockets interface {
	// serve opens the socket of a server that starts: what devices send reaches it from now on.
	serve() (net.PacketConn, error)
	// attach opens the socket of a device. What it sends to the address that is returned reaches the server by the way, as do the answers.
	attach(*way) (c net.PacketConn, server string, err error)
	// detach forgets a way.
	detach(*way)
}

// end is the socket of a device.
type end struct {
	way      *way
	endpoint *quic.Endpoint
	server   string
}

func newDatagrams(w *World, c quic.Config, s sockets) (*datagrams, error) {
	c.ResetKey = [32]byte{1} // a server that is back tells who it does not know
	certificate, trust, err := certify()
	return &datagrams{w: w, config: c, sockets: s, certificate: certificate, trust: trust, parted: map[string]bool{}, ends: map[string]*end{}, made: map[string]int{}}, err
}

// Listen implements network.
func (n *datagrams) Listen() (transport.Listener, error) {
	socket, err := n.sockets.serve()
	if err != nil {
		return nil, err
	}
	e := quic.NewEndpointOn(socket, n.config)
	l, err := e.Listen(n.certificate)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = e
	return &listener{l, e}, nil
}

// listener is a listener with its socket.
type listener struct {
	*quic.Listener
	endpoint *quic.Endpoint
}

// Close ends all connections and closes the socket.
func (l *listener) Close() error { return errors.Join(l.Listener.Close(), l.endpoint.Close()) }

// Dial implements network.
func (n *datagrams) Dial(ctx context.Context, device string) (transport.Conn, error) {
	e, err := n.end(device)
	if err != nil {
		return nil, err
	}
	return e.endpoint.Dial(ctx, e.server, n.trust)
}

// end returns the socket of a device, and opens it where there is none.
func (n *datagrams) end(device string) (*end, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.ends[device]; e != nil {
		return e, nil
	}
	n.made[device]++
	w := newWay(n, device, n.made[device])
	socket, server, err := n.sockets.attach(w)
	if err != nil {
		return nil, fmt.Errorf("attach %s to the network: %w", device, err)
	}
	e := &end{w, quic.NewEndpointOn(socket, n.config), server}
	n.ends[device] = e
	return e, nil
}

// Part implements network.
func (n *datagrams) Part(device string, off bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parted[device] = off
	return true
}

// Kill implements network. From here on nothing that the machine sends arrives.
func (n *datagrams) Kill(machine string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if machine == "server" {
		if e := n.server; e != nil {
			n.closing.Go(func() { _ = e.Close() })
		}
		n.server = nil
		return true
	}
	if e := n.ends[machine]; e != nil {
		e.way.gone = true
		delete(n.ends, machine)
		n.closing.Go(func() { n.leave(e) })
	}
	return true
}

func (n *datagrams) leave(e *end) {
	_ = e.endpoint.Close()
	n.sockets.detach(e.way)
}

// passes reports whether anything can pass on a way now.
func (n *datagrams) passes(w *way) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server != nil && !n.parted[w.device] && !w.gone
}

// Carries implements network.
func (n *datagrams) Carries() bool { return true }

// Close implements network.
func (n *datagrams) Close() error {
	n.mu.Lock()
	for name, e := range n.ends {
		delete(n.ends, name)
		n.closing.Go(func() { n.leave(e) })
	}
	n.mu.Unlock()
	n.closing.Wait()
	return nil
}

// certify makes the certificate of a server, and what trusts it.
func certify() (server, device *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0), DNSNames: []string{domain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: roots, ServerName: domain}, nil
}
