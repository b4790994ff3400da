// Package transport moves calls and pushes between a client and a server over any carrier: QUIC, TLS over
// TCP, memory. It knows nothing of what they say.
//
// A call travels on a lane: a stream that the client opens, that carries one call at a time and is used again.
// What the server says by itself goes out on one push stream for each client, which the server opens. Both
// carry frames, little-endian:
//
//	length of the payload  uint32   at most the limit of the receiver
//	number                 uint16   of a request: the method; of a reply: the status; of a push: 0 for a message, 1 for
//	                                going away: the client ends its calls and then the connection
//	flags                  uint16   0; others are refused
//	payload
//
// A frame that is not valid costs its lane, never the connection.
package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/quicproquo/qpq"
)

// ALPN is the application protocol that carriers over TLS negotiate.
const ALPN = "qpq"

// MaxFrame is the longest payload of a frame, in bytes.
const MaxFrame = 8 << 20

// ConnectionWindow is how many bytes a carrier holds at most, at an end of a connection, that came in and were not read.
const ConnectionWindow = 6 << 20

// Code tells the peer why a stream or a connection ended.
type Code uint32

// The codes.
const (
	CodeDone       Code = 0 // nothing is wrong
	CodeCancelled  Code = 1 // the caller no longer wants the reply
	CodeMalformed  Code = 2 // a frame was not valid
	CodeTooLarge   Code = 3 // a frame was over the limit
	CodeSlow       Code = 4 // a frame made no progress
	CodeInternal   Code = 5 // the handler failed
	CodeDraining   Code = 6 // the server is shutting down
	CodeRefused    Code = 7 // the server has no room
	CodeSuperseded Code = 8 // another connection took this one's place
	CodeUnwelcome  Code = 9 // the peer did what it must not
)

var codeTexts = map[Code]string{
	CodeDone: "closed", CodeCancelled: "cancelled", CodeMalformed: "malformed frame", CodeTooLarge: "frame too large",
	CodeSlow: "no progress", CodeInternal: "internal error", CodeDraining: "the server is shutting down",
	CodeRefused: "the server has no room for another connection", CodeSuperseded: "another connection took its place",
	CodeUnwelcome: "protocol violation",
}

// String returns the code in words.
func (c Code) String() string {
	if s, ok := codeTexts[c]; ok {
		return s
	}
	return "unknown code"
}

// Closed is the error of a connection or a stream that the peer ended with a code.
type Closed struct{ Code Code }

// Error implements error.
func (c Closed) Error() string { return c.Code.String() }

// Stream is one stream of a connection. One goroutine may read while another writes.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite says that nothing more will be written. What was written still arrives.
	CloseWrite() error
	// Reset gives the stream up in both directions, without waiting for anything. Reads and writes under way fail.
	Reset(Code)
}

// Abandoned is a Stream that can tell when the peer gave it up.
type Abandoned interface {
	// Context ends when the peer gave the stream up, or the stream or its connection ended. It is good for one call.
	Context() context.Context
}

// TryWriter is a Stream that can write without blocking.
type TryWriter interface {
	// TryWrite queues all of b and returns true, or nothing and false.
	TryWrite(b []byte) (bool, error)
}

// Conn is a connection as a carrier provides it. Streams that the client opens are lanes; those that the server
// opens are for pushing and need not carry anything back. It is safe for use by several goroutines.
type Conn interface {
	// Open opens a stream. It waits while the peer allows no more of them. The peer may learn of the
	// stream only when something is written to it.
	Open(context.Context) (Stream, error)
	// Accept returns the next stream that the peer opened. Its error is a Closed if the peer ended the connection.
	Accept(context.Context) (Stream, error)
	// Peer says who is at the other end.
	Peer() Peer
	// Close ends the connection and all its streams.
	Close(Code, string) error
	// Done is closed when the connection has ended, for whatever reason.
	Done() <-chan struct{}
}

// Lasting is a Conn that has a context, which ends when the connection has ended: none has to be made for each connection.
type Lasting interface {
	Context() context.Context
}

// Peer is what a carrier knows of the other end of a connection.
type Peer struct {
	Carrier      string   // "quic", "tls", "mem"
	Address      net.Addr // where packets come from; it can change while the connection lasts
	Certificates [][]byte // DER, the peer's own first; none if it showed none
	// Export derives a value that only the two ends of this connection know (RFC 8446, section 7.5). Nil where
	// the carrier has none.
	Export func(label string, context []byte, length int) ([]byte, error)
}

// Exporter derives a value that only the two ends of this connection know, nil where the carrier has none.
func (p Peer) Exporter(label string, length int) ([]byte, error) {
	if p.Export == nil {
		return nil, nil
	}
	return p.Export(label, nil, length)
}

// Listener accepts connections.
type Listener interface {
	Accept(context.Context) (Conn, error)
	Addr() net.Addr
	// Close stops accepting. Connections that were accepted go on.
	Close() error
}

// Limits bound what a peer can cost. The zero value of each field is a good choice.
type Limits struct {
	// Frame is the longest payload, in bytes. Zero is MaxFrame, which is also the most.
	Frame int
	// Progress is for how long a frame may stand still while it is read or written, and within which each 16 KiB of it has
	// to come. All of it has this time and a second for each 32 KiB. Zero is 20 seconds.
	Progress time.Duration
	// Idle is for how long a lane may rest between calls. Zero is 5 seconds at the client and 15 at the server,
	// so that it is the client who closes it.
	Idle time.Duration
}

func (l Limits) filled(idle time.Duration) Limits {
	if l.Frame <= 0 || l.Frame > MaxFrame {
		l.Frame = MaxFrame
	}
	if l.Progress == 0 {
		l.Progress = 20 * time.Second
	}
	if l.Idle == 0 {
		l.Idle = idle
	}
	return l
}

// ErrPortTaken returns the error of listening where somebody else does.
func ErrPortTaken(carrier, address string, cause error) error {
	return qpq.Wrap(qpq.Exists, "port-taken", "cannot listen on "+carrier+" "+address+": the port is taken", cause)
}

// CallError is why a call had no reply.
type CallError struct {
	// Sent says that the request may have reached the server and been carried out.
	Sent bool
	Err  error
}

// Error implements error.
func (e *CallError) Error() string { return "no reply from the server: " + e.Err.Error() }

// Unwrap makes errors.Is see qpq.Unavailable, unless the caller gave up, and the cause.
func (e *CallError) Unwrap() []error {
	if errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, qpq.TooLarge) || errors.Is(e.Err, qpq.Invalid) {
		return []error{e.Err}
	}
	return []error{qpq.Unavailable, e.Err}
}

// Sent reports whether a call that failed with err may have been carried out.
func Sent(err error) bool {
	var e *CallError
	return errors.As(err, &e) && e.Sent
}
