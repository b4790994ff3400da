package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/transport/tlsmux"
	"github.com/quicproquo/qpq/transport/websocket"
)

// reloadEvery is how often the certificate's files are looked at.
const reloadEvery = time.Minute

// serve runs the server until ctx is done.
func (e environment) serve(ctx context.Context, s *settings) (err error) {
	log := s.logger(e.stderr)
	slog.SetDefault(log) // libraries that log write there too
	for _, sentence := range s.table().Misspelt(e.variables) {
		log.Warn(sentence)
	}
	home, err := node.OpenHome(s.data, config.Release())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	if err := s.settle(ctx, home); err != nil {
		return err
	}
	certificate, err := home.Certificate(s.domain, s.tlsCert, s.tlsKey, time.Now())
	if err != nil {
		return err
	}
	reset, err := certificate.ResetKey()
	if err != nil {
		return err
	}
	edges, err := listen(s, certificate.TLS(), quic.Config{ResetKey: reset})
	if err != nil {
		return err
	}
	defer edges.close()
	status, err := listenStatus(s.metrics)
	if err != nil {
		return err
	}
	cfg, engine, err := assemble(ctx, s, home, log) // last: the first start fixes the domain
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	server, err := node.New(cfg)
	if err != nil {
		return err
	}
	meta, err := cfg.Store.Meta(ctx)
	if err != nil {
		return err
	}
	for _, risk := range risks(s, home, certificate, &meta, time.Now()) {
		log.Warn(risk)
	}
	signals := make(chan os.Signal, 1)
	if len(reloadSignals) > 0 { // none would be all
		signal.Notify(signals, reloadSignals...) // before anybody knows that there is a server
		defer signal.Stop(signals)
	}
	if err := e.announce(ctx, s, cfg.Store, certificate, edges, status); err != nil {
		return err
	}
	return run(ctx, server, edges, status, &reloader{certificate, signals, log})
}

// assemble makes what a server is made of, in the order in which it may be made: keys before the database.
func assemble(ctx context.Context, s *settings, home *node.Home, log *slog.Logger) (cfg node.Config, engine *sqlite.Engine, err error) {
	cfg = node.Config{
		Domain: s.domain, Registration: s.whoMayRegister(), Software: "qpq-server " + config.Release(),
		Limits: s.limits(), FreeDisk: home.FreeDisk, Log: log, LogNames: !s.redactLogs,
	}
	if cfg.Passwords, err = home.Passwords(); err != nil {
		return cfg, nil, err
	}
	if cfg.SigningKey, err = home.SigningKey(); err != nil {
		return cfg, nil, err
	}
	cfg.Store, engine, err = openStore(ctx, s, home)
	return cfg, engine, err
}

func openStore(ctx context.Context, s *settings, home *node.Home) (*store.Store, *sqlite.Engine, error) {
	engine, err := sqlite.Open(ctx, sqlite.Config{Path: home.Database()})
	if err != nil {
		return nil, nil, err
	}
	var opened *store.Store
	blobs, err := folder.Open(home.Blobs())
	if err == nil {
		opened, err = store.Open(ctx, engine, store.Config{Domain: s.domain, Now: time.Now(), Blobs: blobs})
	}
	if err != nil {
		return nil, nil, errors.Join(err, engine.Close())
	}
	return opened, engine, nil
}

// edges are where clients come in: QUIC, TLS over TCP on the same port, and WebSocket on another.
type edges struct {
	endpoint  *quic.Endpoint
	web       *websocket.Listener // nil where none was asked for
	listeners []transport.Listener
}

func (e *edges) close() {
	for _, l := range e.listeners {
		_ = l.Close()
	}
	_ = e.endpoint.Close()
}

// listen opens all of them.
func listen(s *settings, c *tls.Config, q quic.Config) (*edges, error) {
	e, err := listenStandard(s.listen, c, q)
	if err != nil || s.websocket == "" {
		return e, err
	}
	if e.web, err = websocket.Listen(s.websocket, c, s.origins()...); err != nil {
		e.close()
		return nil, hint(err, "--websocket")
	}
	e.listeners = append(e.listeners, e.web)
	return e, nil
}

// listenStandard opens QUIC and TLS. Where the port is left to the system, it takes one that is free on both.
func listenStandard(address string, c *tls.Config, q quic.Config) (*edges, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "bad-address", fmt.Sprintf("%q is no address to listen on", address), err)
	}
	for tries := 1; ; tries++ {
		opened, err := listenBoth(host, port, c, q)
		if err == nil {
			return opened, nil
		}
		if !errors.Is(err, qpq.Exists) || port != "0" || tries == 10 {
			return nil, hint(err, "--listen")
		}
	}
}

func listenBoth(host, port string, c *tls.Config, q quic.Config) (*edges, error) {
	endpoint, err := quic.NewEndpoint(net.JoinHostPort(host, port), q)
	if err != nil {
		return nil, err
	}
	_, port, err = net.SplitHostPort(endpoint.Addr().String())
	if err != nil {
		return nil, errors.Join(err, endpoint.Close())
	}
	tcp, err := tlsmux.Listen(net.JoinHostPort(host, port), c)
	if err != nil {
		_ = endpoint.Close()
		return nil, err
	}
	udp, err := endpoint.Listen(c)
	if err != nil {
		return nil, errors.Join(err, tcp.Close(), endpoint.Close())
	}
	return &edges{endpoint: endpoint, listeners: []transport.Listener{udp, tcp}}, nil
}

// hint says how a setting would help.
func hint(err error, setting string) error {
	advice := "choose an address of this machine with " + setting
	switch {
	case errors.Is(err, qpq.Exists):
		advice = "stop what listens there, or choose another port with " + setting
	case errors.Is(err, fs.ErrPermission):
		advice = "choose a port above 1023 with " + setting + ", or let the program use this one"
	}
	return qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), err.Error()+": "+advice, err)
}

func listenStatus(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-listen", fmt.Sprintf("cannot serve metrics on %s: %v: choose another address with --metrics", address, err), err)
	}
	return l, nil
}

// announce tells people how to reach the server.
func (e environment) announce(ctx context.Context, s *settings, st *store.Store, c *node.Certificate, at *edges, status net.Listener) error {
	accounts, err := st.CountAccounts(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "qpq-server %s for users of %s\n", config.Release(), s.domain)
	fmt.Fprintf(e.stdout, "listening on %s (UDP and TCP)\n", at.endpoint.Addr())
	if at.web != nil {
		fmt.Fprintf(e.stdout, "listening on %s (WebSocket)\n", at.web.Addr())
	}
	fmt.Fprintf(e.stdout, "fingerprint %s\n", c.Fingerprint())
	if status != nil {
		fmt.Fprintf(e.stdout, "metrics on http://%s/metrics\n", status.Addr())
	}
	if accounts == 0 {
		fmt.Fprintln(e.stdout, "nobody has signed up yet: the first to register becomes the administrator")
	}
	_, err = fmt.Fprintln(e.stdout, "ready")
	return err
}

// run serves until ctx is done or a listener fails, and returns when all has ended.
func run(ctx context.Context, server *node.Server, at *edges, status net.Listener, r *reloader) error {
	beside, end := context.WithCancel(context.WithoutCancel(ctx)) // ends after the server, so that /ready tells of the drain
	var work sync.WaitGroup
	work.Go(func() { r.run(beside) })
	work.Go(func() { rest(beside) })
	var statusErr error
	if status != nil {
		work.Go(func() { statusErr = server.ServeStatus(beside, status) })
	}
	err := server.Run(ctx, at.listeners...)
	end()
	work.Wait()
	r.log.Info("stopped")
	return errors.Join(err, statusErr)
}

// reloader reads the certificate anew when its files change, and at once on SIGHUP.
type reloader struct {
	certificate *node.Certificate
	signals     chan os.Signal
	log         *slog.Logger
}

// run does so until ctx is done.
func (r *reloader) run(ctx context.Context) {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-r.signals:
		case <-ctx.Done():
			return
		}
		switch changed, err := r.certificate.Reload(); {
		case err != nil:
			r.log.Error("the certificate could not be read anew: the one before stays in use", "cause", err.Error())
		case changed:
			r.log.Info("certificate read anew", "fingerprint", r.certificate.Fingerprint(), "expires", r.certificate.Leaf().NotAfter)
		}
	}
}
