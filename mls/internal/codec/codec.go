// Package codec reads and writes the TLS presentation language of RFC 9420: big-endian integers and
// vectors whose length is a variable-size integer (RFC 9420, section 2.1.2), in the one minimal form.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is what every decoding error wraps.
var ErrMalformed = errors.New("malformed encoding")

// MaxVector is the longest vector that the format can express, in bytes: 2^30 - 1.
const MaxVector = 1<<30 - 1

// AppendVarint appends n in its minimal form. It panics if n exceeds MaxVector: a caller that builds
// such a vector has a bug that no peer can cause, because whole messages are bounded far below.
func AppendVarint(b []byte, n int) []byte {
	switch {
	case n < 0 || n > MaxVector:
		panic(fmt.Sprintf("codec: vector of %d bytes", n))
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(n)|1<<14)
	default:
		return binary.BigEndian.AppendUint32(b, uint32(n)|2<<30)
	}
}

// VarintSize returns how many bytes AppendVarint needs for n.
func VarintSize(n int) int {
	switch {
	case n < 1<<6:
		return 1
	case n < 1<<14:
		return 2
	default:
		return 4
	}
}

// AppendVec appends data as opaque<V>.
func AppendVec(b, data []byte) []byte {
	return append(AppendVarint(b, len(data)), data...)
}

// AppendUint16 appends v.
func AppendUint16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }

// AppendUint32 appends v.
func AppendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

// AppendUint64 appends v.
func AppendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// AppendBool appends the presence byte of an optional value.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendVecFunc appends what body appends, preceded by its length.
func AppendVecFunc(b []byte, body func([]byte) []byte) []byte {
	start := len(b)
	return CloseVec(body(OpenVec(b)), start)
}

// OpenVec makes room for the length of a vector whose content is to be appended. Most are short: one byte.
// Unlike AppendVecFunc, OpenVec and CloseVec let b stay on the stack.
func OpenVec(b []byte) []byte { return append(b, 0) }

// CloseVec writes the length of the vector that was opened at start and reaches to the end.
func CloseVec(b []byte, start int) []byte {
	n := len(b) - start - 1
	size := VarintSize(n)
	if size > 1 {
		b = append(b, make([]byte, size-1)...)
		copy(b[start+size:], b[start+1:start+1+n])
	}
	AppendVarint(b[start:start], n)
	return b
}

// Decoder reads one encoded value. The first error sticks: later reads return zero values, and Done
// reports it. Byte slices that it returns alias its input.
type Decoder struct {
	rest []byte
	err  error
}

// NewDecoder returns a Decoder of data.
func NewDecoder(data []byte) *Decoder { return &Decoder{rest: data} }

// Fail records err, wrapped in ErrMalformed, unless an earlier error is recorded.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
		d.rest = nil
	}
}

// FailWith records an error of an inner decoder.
func (d *Decoder) FailWith(err error) {
	if d.err == nil && err != nil {
		d.err, d.rest = err, nil
	}
}

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Done returns the first error, or an error if input is left over.
func (d *Decoder) Done() error {
	if d.err == nil && len(d.rest) > 0 {
		d.Fail("%d bytes left over", len(d.rest))
	}
	return d.err
}

// Empty reports whether nothing is left to read, which is so after an error too.
func (d *Decoder) Empty() bool { return len(d.rest) == 0 }

// Rest returns the bytes that have not been read.
func (d *Decoder) Rest() []byte { return d.rest }

// Take returns the next n bytes.
func (d *Decoder) Take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.Fail("%d bytes wanted, %d left", n, len(d.rest))
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// Uint8 reads one byte.
func (d *Decoder) Uint8() uint8 {
	if b := d.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 reads a uint16.
func (d *Decoder) Uint16() uint16 {
	if b := d.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads a uint32.
func (d *Decoder) Uint32() uint32 {
	if b := d.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads a uint64.
func (d *Decoder) Uint64() uint64 {
	if b := d.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bool reads the presence byte of an optional value.
func (d *Decoder) Bool() bool {
	switch v := d.Uint8(); v {
	case 0:
		return false
	case 1:
		return true
	default:
		d.Fail("presence byte %d", v)
		return false
	}
}

// Varint reads a variable-size length in its minimal form.
func (d *Decoder) Varint() int {
	if len(d.rest) == 0 {
		d.Fail("length missing")
		return 0
	}
	size := 1 << (d.rest[0] >> 6)
	if size > 4 {
		d.Fail("length prefix %#x", d.rest[0])
		return 0
	}
	n := 0
	for i, c := range d.Take(size) {
		if i == 0 {
			c &= 0x3f
		}
		n = n<<8 | int(c)
	}
	if d.err == nil && VarintSize(n) != size {
		d.Fail("length %d in %d bytes", n, size)
		return 0
	}
	return n
}

// Vec reads an opaque<V>.
func (d *Decoder) Vec() []byte { return d.Take(d.Varint()) }

// Sub returns a Decoder of the contents of the vector that comes next. An error of the vector itself
// is recorded in both.
func (d *Decoder) Sub() Decoder {
	body := d.Vec()
	return Decoder{rest: body, err: d.err}
}

// longList is from how many bytes on the elements of a list are counted before they are kept.
const longList = 4096

// List reads a vector of elements, each read by one, which takes at least a byte: there are no more elements than bytes. A long list
// is read twice, so that it is allocated once: a list that grows as it is read takes five times its size.
func List[T any](d *Decoder, one func(*Decoder) T) []T {
	body := d.Vec()
	if len(body) == 0 {
		return nil
	}
	after := d.rest
	next := func() T {
		before := len(d.rest)
		v := one(d)
		if len(d.rest) == before {
			d.Fail("list element of no bytes")
		}
		return v
	}
	var list []T
	if len(body) > longList {
		n := 0
		for d.rest = body; !d.Empty(); n++ {
			next()
		}
		if d.err != nil {
			return nil
		}
		list = make([]T, 0, n)
	}
	for d.rest = body; !d.Empty(); {
		v := next()
		if d.err != nil {
			return list
		}
		list = append(list, v)
	}
	d.rest = after
	return list
}

// AppendList appends a vector of elements, each appended by one.
func AppendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	return AppendVecFunc(b, func(b []byte) []byte {
		for _, v := range list {
			b = one(b, v)
		}
		return b
	})
}
