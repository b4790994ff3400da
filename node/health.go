package node

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// readyWithin is how fast the store must answer for the server to count as ready.
const readyWithin = 2 * time.Second

// Ready reports whether the server takes calls: it does not drain, and its store can be read.
func (s *Server) Ready(ctx context.Context) error {
	if s.draining() {
		return qpq.E(qpq.Unavailable, wire.CodeDraining, "the server is stopping")
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	_, err := s.cfg.Store.Meta(ctx)
	return err
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
