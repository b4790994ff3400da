package tlsmux_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

// window is how much of a stream yamux takes that nobody reads.
const window = 256 << 10

// slack is what 192 streams, their goroutines and a few connections take besides what came on them.
const slack = 2 << 20

// heap returns the bytes of live objects.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first found in pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// waitsForRoom reports whether a connection is not read because too much of it was not.
func waitsForRoom() bool {
	b := make([]byte, 4<<20)
	return strings.Contains(string(b[:runtime.Stack(b, true)]), "mux.(*guard).wait(")
}

// muxed returns a frame of yamux that begins a stream, or goes on with it.
func muxed(kind byte, flags uint16, id int, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// TestMoreThanIsRead fills each stream that a client may have, with calls that are not over or on lanes that are not served. The server
// holds no more of it than it may for a connection, and serves others, whose requests are as large as they may be.
func TestMoreThanIsRead(t *testing.T) {
	const streams = 190
	call := []byte{1, 0, 0, 0, held, 0, 0, 0, 'x'}
	full := append(bytes.Clone(call), bytes.Repeat([]byte{0xff}, window-len(call))...)
	for name, payloads := range map[string][][]byte{
		"in one frame":                  {full},
		"in small frames":               slicesOf(full, 100),
		"and all but two bytes is read": {append(append([]byte{0, 0xff, 3, 0, 0, 0, 0, 0}, make([]byte, 0x3ff00)...), append(call, 0xff, 0xff, 0xff)...)},
	} {
		for _, reset := range []bool{false, true} {
			if reset {
				name += ", then reset"
			}
			t.Run(name, func(t *testing.T) {
				e, address, config := serve(t)
				honest := dial(t, address, config)
				echoed(t, honest, 1)
				before := heap()
				hostile, err := tls.Dial("tcp", address, withALPN(config))
				check(t, err)
				sent := make(chan error, 1)
				go func() {
					sent <- fill(hostile, streams, payloads, reset)
				}()
				for over := false; !over && !waitsForRoom(); {
					echoed(t, honest, 1)
					select {
					case err := <-sent:
						if over = true; !reset {
							t.Errorf("the server took all of it: %v", err)
						}
					default:
					}
				}
				took := heap() - before
				for range 10 { // of a stream that was reset the server may be letting go
					took = min(took, heap()-before)
				}
				if took > transport.ConnectionWindow+slack {
					t.Errorf("%d KiB are held for a connection", took>>10)
				}
				echoed(t, honest, transport.MaxFrame)
				echoed(t, dial(t, address, config), transport.MaxFrame)
				check(t, hostile.NetConn().Close())
				close(e.release)
			})
		}
	}
}

// fill begins streams with what is sent on each.
func fill(c io.Writer, streams int, payloads [][]byte, reset bool) error {
	for i := range streams {
		var b []byte
		for n, payload := range payloads {
			flags := uint16(0)
			if n == 0 {
				flags = 1 // SYN
			}
			b = append(b, muxed(0, flags, 2*i+1, payload)...)
		}
		if reset {
			b = append(b, muxed(1, 8, 2*i+1, nil)...)
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func slicesOf(b []byte, n int) (all [][]byte) {
	for ; len(b) > n; b = b[n:] {
		all = append(all, b[:n])
	}
	return append(all, b)
}

func dial(t *testing.T, address string, config *tls.Config) *transport.Session {
	t.Helper()
	conn, err := tlsmux.Dial(t.Context(), address, config)
	check(t, err)
	s := transport.NewSession(conn, transport.SessionConfig{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// echoed makes a call of n bytes.
func echoed(t *testing.T, s *transport.Session, n int) {
	t.Helper()
	want := bytes.Repeat([]byte{'e'}, n)
	_, reply, err := s.Call(t.Context(), 0, want)
	if err != nil || !bytes.Equal(reply, want) {
		t.Errorf("%d bytes came back of %d: %v", len(reply), n, err)
	}
}

// TestManyLargeCallsAtATime makes calls on one connection that together are much more than it may hold unread.
func TestManyLargeCallsAtATime(t *testing.T) {
	_, address, config := serve(t)
	s := dial(t, address, config)
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() { echoed(t, s, 512<<10) })
	}
	group.Wait()
}

// TestWhatWasReadHoldsNothing lets much come on each of many lanes before it is read. Once it was, it is gone, though the lanes rest.
func TestWhatWasReadHoldsNothing(t *testing.T) {
	const lanes = 40
	e, address, config := serve(t)
	mux := raw(t, address, config)
	first, large := []byte{1, 0, 0, 0, held, 0, 0, 0, 'x'}, append([]byte{0, 0xf0, 3, 0, 0, 0, 0, 0}, make([]byte, 0x3f000)...)
	other, err := mux.OpenStream()
	check(t, err)
	before := heap()
	for range lanes {
		s, err := mux.OpenStream()
		check(t, err)
		_, err = s.Write(append(bytes.Clone(first), large...))
		check(t, err)
		_, err = other.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0, 'x'})
		check(t, err)
		_, err = io.ReadFull(other, make([]byte, 9)) // what was sent before it has arrived
		check(t, err)
		e.release <- struct{}{}
		_, err = io.CopyN(io.Discard, s, int64(len(first)+len(large)))
		check(t, err)
		s.Shrink() // this end's own
	}
	if took := heap() - before; took > transport.ConnectionWindow/4+slack {
		t.Errorf("%d KiB are held for lanes of which all was read", took>>10)
	}
}

// TestLanesGivenUpHoldNothing sends much on lanes that the server gives up, and ends none: what was not read of them stands in the way
// of nobody.
func TestLanesGivenUpHoldNothing(t *testing.T) {
	const lanes = 150
	_, address, config := serve(t)
	mux := raw(t, address, config)
	spoilt := bytes.Repeat([]byte{0xff}, window)
	before := heap()
	for n := range lanes {
		s, err := mux.OpenStream()
		check(t, err)
		_, err = s.Write(spoilt)
		check(t, err)
		if _, err = s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("lane %d was not given up: %v", n, err)
		}
	}
	s, err := mux.OpenStream()
	check(t, err)
	_, err = s.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0, 'x'})
	check(t, err)
	_, err = io.ReadFull(s, make([]byte, 9))
	check(t, err)
	if took := heap() - before; took > slack {
		t.Errorf("%d KiB are held for lanes that were given up", took>>10)
	}
}
