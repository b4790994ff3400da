package world

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/transport/quic"
)

// A driver is how a history is played: over what devices reach the server, and what becomes of the time.
type driver struct {
	listen func() (carrier, error)
	haste  time.Duration               // by which the times of steps are divided
	rest   func(*World, time.Duration) // lets all have time for what they still have to do
}

// carrier is where a server listens, and devices reach it.
type carrier interface {
	transport.Listener
	Dial(ctx context.Context, device string) (transport.Conn, error)
}

// sim is simulated time on links in memory.
var sim = driver{
	listen: func() (carrier, error) { return mem.Listen("server"), nil },
	haste:  1,
	rest:   func(_ *World, d time.Duration) { time.Sleep(d) },
}

// live returns real time over QUIC on real sockets. Steps follow each other fast, and nobody waits for what happens by itself now and then: all look
// whether there is anything, some times over. Whatever takes long by its nature (weeks away, clocks, weather) is for sim.
func live() (driver, error) {
	certificate, trust, err := certify()
	listen := func() (carrier, error) { return listenQUIC(certificate, trust) }
	return driver{listen: listen, haste: 10, rest: syncAll}, err
}

// syncAll has all devices receive and send all there is.
func syncAll(w *World, _ time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 4 {
		for _, d := range w.order {
			if r, err := d.program(); err == nil {
				_ = r.Sync(ctx) // who is not signed in has nothing; what fails shows in what is judged
			}
		}
	}
	pause(ctx, time.Second) // for people to look
}

// PlayLive is Play over real sockets and in real time. What randomness is drawn is not repeatable.
func PlayLive(t *testing.T, s Scenario) (failures, story []string) {
	t.Helper()
	d, err := live()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s, Plant{}, d)
	w.play()
	return w.failures, w.lines
}

// endpoints is a server's socket and that of all devices.
type endpoints struct {
	*quic.Listener
	server, devices *quic.Endpoint
	trust           *tls.Config
}

func listenQUIC(certificate, trust *tls.Config) (carrier, error) {
	server, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	if err != nil {
		return nil, err
	}
	devices, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return listenOn(server, devices, certificate, trust)
}

func listenOn(server, devices *quic.Endpoint, certificate, trust *tls.Config) (carrier, error) {
	l, err := server.Listen(certificate)
	if err != nil {
		return nil, errors.Join(err, server.Close(), devices.Close())
	}
	return &endpoints{l, server, devices, trust}, nil
}

// simQUIC is sim with QUIC on simulated sockets.
func simQUIC() (driver, error) {
	certificate, trust, err := certify()
	router, port := &simnet.PerfectRouter{}, 0
	socket := func(host byte) *quic.Endpoint {
		port++
		return quic.NewEndpointOn(simnet.NewBlockingSimConn(&net.UDPAddr{IP: net.IPv4(10, 0, 0, host), Port: port}, router), quic.Config{})
	}
	d := sim
	d.listen = func() (carrier, error) { return listenOn(socket(1), socket(2), certificate, trust) }
	return d, err
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

// Dial implements carrier.
func (e *endpoints) Dial(ctx context.Context, _ string) (transport.Conn, error) {
	return e.devices.Dial(ctx, e.server.Addr().String(), e.trust)
}

// Close ends all connections and closes the sockets.
func (e *endpoints) Close() error {
	return errors.Join(e.Listener.Close(), e.server.Close(), e.devices.Close())
}
