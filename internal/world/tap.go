package world

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// tap is a connection on which somebody listens in, or changes what passes. What is nil lets all pass.
type tap struct {
	transport.Conn
	request func(method string, b []byte)                       // a call begins; b is what came of its request so far: all of a small one
	refuse  func(method string) error                           // what it is answered with instead of by the server, nil for most
	reply   func(method string, status uint16, b []byte) []byte // returns what the device gets instead
	push    func(b []byte) bool                                 // reports whether the device gets it
}

func (c *tap) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &tapped{Stream: s, tap: c}, nil
}

func (c *tap) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &tapped{Stream: s, tap: c, pushes: true}, nil
}

// tapped is a stream of such a connection. It hands on whole frames.
type tapped struct {
	transport.Stream
	tap    *tap
	pushes bool

	left   int    // bytes of the request that are still to come
	method string // of the call under way
	no     error  // what it is answered with instead
	frame  []byte // what was not read yet of a frame
}

// frameHead is how many bytes come before the payload of a frame.
const frameHead = 8

func (s *tapped) Write(b []byte) (int, error) {
	if s.left == 0 && len(b) >= frameHead {
		s.left = frameHead + int(binary.LittleEndian.Uint32(b))
		s.method = methodName(binary.LittleEndian.Uint16(b[4:]))
		if s.tap.request != nil {
			s.tap.request(s.method, b[frameHead:])
		}
		if s.no = nil; s.tap.refuse != nil {
			s.no = s.tap.refuse(s.method)
		}
	}
	s.left -= len(b)
	if s.no == nil {
		return s.Stream.Write(b)
	}
	if s.left <= 0 {
		status, payload := wire.EncodeError(s.no)
		s.frame = frame(status, payload)
	}
	return len(b), nil
}

func (s *tapped) Read(b []byte) (int, error) {
	for len(s.frame) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.frame)
	s.frame = s.frame[n:]
	return n, nil
}

// frame returns what a reply is on a lane.
func frame(status uint16, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint16(b, status)
	return append(append(b, 0, 0), payload...)
}

// next reads a frame.
func (s *tapped) next() error {
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(s.Stream, head); err != nil {
		return err
	}
	payload := make([]byte, binary.LittleEndian.Uint32(head))
	if _, err := io.ReadFull(s.Stream, payload); err != nil {
		return err
	}
	number := binary.LittleEndian.Uint16(head[4:])
	switch {
	case s.pushes:
		if number == 0 && s.tap.push != nil && !s.tap.push(payload) {
			return nil
		}
	case s.tap.reply != nil:
		payload = s.tap.reply(s.method, number, payload)
		binary.LittleEndian.PutUint32(head, uint32(len(payload)))
	}
	s.frame = append(head, payload...)
	return nil
}
