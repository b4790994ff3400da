package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// readyWithin is how fast the store must answer for the server to count as ready.
const readyWithin = 2 * time.Second

// ready reports whether the server takes calls: it does not drain, and its store can be read.
func (s *Server) ready(ctx context.Context) error {
	if s.draining() {
		return qpq.E(qpq.Unavailable, wire.CodeDraining, "the server is stopping")
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	_, err := s.cfg.Store.Meta(ctx)
	return err
}

// status returns the pages for operators and their machines, none of which is for the public:
// /metrics for Prometheus, /health while the process works, /ready while it takes calls.
func (s *Server) status() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) { answer(w, s.ready(r.Context())) })
	return mux
}

// ServeStatus serves the pages for operators until ctx is done, and closes the listener.
func (s *Server) ServeStatus(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s.status(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", l.Addr(), err)
	}
	return nil
}

// answer writes the result of a check: 200, or 503 with the sentence for people.
func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%v\n", err)
		return
	}
	fmt.Fprintln(w, "ok")
}
