package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/quicproquo/qpq/client"
)

// stream writes what comes part by part, and fails when nobody takes it.
type stream struct {
	stall time.Duration

	mu  sync.Mutex
	w   http.ResponseWriter
	err error // the first one: half a part may be out
}

func (s *stream) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	control := http.NewResponseController(s.w)
	_ = control.SetWriteDeadline(time.Now().Add(s.stall))
	if _, s.err = s.w.Write(b); s.err == nil {
		s.err = control.Flush()
	}
	return s.err
}

// event writes a server-sent event (HTML, section 9.2.6). data has no line breaks: it is JSON.
func (s *stream) event(name, id string, data any) error {
	line, err := encode(data)
	if err != nil {
		return err
	}
	text := "event: " + name + "\n"
	if id != "" {
		text += "id: " + id + "\n"
	}
	return s.write(fmt.Appendf(nil, "%sdata: %s\n\n", text, line))
}

// entry implements sink. The id is the position: who comes again with it goes on after that. What has none moves nothing.
func (s *stream) entry(position int64, value json.RawMessage) error {
	if position == 0 {
		return s.event("entry", "", value)
	}
	return s.event("entry", strconv.FormatInt(position, 10), value)
}

// notice implements sink.
func (s *stream) notice(n client.Notice) error {
	return s.event("notice", "", noticeJSON{Code: n.Code, Text: n.Text})
}

// events streams entries as they come.
func (s *web) events(w http.ResponseWriter, r *http.Request) {
	after, err := wanted(r)
	if err != nil {
		s.answer(w, http.StatusBadRequest, &response{id: null, err: err})
		return
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.Context(), func() { cancel(errGone) })()
	sub, err := s.d.prepare(ctx, after, r.URL.Query().Get("conversation"))
	if err != nil {
		s.answer(w, httpStatus(err), &response{id: null, err: err})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := &stream{w: w, stall: s.d.cfg.Stall}
	if out.event("begin", strconv.FormatInt(sub.after, 10), map[string]int64{"after": sub.after}) != nil {
		return
	}
	var beating sync.WaitGroup
	beating.Go(func() { s.beat(ctx, out, cancel) })
	err = s.d.follow(ctx, sub, out)
	cancel(nil)
	beating.Wait()
	if out.event("end", "", failed(err)) != nil {
		s.d.cfg.Log.Info("a stream of events ended", "cause", "nobody takes them")
	}
}

// beat shows that a stream lives, notices early that nobody is there any more, and ends it when the daemon leaves.
func (s *web) beat(ctx context.Context, out *stream, end context.CancelCauseFunc) {
	ticker := time.NewTicker(s.d.cfg.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if out.write([]byte(": alive\n\n")) != nil {
				end(errGone)
			}
		case <-s.d.leaving:
			end(errLeaves)
			return
		case <-ctx.Done():
			return
		}
	}
}

// wanted returns after which position a stream is to begin, nil for the newest: that of the last event, which says where it was cut, counts first.
func wanted(r *http.Request) (*int64, error) {
	query := r.URL.Query()
	for name := range query {
		if name != "after" && name != "conversation" {
			return nil, errParams(fmt.Sprintf("events has no parameter %q: it takes after and conversation", clip(name)))
		}
	}
	name, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		name, text = "after", query.Get("after")
	}
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return nil, errParams(fmt.Sprintf("%s is %q, which is no position: it is a whole number, 0 or more", name, clip(text)))
	}
	return &n, nil
}
