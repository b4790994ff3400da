package transport

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzFrame reads frames of any bytes: it never takes more memory than a small multiple of what arrived, and reads back
// what appendFrame writes.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add(appendFrame(nil, 7, []byte("payload")), uint16(7))
	f.Add([]byte{0xff, 0xff, 0xff, 0x00, 0, 0, 0, 0, 1}, uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, number uint16) {
		var head [headerSize]byte
		var w watch
		defer w.stop()
		w.frame(MaxFrame, time.Hour)
		r := bytes.NewReader(data)
		if h, err := readHeader(r, &head, MaxFrame); err == nil {
			payload, err := readPayload(r, nil, int(h.length), &w)
			if cap(payload) > firstChunk+2*len(data) {
				t.Errorf("%d bytes allocated for %d", cap(payload), len(data))
			}
			if err == nil && !bytes.Equal(appendFrame(nil, h.number, payload), data[:headerSize+len(payload)]) {
				t.Error("the frame is not what was read")
			}
		}
		r = bytes.NewReader(appendFrame(nil, number, data))
		h, err := readHeader(r, &head, MaxFrame)
		if err != nil || h.number != number {
			t.Fatalf("header %+v, %v", h, err)
		}
		payload, err := readPayload(r, nil, int(h.length), &w)
		if err != nil || !bytes.Equal(payload, data) {
			t.Fatalf("payload %x, %v", payload, err)
		}
	})
}

// closable is a connection that can only be closed.
type closable struct {
	Conn
	name   string
	closed *[]string
}

func (c closable) Close(Code, string) error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed, noticed []string
		attempt := func(name string, after, takes time.Duration, err error) Attempt {
			return Attempt{name, after, func(ctx context.Context) (Conn, error) {
				time.Sleep(takes) // of the bubble's clock; this one does not hear that it has lost
				if err != nil {
					return nil, err
				}
				return closable{name: name, closed: &closed}, nil
			}}
		}
		notice := func(a Attempt) { noticed = append(noticed, a.Name) }
		refused := errors.New("refused")
		for _, test := range []struct {
			name     string
			attempts []Attempt
			wins     string
			at       time.Duration
			notices  int
		}{
			{"the first is quick", []Attempt{attempt("udp", 0, time.Second, nil), attempt("tcp", 3*time.Second, 0, nil)}, "udp", time.Second, 0},
			{"the first hangs", []Attempt{attempt("udp", 0, time.Minute, nil), attempt("tcp", 3*time.Second, time.Second, nil)}, "tcp", 4 * time.Second, 1},
			{"the first fails", []Attempt{attempt("udp", 0, time.Second, refused), attempt("tcp", 3*time.Second, 0, nil)}, "tcp", time.Second, 1},
		} {
			closed, noticed = nil, nil
			begin := time.Now()
			_, won, err := Race(t.Context(), test.attempts, notice)
			if err != nil || won.Name != test.wins || time.Since(begin) != test.at || len(noticed) != test.notices {
				t.Errorf("%s: %q after %v, %d notices, %v", test.name, won.Name, time.Since(begin), len(noticed), err)
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if test.name == "the first hangs" && len(closed) != 1 {
				t.Errorf("the connection that came too late was not closed")
			}
		}
		if _, _, err := Race(t.Context(), []Attempt{attempt("a", 0, 0, refused), attempt("b", 0, 0, errors.ErrUnsupported)}, nil); !errors.Is(err, refused) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("all fail: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stuck := Attempt{"stuck", 0, func(ctx context.Context) (Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}
		if _, _, err := Race(ctx, []Attempt{stuck, {"later", time.Hour, stuck.Dial}}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("out of time: %v", err)
		}
	})
}
