package wire

import (
	"bytes"
	"fmt"
	"time"

	"capnproto.org/go/capnp/v3"

	"github.com/quicproquo/qpq"
)

// A decoder reads fields until the first error, which it keeps; after it, all values are zero.
type decoder struct {
	input []byte
	err   error
}

func (d *decoder) keep(err error) bool {
	if d.err == nil {
		d.err = err
	}
	return d.err == nil
}

// ptr follows pointer i of s: zero if it is null or cannot be followed.
func (d *decoder) ptr(s capnp.Struct, i uint16, field string) (capnp.Ptr, bool) {
	if d.err != nil {
		return capnp.Ptr{}, false
	}
	p, err := s.Ptr(i)
	if err != nil {
		d.keep(malformed("the pointer of " + field + " leads nowhere"))
		return capnp.Ptr{}, false
	}
	return p, p.IsValid()
}

// bytes returns the bytes behind p, which alias the input.
func (d *decoder) bytes(p capnp.Ptr, b bound) []byte {
	v := p.Data()
	if v == nil && p.IsValid() {
		d.keep(malformed(b.field + " is not a list of bytes"))
	}
	d.keep(b.check(len(v)))
	return v
}

// string returns the text behind p.
func (d *decoder) string(p capnp.Ptr, b bound) string {
	v := p.TextBytes()
	if v == nil && p.IsValid() {
		d.keep(malformed(b.field + " is not a text"))
	}
	if !d.keep(b.check(len(v))) {
		return ""
	}
	s := string(v)
	d.keep(checkText(b.field, s))
	return s
}

func (d *decoder) text(s capnp.Struct, i uint16, b bound) string {
	p, _ := d.ptr(s, i, b.field)
	return d.string(p, b)
}

func (d *decoder) data(s capnp.Struct, i uint16, b bound) []byte {
	p, _ := d.ptr(s, i, b.field)
	v := d.bytes(p, b)
	if d.err != nil || len(v) == 0 {
		return nil
	}
	return bytes.Clone(v)
}

// fixed fills dst, whose length is the only one allowed, or none where that is optional.
func (d *decoder) fixed(s capnp.Struct, i uint16, dst []byte, b bound) {
	p, _ := d.ptr(s, i, b.field)
	v := d.bytes(p, bound{b.field, len(dst), len(dst), b.optional})
	if d.err == nil {
		copy(dst, v)
	}
}

func (d *decoder) user(s capnp.Struct, i uint16, b bound) qpq.UserID {
	p, _ := d.ptr(s, i, b.field)
	return d.parseUser(p, b)
}

func (d *decoder) parseUser(p capnp.Ptr, b bound) qpq.UserID {
	v := d.string(p, bound{b.field, 0, maxUser, true})
	if d.err != nil {
		return qpq.UserID{}
	}
	u, err := checkUser(b, v)
	d.keep(err)
	return u
}

// maxUser bounds name@domain before it is looked at more closely.
const maxUser = 64 + 1 + 255

func (d *decoder) number(v uint64, b bound) uint64 {
	if v < uint64(b.min) || v > uint64(b.max) {
		d.keep(outOfBounds(b.field, fmt.Sprintf("%d is not between %d and %d", v, b.min, b.max)))
	}
	return v
}

func (d *decoder) enum(v, count uint16, field string) uint16 {
	if v >= count {
		d.keep(qpq.E(qpq.Unsupported, "unknown-value",
			fmt.Sprintf("the field %s has the value %d, which this version does not know", field, v)))
	}
	return v
}

func (d *decoder) time(ms uint64, field string) time.Time {
	if ms == 0 || !d.keep(checkTime(int64(ms), field)) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// list reads a list of pointers by get, once for each element; it returns the length.
func (d *decoder) list(s capnp.Struct, i uint16, b bound, get func(p capnp.Ptr)) int {
	p, ok := d.ptr(s, i, b.field)
	if !ok {
		d.keep(b.check(0))
		return 0
	}
	l := p.List()
	if !l.IsValid() || !d.isPointers(l) {
		d.keep(malformed(b.field + " is not a list of pointers"))
		return 0
	}
	if !d.keep(b.check(l.Len())) {
		return 0
	}
	for j := range l.Len() {
		el, err := capnp.PointerList(l).At(j)
		if err != nil {
			d.keep(malformed("an element of " + b.field + " leads nowhere"))
		}
		if d.err != nil {
			return 0
		}
		get(el)
	}
	return l.Len()
}

// isPointers reports whether l has one pointer, and nothing before it, in each element.
func (d *decoder) isPointers(l capnp.List) bool {
	if l.Len() == 0 {
		return true
	}
	size := l.Struct(0).Size()
	return size.DataSize == 0 && size.PointerCount == 1
}

func (d *decoder) dataList(s capnp.Struct, i uint16, b, each bound) (out [][]byte) {
	d.list(s, i, b, func(p capnp.Ptr) { out = append(out, bytes.Clone(d.bytes(p, each))) })
	return out
}

func (d *decoder) textList(s capnp.Struct, i uint16, b, each bound) (out []string) {
	d.list(s, i, b, func(p capnp.Ptr) { out = append(out, d.string(p, each)) })
	return out
}

func (d *decoder) userList(s capnp.Struct, i uint16, b bound) (out []qpq.UserID) {
	d.list(s, i, b, func(p capnp.Ptr) { out = append(out, d.parseUser(p, bound{field: b.field})) })
	return out
}

func decodeIDs[T ~[16]byte](d *decoder, s capnp.Struct, i uint16, b bound) (out []T) {
	d.list(s, i, b, func(p capnp.Ptr) {
		var id [16]byte
		copy(id[:], d.bytes(p, bound{b.field, 16, 16, false}))
		out = append(out, T(id))
	})
	return out
}

func (d *decoder) uint16List(s capnp.Struct, i uint16, b bound) (out []uint16) {
	l := d.numbers(s, i, b, 2)
	for j := range l.Len() {
		out = append(out, capnp.UInt16List(l).At(j))
	}
	return out
}

// numbers returns the list behind pointer i, whose elements have the given size in bytes.
func (d *decoder) numbers(s capnp.Struct, i uint16, b bound, size capnp.Size) capnp.List {
	p, ok := d.ptr(s, i, b.field)
	if !ok {
		d.keep(b.check(0))
		return capnp.List{}
	}
	l := p.List()
	if !l.IsValid() || (l.Len() > 0 && l.Struct(0).Size() != capnp.ObjectSize{DataSize: size}) {
		d.keep(malformed(b.field + " is not a list of numbers"))
		return capnp.List{}
	}
	if !d.keep(b.check(l.Len())) {
		return capnp.List{}
	}
	return l
}

// decodeStruct reads the struct at pointer i. A null pointer is a struct of zeros, which may break bounds.
func decodeStruct[T any, P Value[T]](d *decoder, s capnp.Struct, i uint16, v *T, field string) {
	p, ok := d.ptr(s, i, field)
	if ok && !p.Struct().IsValid() {
		d.keep(malformed(field + " is not a struct"))
	}
	if d.err == nil {
		P(v).decode(d, p.Struct())
	}
}

// decodeOptional reads the struct at pointer i: nil if it is null.
func decodeOptional[T any, P Value[T]](d *decoder, s capnp.Struct, i uint16, field string) *T {
	if _, ok := d.ptr(s, i, field); !ok {
		return nil
	}
	v := new(T)
	decodeStruct[T, P](d, s, i, v, field)
	return v
}

func decodeList[T any, P Value[T]](d *decoder, s capnp.Struct, i uint16, b bound) []T {
	p, ok := d.ptr(s, i, b.field)
	if !ok {
		d.keep(b.check(0))
		return nil
	}
	l := p.List()
	if !l.IsValid() {
		d.keep(malformed(b.field + " is not a list of structs"))
		return nil
	}
	if !d.keep(b.check(l.Len())) {
		return nil
	}
	var out []T
	for j := 0; j < l.Len() && d.err == nil; j++ {
		var v T
		P(&v).decode(d, l.Struct(j))
		out = append(out, v)
	}
	return out
}

func (d *decoder) unknown(kind uint16) Unknown { return Unknown{Kind: kind, raw: bytes.Clone(d.input)} }
