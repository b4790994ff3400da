package mux

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

// frame returns a frame as yamux has it.
func frame(kind byte, flags uint16, id, length uint32, payload ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(binary.BigEndian.AppendUint32(b, length), payload...)
}

// FuzzGuard lets bytes through whole and in pieces. What comes out says what they said, but for payloads that nobody reads, in
// frames that are whole; and the end comes where one who has all of them before him finds what may not be.
func FuzzGuard(f *testing.F) {
	ping := frame(typePing, flagSYN, 0, 7)
	pings := bytes.Repeat(ping, maxPings+1)
	f.Add(ping)
	f.Add(pings[headerSize:])
	f.Add(pings)
	f.Add(append(frame(typeData, flagSYN, 1, 3, 1, 2, 3), pings...))
	f.Add(append(frame(typeData, flagSYN|flagFIN, 1, 5000, make([]byte, 5000)...), frame(typeData, 0, 1, 1, 9)...))
	f.Add(append(frame(typeData, 0, 1, 3, 1, 2, 3), frame(typeData, flagRST, 1, 2, 1, 2)...)) // of no stream
	f.Add(append(frame(typeWindow, 0, 1, 100), pings...))                                     // no payload
	f.Add(append(frame(typeWindow, flagSYN, 1, 0), frame(typeWindow, flagSYN, 1, 0)...))
	f.Add(frame(typeData, flagSYN, 1, 1<<32-1, ping...))
	f.Add(bytes.Repeat(frame(typePing, flagACK, 0, 7), 2*maxPings)) // answers
	f.Add(frame(4, 0, 0, 0))
	var many []byte
	for id := range uint32(maxHeld + 1) {
		many = append(many, frame(typeWindow, flagSYN, id, 0)...)
	}
	f.Add(many[headerSize:])
	f.Add(many)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxUnread {
			t.Skip("nobody reads: it would wait for room")
		}
		want, good := said(data)
		for name, r := range map[string]io.Reader{
			"whole":         bytes.NewReader(data),
			"byte by byte":  iotest.OneByteReader(bytes.NewReader(data)),
			"end with data": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			got, err := io.ReadAll(bufio.NewReader(newGuard(conned{r})))
			if (err == nil) != good {
				t.Fatalf("%s: %v, and that all is good is %v", name, err, good)
			}
			if got, ok := said(got); !ok || !bytes.Equal(got, want) {
				t.Fatalf("%s: came out as\n%x, want\n%x", name, got, want)
			}
		}
	})
}

// said returns what frames say: each byte of a payload in a frame of its own, without those of streams that were never begun, up to
// what may not be. It reports whether all may be.
func said(data []byte) (out []byte, good bool) {
	pings, begun := 0, map[uint32]bool{}
	for len(data) >= headerSize {
		kind, flags := data[1], binary.BigEndian.Uint16(data[2:])
		id, length := binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
		begins := kind <= typeWindow && flags&flagSYN != 0
		if kind == typePing && flags&flagSYN != 0 {
			pings++
		}
		if data[0] != 0 || kind > typeGoAway || pings > maxPings || begins && (begun[id] || len(begun) == maxHeld) {
			return out, false
		}
		if begins {
			begun[id] = true
		}
		header := data[:headerSize]
		data = data[headerSize:]
		if kind != typeData {
			out = append(out, header...)
			continue
		}
		payload := data[:min(uint64(length), uint64(len(data)))]
		data = data[len(payload):]
		first, last := flags&(flagSYN|flagACK), flags&^(flagSYN|flagACK)
		if first != 0 && (length == 0 || len(payload) > 0) {
			out = append(out, frame(typeData, first, id, 0)...)
		}
		for _, b := range payload {
			if begun[id] {
				out = append(out, frame(typeData, 0, id, 1, b)...)
			}
		}
		if last != 0 && uint32(len(payload)) == length {
			out = append(out, frame(typeData, last, id, 0)...)
		}
	}
	return out, true
}

// conned is what is read of a connection.
type conned struct{ io.Reader }

func (conned) Write([]byte) (int, error) { panic("written to") }
func (conned) Close() error              { return nil }

func TestHowManyPingsMayCome(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration
		until int // how many pass
	}{
		{"those that keep a connection alive pass", muxConfig().KeepAliveInterval, 1000},
		{"as many as may come pass", pingWindow / maxPings, 1000},
		{"a little more often is too often", pingWindow/maxPings - 1, maxPings},
		{"all at once are too many", 0, maxPings},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g guard
			n, now := 0, time.Unix(1, 0)
			for n < 1000 && g.ping(now) == nil {
				now = now.Add(test.every)
				n++
			}
			if n != test.until {
				t.Errorf("%d pass, want %d", n, test.until)
			}
		})
	}
}
