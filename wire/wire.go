// Package wire is the language that clients and servers speak: plain Go values for every request,
// reply, push event and application message, and their strict encoding as Cap'n Proto messages.
//
// The schemas beside the code are its source. Every bound in them is enforced in both directions:
// [Marshal] refuses to write what [Unmarshal] would refuse to read. A message is one unpacked
// segment with the standard stream header, at most [MaxMessage] bytes.
//
// Two kinds of code call it. A client sends a request and gets its reply, typed:
//
//	reply, err := wire.Call(ctx, session, wire.LoginStart{User: user, KE1: ke1})
//
// A server turns functions into handlers, found by the method's number:
//
//	wire.Handle(func(ctx context.Context, c *conn, q wire.LoginStart) (wire.LoginStartReply, error) {…})
package wire

//go:generate go run ./internal/capnpc

import (
	"encoding/binary"
	"fmt"

	"capnproto.org/go/capnp/v3"

	"github.com/quicproquo/qpq"
)

// MaxMessage is the most bytes that an encoded message has: what fits one frame of a lane.
const MaxMessage = 8 << 20

// MaxPushed is up to how many bytes of an application message come with the push that tells of it: more of them would leave no room for others in what
// may wait to be pushed.
const MaxPushed = 4 << 10

// StandardPort is where servers listen, by UDP and TCP, unless their address says otherwise.
const StandardPort = "4433"

const (
	headerSize = 8  // segment count less one, u32; words of the segment, u32
	maxDepth   = 16 // nested pointers: twice what any schema here needs
)

// Value is a pointer to one of this package's message types. Only this package implements it.
type Value[T any] interface {
	*T
	size() capnp.ObjectSize
	encode(*encoder, capnp.Struct)
	decode(*decoder, capnp.Struct)
}

// Marshal encodes v. It fails with qpq.Invalid where v breaks a bound of its schema and with
// qpq.TooLarge where the whole is over [MaxMessage].
func Marshal[T any, P Value[T]](v T) ([]byte, error) {
	msg, seg := capnp.NewSingleSegmentMessage(nil)
	defer msg.Release()
	p := P(&v)
	root, err := capnp.NewRootStruct(seg, p.size())
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	e := &encoder{}
	p.encode(e, root)
	if e.err != nil {
		return nil, e.err
	}
	if e.raw != nil {
		return e.raw, nil
	}
	out, err := msg.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(out) > MaxMessage {
		return nil, qpq.E(qpq.TooLarge, "message-too-large",
			fmt.Sprintf("a message of %d bytes was to be sent, and the limit is %d: send less at once", len(out), MaxMessage))
	}
	return out, nil
}

// Unmarshal decodes what Marshal wrote. Whatever b holds, it neither panics nor allocates more than
// a small multiple of len(b); it fails with qpq.Invalid, or qpq.TooLarge over [MaxMessage]. The value
// shares no memory with b. Fields that a newer schema appended are ignored.
func Unmarshal[T any, P Value[T]](b []byte) (T, error) {
	var v, zero T
	segment, err := segmentOf(b)
	if err != nil {
		return zero, err
	}
	msg := &capnp.Message{
		Arena:         capnp.NewReadOnlySingleSegment(segment),
		TraverseLimit: 2*uint64(len(segment)) + 64, // every word once, and the pointers to it
		DepthLimit:    maxDepth,
	}
	root, err := msg.Root()
	if err != nil || !root.Struct().IsValid() {
		return zero, malformed("no readable root struct")
	}
	d := &decoder{input: b}
	P(&v).decode(d, root.Struct())
	if d.err != nil {
		return zero, d.err
	}
	return v, nil
}

// segmentOf checks the stream header of b and returns the one segment behind it.
func segmentOf(b []byte) ([]byte, error) {
	if len(b) > MaxMessage {
		return nil, qpq.E(qpq.TooLarge, "message-too-large",
			fmt.Sprintf("a message of %d bytes came in, and the limit is %d: send less at once", len(b), MaxMessage))
	}
	if len(b) < headerSize+8 || len(b)%8 != 0 {
		return nil, malformed("its length is no whole number of words")
	}
	if binary.LittleEndian.Uint32(b) != 0 {
		return nil, malformed("it has more than one segment")
	}
	if words := binary.LittleEndian.Uint32(b[4:]); uint64(words)*8 != uint64(len(b)-headerSize) {
		return nil, malformed("its header and its length differ")
	}
	return b[headerSize:], nil
}

func malformed(why string) error {
	return qpq.E(qpq.Invalid, "malformed-message", "a message could not be read: "+why)
}

// Secret is text that must not reach a log: it prints as [secret].
type Secret struct{ text string }

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// String implements fmt.Stringer without the text.
func (s Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer without the text.
func (s Secret) GoString() string { return "[secret]" }

// MarshalText implements encoding.TextMarshaler without the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Unknown is the body of a message, or a push event, of a kind that this version does not know. It
// holds the whole message as it came: encoding it again gives the same bytes.
type Unknown struct {
	Kind uint16
	raw  []byte
}
