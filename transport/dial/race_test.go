package dial

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq/transport"
)

// closable is a connection that can only be closed.
type closable struct {
	transport.Conn
	name   string
	closed *[]string
}

func (c closable) Close(transport.Code, string) error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed, noticed []string
		to := func(name string, after, takes time.Duration, err error) attempt {
			return attempt{name, after, func(ctx context.Context) (transport.Conn, error) {
				time.Sleep(takes) // of the bubble's clock; this one does not hear that it has lost
				if err != nil {
					return nil, err
				}
				return closable{name: name, closed: &closed}, nil
			}}
		}
		notice := func(a attempt) { noticed = append(noticed, a.name) }
		refused := errors.New("refused")
		for _, test := range []struct {
			name     string
			attempts []attempt
			wins     string
			at       time.Duration
			notices  int
		}{
			{"the first is quick", []attempt{to("udp", 0, time.Second, nil), to("tcp", 3*time.Second, 0, nil)}, "udp", time.Second, 0},
			{"the first hangs", []attempt{to("udp", 0, time.Minute, nil), to("tcp", 3*time.Second, time.Second, nil)}, "tcp", 4 * time.Second, 1},
			{"the first fails", []attempt{to("udp", 0, time.Second, refused), to("tcp", 3*time.Second, 0, nil)}, "tcp", time.Second, 1},
		} {
			closed, noticed = nil, nil
			begin := time.Now()
			_, won, err := race(t.Context(), test.attempts, notice)
			if err != nil || won.name != test.wins || time.Since(begin) != test.at || len(noticed) != test.notices {
				t.Errorf("%s: %q after %v, %d notices, %v", test.name, won.name, time.Since(begin), len(noticed), err)
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if test.name == "the first hangs" && len(closed) != 1 {
				t.Errorf("the connection that came too late was not closed")
			}
		}
		if _, _, err := race(t.Context(), []attempt{to("a", 0, 0, refused), to("b", 0, 0, errors.ErrUnsupported)}, nil); !errors.Is(err, refused) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("all fail: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stuck := attempt{"stuck", 0, func(ctx context.Context) (transport.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}
		if _, _, err := race(ctx, []attempt{stuck, {"later", time.Hour, stuck.dial}}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("out of time: %v", err)
		}
	})
}
