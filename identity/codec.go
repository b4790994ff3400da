package identity

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// A writer appends big-endian numbers and vectors with a length of one or two bytes before them.
type writer struct{ b []byte }

func (w *writer) u8(v uint8)     { w.b = append(w.b, v) }
func (w *writer) u16(v uint16)   { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u64(v uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) fixed(v []byte) { w.b = append(w.b, v...) }
func (w *writer) vec8(v []byte)  { w.u8(uint8(len(v))); w.fixed(v) }
func (w *writer) vec16(v []byte) { w.u16(uint16(len(v))); w.fixed(v) }
func (w *writer) time(t time.Time) {
	w.u64(uint64(t.Unix()))
}

func (w *writer) user(u qpq.UserID) {
	w.vec8([]byte(u.Name))
	w.vec8([]byte(u.Domain))
}

// A reader reads what a writer wrote, until the first error, which it keeps; after it, all values are
// zero. What it returns aliases its input.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
		r.b = nil
	}
}

func (r *reader) fixed(n int) []byte {
	if len(r.b) < n {
		r.fail("it ends too early")
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8   { return r.fixed(1)[0] }
func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.fixed(2)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.fixed(8)) }

func (r *reader) vec8() []byte {
	n := int(r.u8())
	if n > len(r.b) {
		r.fail("it ends too early")
		return nil
	}
	return r.fixed(n)
}

func (r *reader) vec16() []byte {
	n := int(r.u16())
	if n > len(r.b) {
		r.fail("it ends too early")
		return nil
	}
	return r.fixed(n)
}

const maxTime = 253402300799 // the end of the year 9999, in seconds

func (r *reader) time() time.Time {
	v := r.u64()
	if v > maxTime {
		r.fail("a time is after the year 9999")
		return time.Time{}
	}
	return time.Unix(int64(v), 0).UTC()
}

// user reads a user id, which must be in normal form.
func (r *reader) user() qpq.UserID {
	u := qpq.UserID{Name: string(r.vec8()), Domain: string(r.vec8())}
	if r.err != nil {
		return qpq.UserID{}
	}
	if normal, err := ParseUser(u.String()); err != nil || normal != u {
		r.fail("its user is not in normal form")
		return qpq.UserID{}
	}
	return u
}

func (r *reader) version(want uint8) {
	if v := r.u8(); r.err == nil && v != want {
		r.fail("its format is version %d, and this program knows %d", v, want)
	}
}

// done returns the first error, or that bytes are left over.
func (r *reader) done(what string) error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes follow its end", len(r.b))
	}
	if r.err == nil {
		return nil
	}
	return qpq.Wrap(qpq.Invalid, "malformed-"+what, "this "+what+" cannot be read: "+r.err.Error(), r.err)
}
