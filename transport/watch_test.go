package transport

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// still is a stream that stands still until it is given up.
type still struct {
	Stream
	reset chan Code
}

func (s *still) Reset(c Code) { s.reset <- c }

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &still{reset: make(chan Code, 1)}
		w := watch{stream: s}
		given := func() bool {
			synctest.Wait()
			select {
			case c := <-s.reset:
				return c == CodeSlow
			default:
				return false
			}
		}
		w.within(5 * time.Second)
		time.Sleep(4 * time.Second)
		w.within(10 * time.Second) // it moved
		time.Sleep(9 * time.Second)
		if given() {
			t.Fatal("given up although it moved")
		}
		w.off()
		time.Sleep(time.Hour)
		if given() {
			t.Fatal("given up without a bound")
		}
		w.within(time.Hour)
		w.within(time.Second) // less than before
		time.Sleep(time.Second)
		if !given() {
			t.Fatal("not given up in time")
		}
		if err := w.why(io.ErrClosedPipe); !errors.Is(err, errSlow) {
			t.Errorf("the error is %v", err)
		}
		if err := w.why(nil); err != nil {
			t.Errorf("an error where there is none: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &still{reset: make(chan Code, 1)}
		w := watch{stream: s}
		w.within(time.Second)
		w.stop()
		time.Sleep(time.Minute)
		if len(s.reset) > 0 {
			t.Error("given up after it was stopped")
		}
	})
}
