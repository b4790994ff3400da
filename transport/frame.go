package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quicproquo/qpq"
)

const headerSize = 8

// The numbers of frames on a push stream.
const (
	pushMessage uint16 = iota // something for the client
	pushGoAway                // the server shuts down: end your calls, start none, and close the connection
)

// header is the fixed part of a frame.
type header struct {
	length uint32
	number uint16
}

// errMalformed says that a frame is not valid.
var errMalformed = qpq.E(qpq.Invalid, "malformed-frame", "a frame is not valid")

func errTooLarge(n, limit int) error {
	return qpq.E(qpq.TooLarge, "frame-too-large", fmt.Sprintf("a frame of %d bytes is over the limit of %d", n, limit))
}

// appendFrame appends a frame to b.
func appendFrame(b []byte, number uint16, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint16(b, number)
	b = binary.LittleEndian.AppendUint16(b, 0)
	return append(b, payload...)
}

// readHeader reads the fixed part of a frame. io.EOF means that there is no further frame.
func readHeader(r io.Reader, scratch *[headerSize]byte, limit int) (header, error) {
	if n, err := io.ReadFull(r, scratch[:]); err != nil {
		if n > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return header{}, errMalformed
		}
		return header{}, err
	}
	h := header{binary.LittleEndian.Uint32(scratch[:]), binary.LittleEndian.Uint16(scratch[4:])}
	if flags := binary.LittleEndian.Uint16(scratch[6:]); flags != 0 {
		return header{}, errMalformed
	}
	if uint64(h.length) > uint64(limit) {
		return header{}, errTooLarge(int(h.length), limit)
	}
	return h, nil
}

// firstChunk is how much is allocated on the word of a header alone, and how much has to come within the progress time:
// a byte now and then holds nothing for long.
const firstChunk = 16 << 10

// readPayload reads on until there are n bytes of a payload, after those in b. The buffer grows as the bytes arrive: a length is
// a claim.
func readPayload(r io.Reader, b []byte, n int, w *watch) ([]byte, error) {
	told, due := len(b), len(b)
	for len(b) < n {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(n, max(firstChunk, 2*len(b))))
			copy(grown, b)
			b = grown
		}
		if len(b) >= due {
			w.moved(len(b) - told)
			told, due = len(b), len(b)+firstChunk
		}
		k, err := r.Read(b[len(b):min(cap(b), n)])
		b = b[:len(b)+k]
		if err != nil && len(b) < n {
			if errors.Is(err, io.EOF) {
				return b, errMalformed
			}
			return b, err
		}
	}
	w.count.Add(int64(len(b) - told))
	return b, nil
}

// discard reads past n bytes, with nothing but the room of scratch, which has some.
func discard(r io.Reader, scratch []byte, n int, w *watch) error {
	scratch = scratch[:cap(scratch)]
	for n > 0 {
		k, err := r.Read(scratch[:min(n, len(scratch))])
		if n -= k; err != nil && n > 0 {
			return err
		}
		w.moved(k)
	}
	return nil
}

// writeChunk is how much is written at a time.
const writeChunk = 64 << 10

// writeFrame writes a frame, each piece of it within the progress time, and all of it at the least rate.
func writeFrame(s io.Writer, buffer []byte, number uint16, payload []byte, w *watch, progress time.Duration) error {
	first := payload[:min(len(payload), writeChunk)]
	b := appendFrame(buffer[:0], number, first)
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	w.frame(len(payload), progress)
	for rest := payload[len(first):]; ; {
		if _, err := s.Write(b); err != nil {
			return err
		}
		if len(rest) == 0 {
			return nil
		}
		w.moved(len(b))
		b = rest[:min(len(rest), writeChunk)]
		rest = rest[len(b):]
	}
}

// codeOf returns the code to reset a stream with after err.
func codeOf(err error) Code {
	var closed Closed
	switch {
	case errors.Is(err, qpq.TooLarge):
		return CodeTooLarge
	case errors.Is(err, errMalformed):
		return CodeMalformed
	case errors.As(err, &closed):
		return closed.Code
	}
	return CodeCancelled
}
