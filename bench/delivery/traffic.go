package main

import (
	"context"
	"sync/atomic"

	"github.com/quicproquo/qpq/transport"
)

// traffic counts what streams of connections carry, frames with their heads, and how often they are written to and read from. QUIC's own bytes are not
// among them: how many packets there are depends on time.
type traffic struct{ sent, received, writes, reads atomic.Int64 }

// counted is a connection whose streams are counted.
type counted struct {
	transport.Conn
	by *traffic
}

// Open implements transport.Conn.
func (c counted) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return c.stream(s), err
}

// Accept implements transport.Conn.
func (c counted) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Accept(ctx)
	return c.stream(s), err
}

func (c counted) stream(s transport.Stream) transport.Stream {
	if s == nil {
		return nil
	}
	return stream{s, c.by}
}

type stream struct {
	transport.Stream
	by *traffic
}

// Write implements io.Writer.
func (s stream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.by.sent.Add(int64(n))
	s.by.writes.Add(1)
	return n, err
}

// Read implements io.Reader.
func (s stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.by.received.Add(int64(n))
	s.by.reads.Add(1)
	return n, err
}
