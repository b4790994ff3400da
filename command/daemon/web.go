package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"github.com/quicproquo/qpq"
)

// ListenWeb listens for HTTP at an address of this machine that others cannot reach: 127.0.0.1:PORT, [::1]:PORT or localhost:PORT. It fails with
// qpq.Invalid for any other.
func ListenWeb(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !loopback(host) {
		return nil, qpq.E(qpq.Invalid, "not-loopback", fmt.Sprintf(
			"%q is no address of this machine alone: whoever reaches it could act as you; write 127.0.0.1:PORT or [::1]:PORT, with 0 for any free port", address))
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-listen", fmt.Sprintf("cannot listen on %s: %v: name another port", address, err), err)
	}
	if at, err := netip.ParseAddrPort(l.Addr().String()); err != nil || !at.Addr().IsLoopback() { // what localhost stands for here
		return nil, errors.Join(qpq.E(qpq.Invalid, "not-loopback", fmt.Sprintf("%q is %s, which others may reach: write 127.0.0.1:PORT", address, l.Addr())), l.Close())
	}
	return l, nil
}

// loopback reports whether a host is this machine, seen from this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	at, err := netip.ParseAddr(host)
	return err == nil && at.Zone() == "" && at.IsLoopback()
}

// web serves HTTP.
type web struct {
	d     *Daemon
	ctx   context.Context // of commands
	token string
}

// maxOpen bounds the connections of HTTP that are open: those of others, who have no token, wait here.
const maxOpen = 4 * maxConns

// serveWeb serves HTTP until the daemon leaves.
func (d *Daemon) serveWeb(ctx context.Context, l net.Listener, token string) error {
	w := &web{d, ctx, token}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rpc", w.rpc)
	mux.HandleFunc("GET /events", w.events)
	server := &http.Server{Handler: w.guard(mux), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(d.cfg.Log.Handler(), slog.LevelWarn)}
	d.work.Go(func() {
		<-d.leaving
		ctx, cancel := context.WithTimeout(ctx, 2*d.cfg.Patience) // commands end before
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	if err := server.Serve(netutil.LimitListener(l, maxOpen)); !errors.Is(err, http.ErrServerClosed) {
		return qpq.Wrap(qpq.Unavailable, "cannot-listen", "HTTP cannot be served any more: "+err.Error(), err)
	}
	return nil
}

// drainTime is how long the rest of a request that is refused may take to come in: the server reads it before it closes the connection.
const drainTime = time.Second

// guard lets in who has the token, and no page of a browser: a request that names another host came by a name that somebody pointed here, and
// one with an origin is from a page.
func (s *web) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, err *qpq.Error) {
			s.d.cfg.Log.Warn("request refused", "code", err.Code)
			w.Header().Set("Connection", "close") // who has no token holds no place of those who have
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime))
			s.answer(w, status, &response{id: null, err: err})
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.d.cfg.Stall)) // an older one may have passed
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		_, origin := r.Header["Origin"]
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case !loopback(strings.Trim(host, "[]")):
			refuse(http.StatusForbidden, qpq.E(qpq.Denied, "other-host", "this is not the host that the request names: go to 127.0.0.1 or localhost"))
			return
		case origin:
			refuse(http.StatusForbidden, qpq.E(qpq.Denied, "origin", "pages in browsers are not served"))
			return
		case !strings.EqualFold(scheme, "Bearer") || !sameToken(token, s.token):
			h.Set("WWW-Authenticate", `Bearer realm="qpq"`)
			refuse(http.StatusUnauthorized, qpq.E(qpq.Unauthorized, "token", "the token is missing or wrong: send Authorization: Bearer and what is in "+fileToken+" in the profile's folder"))
			return
		}
		select {
		case s.d.conns <- struct{}{}:
			defer func() { <-s.d.conns }()
			next.ServeHTTP(w, r)
		default:
			refuse(http.StatusServiceUnavailable, errFull)
		}
	})
}

// answer writes what answers a call, in one piece.
func (s *web) answer(w http.ResponseWriter, status int, v any) {
	body, err := encode(v)
	if err != nil {
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.d.cfg.Stall))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// mediaLines is the type of answers that come part by part, each in a line.
const mediaLines = "application/x-ndjson"

// rpc answers a call: by one JSON value or, where the caller takes lines, by those that a connection would get.
func (s *web) rpc(w http.ResponseWriter, r *http.Request) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		s.answer(w, http.StatusUnsupportedMediaType, &response{id: null, err: errRequest("it is to be of Content-Type: application/json")})
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.d.cfg.Stall))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	defer clear(body) // it may hold a password
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		s.answer(w, http.StatusRequestEntityTooLarge, &response{id: null, err: errTooLong})
		return
	case err != nil:
		return // the caller is gone, or says nothing
	}
	_ = control.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.Context(), func() { cancel(errGone) })()
	if strings.Contains(r.Header.Get("Accept"), mediaLines) {
		s.lines(ctx, w, body, cancel)
		return
	}
	var answer any
	s.perform(ctx, nil, body, func(v any) { answer = v })
	if answer == nil {
		_ = control.SetWriteDeadline(time.Now().Add(s.d.cfg.Stall))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.answer(w, http.StatusOK, answer)
}

// lines answers by lines.
func (s *web) lines(ctx context.Context, w http.ResponseWriter, body []byte, cancel context.CancelCauseFunc) {
	w.Header().Set("Content-Type", mediaLines)
	out := &stream{w: w, stall: s.d.cfg.Stall}
	send := func(v any) error {
		line, err := encode(v)
		if err == nil {
			err = out.write(append(line, '\n'))
		}
		if err != nil {
			cancel(errGone)
		}
		return err
	}
	s.perform(ctx, send, body, func(v any) {
		if v != nil {
			_ = send(v)
		}
	})
}

// perform carries out what a body says, and returns when that is over.
func (s *web) perform(ctx context.Context, send func(any) error, body []byte, answer func(any)) {
	session := s.d.session(ctx, send)
	over := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.d.leaving:
			session.wind(errLeaves, true)
		case <-over:
		}
	}()
	session.message(body, answer)
	session.work.Wait()
	close(over)
	<-done
}

// httpStatus tells HTTP what an error is.
func httpStatus(err error) int {
	switch qpq.KindOf(err) {
	case qpq.Invalid:
		return http.StatusBadRequest
	case qpq.NotFound:
		return http.StatusNotFound
	case qpq.Unavailable:
		return http.StatusServiceUnavailable
	case qpq.Denied, qpq.Unauthorized:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}
