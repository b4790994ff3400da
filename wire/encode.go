package wire

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"capnproto.org/go/capnp/v3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// A bound is what a schema allows a field: bytes, elements, or the value of a number.
type bound struct {
	field    string
	min, max int
	optional bool // zero is allowed besides
}

func (b bound) check(n int) error {
	if n == 0 && b.optional {
		return nil
	}
	if n < b.min {
		return outOfBounds(b.field, fmt.Sprintf("%d where at least %d is due", n, b.min))
	}
	if n > b.max {
		return outOfBounds(b.field, fmt.Sprintf("%d where at most %d is allowed", n, b.max))
	}
	return nil
}

func outOfBounds(field, why string) error {
	return qpq.E(qpq.Invalid, "bad-field", fmt.Sprintf("the field %s is out of bounds: %s", field, why))
}

func checkText(field, s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return qpq.E(qpq.Invalid, "bad-field", fmt.Sprintf("the field %s is not UTF-8 text", field))
	}
	return nil
}

// checkUser reports whether s is a user id in normal form; empty is allowed where optional.
func checkUser(b bound, s string) (qpq.UserID, error) {
	if s == "" && b.optional {
		return qpq.UserID{}, nil
	}
	u, err := identity.ParseUser(s)
	if err != nil {
		return qpq.UserID{}, err
	}
	if u.String() != s {
		return qpq.UserID{}, qpq.E(qpq.Invalid, "not-normalised",
			fmt.Sprintf("the field %s holds %q, whose normal form is %q: send that", b.field, s, u))
	}
	return u, nil
}

// An encoder writes fields until the first error, which it keeps.
type encoder struct {
	err error
	raw []byte // the whole message, where it is one of unknown kind
}

func (e *encoder) keep(err error) bool {
	if e.err == nil {
		e.err = err
	}
	return e.err == nil
}

func (e *encoder) text(s capnp.Struct, i uint16, v string, b bound) {
	if e.keep(b.check(len(v))) && e.keep(checkText(b.field, v)) && v != "" {
		e.keep(s.SetText(i, v))
	}
}

func (e *encoder) data(s capnp.Struct, i uint16, v []byte, b bound) {
	if e.keep(b.check(len(v))) && len(v) > 0 {
		e.keep(s.SetData(i, v))
	}
}

// fixed writes an array; where it is optional, all zero is written as absent.
func (e *encoder) fixed(s capnp.Struct, i uint16, v []byte, b bound) {
	if e.err == nil && !(b.optional && isZero(v)) {
		e.keep(s.SetData(i, v))
	}
}

func (e *encoder) user(s capnp.Struct, i uint16, u qpq.UserID, b bound) {
	if u.IsZero() && b.optional {
		return
	}
	v := u.String()
	if _, err := checkUser(b, v); e.keep(err) {
		e.keep(s.SetText(i, v))
	}
}

func (e *encoder) number(v uint64, b bound) uint64 {
	if v < uint64(b.min) || v > uint64(b.max) {
		e.keep(outOfBounds(b.field, fmt.Sprintf("%d is not between %d and %d", v, b.min, b.max)))
	}
	return v
}

func (e *encoder) enum(v, count uint16, field string) uint16 {
	if v >= count {
		e.keep(outOfBounds(field, fmt.Sprintf("%d is none of its values", v)))
	}
	return v
}

func (e *encoder) time(t time.Time, field string) uint64 {
	if t.IsZero() {
		return 0
	}
	ms := t.UnixMilli()
	e.keep(checkTime(ms, field))
	return uint64(ms)
}

const maxTime = 253402300799999 // the end of the year 9999, in milliseconds

func checkTime(ms int64, field string) error {
	if ms < 0 || ms > maxTime {
		return outOfBounds(field, fmt.Sprintf("%d ms is not between the years 1970 and 9999", ms))
	}
	return nil
}

// list writes n elements by set.
func (e *encoder) list(s capnp.Struct, i uint16, n int, b bound, set func(l capnp.PointerList, i int) error) {
	if !e.keep(b.check(n)) || n == 0 {
		return
	}
	l, err := capnp.NewPointerList(s.Segment(), int32(n))
	if !e.keep(err) || !e.keep(s.SetPtr(i, l.ToPtr())) {
		return
	}
	for j := range n {
		if !e.keep(set(l, j)) {
			return
		}
	}
}

func (e *encoder) dataList(s capnp.Struct, i uint16, v [][]byte, b, each bound) {
	e.list(s, i, len(v), b, func(l capnp.PointerList, j int) error {
		if err := each.check(len(v[j])); err != nil {
			return err
		}
		return capnp.DataList(l).Set(j, v[j])
	})
}

func (e *encoder) textList(s capnp.Struct, i uint16, v []string, b, each bound) {
	e.list(s, i, len(v), b, func(l capnp.PointerList, j int) error {
		if err := each.check(len(v[j])); err != nil {
			return err
		}
		if err := checkText(b.field, v[j]); err != nil {
			return err
		}
		return capnp.TextList(l).Set(j, v[j])
	})
}

func (e *encoder) userList(s capnp.Struct, i uint16, v []qpq.UserID, b bound) {
	e.list(s, i, len(v), b, func(l capnp.PointerList, j int) error {
		u := v[j].String()
		if _, err := checkUser(bound{field: b.field}, u); err != nil {
			return err
		}
		return capnp.TextList(l).Set(j, u)
	})
}

func encodeIDs[T ~[16]byte](e *encoder, s capnp.Struct, i uint16, v []T, b bound) {
	e.list(s, i, len(v), b, func(l capnp.PointerList, j int) error {
		id := [16]byte(v[j])
		return capnp.DataList(l).Set(j, id[:])
	})
}

func (e *encoder) uint16List(s capnp.Struct, i uint16, v []uint16, b bound) {
	if !e.keep(b.check(len(v))) || len(v) == 0 {
		return
	}
	l, err := capnp.NewUInt16List(s.Segment(), int32(len(v)))
	if e.keep(err) && e.keep(s.SetPtr(i, l.ToPtr())) {
		for j, n := range v {
			l.Set(j, n)
		}
	}
}

func encodeStruct[T any, P Value[T]](e *encoder, s capnp.Struct, i uint16, v *T) {
	if e.err != nil || v == nil {
		return
	}
	p := P(v)
	child, err := capnp.NewStruct(s.Segment(), p.size())
	if e.keep(err) && e.keep(s.SetPtr(i, child.ToPtr())) {
		p.encode(e, child)
	}
}

func encodeList[T any, P Value[T]](e *encoder, s capnp.Struct, i uint16, v []T, b bound) {
	if !e.keep(b.check(len(v))) || len(v) == 0 {
		return
	}
	l, err := capnp.NewCompositeList(s.Segment(), P(&v[0]).size(), int32(len(v)))
	if !e.keep(err) || !e.keep(s.SetPtr(i, l.ToPtr())) {
		return
	}
	for j := range v {
		P(&v[j]).encode(e, l.Struct(j))
	}
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (e *encoder) unknown(u Unknown) {
	if e.raw = u.raw; u.raw == nil {
		e.keep(malformed("one of unknown kind can only be passed on as it came"))
	}
}
