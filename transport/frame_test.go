package transport

import (
	"bytes"
	"testing"
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
