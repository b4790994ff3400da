package tlsmux

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"
)

// FuzzGuard lets bytes through whole and in pieces: they come out as they are, and the end comes where one who has all of
// them before him finds too many pings or what is no frame.
func FuzzGuard(f *testing.F) {
	frame := func(kind byte, flags uint16, length uint32, payload ...byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
		b = binary.BigEndian.AppendUint32(b, 1)
		return append(binary.BigEndian.AppendUint32(b, length), payload...)
	}
	ping := frame(typePing, flagSYN, 7)
	f.Add(ping)
	f.Add(bytes.Repeat(ping, maxPings))
	f.Add(bytes.Repeat(ping, maxPings+1))
	f.Add(append(frame(typeData, flagSYN, 3, 1, 2, 3), bytes.Repeat(ping, maxPings+1)...))
	f.Add(append(frame(1, 0, 100), bytes.Repeat(ping, maxPings+1)...)) // no payload
	f.Add(frame(typeData, 0, 1<<32-1, ping...))
	f.Add(bytes.Repeat(frame(typePing, 2, 7), 2*maxPings)) // answers
	f.Add(frame(4, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		good := reference(data)
		for name, r := range map[string]io.Reader{
			"whole":         bytes.NewReader(data),
			"byte by byte":  iotest.OneByteReader(bytes.NewReader(data)),
			"end with data": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			got, err := io.ReadAll(&guard{Conn: conned{r}})
			if !bytes.HasPrefix(data, got) {
				t.Fatalf("%s: the bytes are not those that came", name)
			}
			if (err == nil) != (good == len(data)) {
				t.Fatalf("%s: %v, and %d bytes of %d are good", name, err, good, len(data))
			}
			if err != nil && len(got) > good {
				t.Fatalf("%s: %d bytes came out, and %d are good", name, len(got), good)
			}
		}
	})
}

// reference returns how many bytes come before what may not be.
func reference(data []byte) int {
	pings := 0
	for rest := data; len(rest) >= 12; {
		header := rest[:12]
		if header[1] == 2 && header[3]&1 == 1 {
			pings++
		}
		if header[0] != 0 || header[1] > 3 || pings > maxPings {
			return len(data) - len(rest) + 11 // its last byte shows it
		}
		rest = rest[12:]
		if header[1] == 0 {
			rest = rest[min(uint64(binary.BigEndian.Uint32(header[8:])), uint64(len(rest))):]
		}
	}
	return len(data)
}

// conned is what is read of a connection.
type conned struct{ io.Reader }

func (conned) Write([]byte) (int, error)        { panic("written to") }
func (conned) Close() error                     { return nil }
func (conned) LocalAddr() net.Addr              { return nil }
func (conned) RemoteAddr() net.Addr             { return nil }
func (conned) SetDeadline(time.Time) error      { return nil }
func (conned) SetReadDeadline(time.Time) error  { return nil }
func (conned) SetWriteDeadline(time.Time) error { return nil }

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
