package main

import (
	"fmt"

	cs "capnproto.org/go/capnp/v3/std/capnp/schema"
)

// A slot is one field of a struct on its way into Go.
type slot struct {
	goField string // "User"
	at      uint32 // offset as the accessors of capnp.Struct take it
	label   string // "LoginStart.user"
	notes   notes
	typ     cs.Type
}

// bound is the Go expression of what the field may hold.
func (s slot) bound() string {
	lo, hi := s.notes.number("min"), s.notes.number("max")
	if n := s.notes.number("exact"); n > 0 {
		lo, hi = n, n
	}
	if hi == 0 {
		panic(fmt.Errorf("%s has no upper bound: annotate it with max, len or exact", s.label))
	}
	return fmt.Sprintf("bound{%q, %d, %d, %t}", s.label, lo, hi, s.notes.has("optional"))
}

// loose is the bound of a field whose type alone says how long it is.
func (s slot) loose() string {
	return fmt.Sprintf("bound{field: %q, optional: %t}", s.label, s.notes.has("optional"))
}

func (s slot) each() string {
	n := s.notes.number("each")
	if n == 0 {
		panic(fmt.Errorf("the elements of %s have no upper bound: annotate it with each", s.label))
	}
	return fmt.Sprintf("bound{%q, 0, %d, false}", s.label+"[]", n)
}

// emit adds a field: its Go type, the statement that encodes it and the one that decodes it.
func (g *generator) emit(s slot, doc, goType, enc, dec string) {
	fmt.Fprintf(&g.types, "%s %s%s\n", s.goField, goType, doc)
	fmt.Fprintln(&g.enc, enc)
	fmt.Fprintln(&g.dec, dec)
}

func (g *generator) field(owner string, f cs.Field, doc string) {
	name := must(f.Name())
	s := slot{goName(name), f.Slot().Offset(), owner + "." + name, g.notes(must(f.Annotations())), must(f.Slot().Type())}
	v := "v." + s.goField
	switch s.typ.Which() {
	case cs.Type_Which_bool:
		g.emit(s, doc, "bool", fmt.Sprintf("s.SetBit(%d, %s)", s.at, v), fmt.Sprintf("%s = s.Bit(%d)", v, s.at))
	case cs.Type_Which_uint16:
		g.number(s, doc, 16)
	case cs.Type_Which_uint32:
		g.number(s, doc, 32)
	case cs.Type_Which_uint64:
		g.number(s, doc, 64)
	case cs.Type_Which_int64:
		g.time(s, doc)
	case cs.Type_Which_enum:
		g.enumField(s, doc)
	case cs.Type_Which_text:
		g.text(s, doc)
	case cs.Type_Which_data:
		g.data(s, doc)
	case cs.Type_Which_structType:
		g.structField(s, doc)
	case cs.Type_Which_list:
		g.list(s, doc)
	default:
		panic(fmt.Errorf("%s has type %v, which the generator does not know", s.label, s.typ.Which()))
	}
}

func (g *generator) number(s slot, doc string, bits uint32) {
	v, t := "v."+s.goField, fmt.Sprintf("uint%d", bits)
	offset := s.at * bits / 8
	enc, dec := v, fmt.Sprintf("s.Uint%d(%d)", bits, offset)
	if s.notes.has("min") || s.notes.has("max") {
		hi := "1<<63-1"
		if s.notes.has("max") {
			hi = fmt.Sprint(s.notes.number("max"))
		}
		b := fmt.Sprintf("bound{%q, %d, %s, false}", s.label, s.notes.number("min"), hi)
		enc = fmt.Sprintf("%s(e.number(uint64(%s), %s))", t, v, b)
		dec = fmt.Sprintf("%s(d.number(uint64(%s), %s))", t, dec, b)
	}
	g.emit(s, doc, t, fmt.Sprintf("s.SetUint%d(%d, %s)", bits, offset, enc), v+" = "+dec)
}

func (g *generator) time(s slot, doc string) {
	if !s.notes.has("time") {
		panic(fmt.Errorf("%s is an Int64 that is no time", s.label))
	}
	g.useTime = true
	v := "v." + s.goField
	g.emit(s, doc, "time.Time", fmt.Sprintf("s.SetUint64(%d, e.time(%s, %q))", 8*s.at, v, s.label),
		fmt.Sprintf("%s = d.time(s.Uint64(%d), %q)", v, 8*s.at, s.label))
}

func (g *generator) enumField(s slot, doc string) {
	id := s.typ.Enum().TypeId()
	v, t := "v."+s.goField, g.name(id)
	if g.notes(must(g.nodes[id].Annotations())).has("open") {
		g.emit(s, doc, t, fmt.Sprintf("s.SetUint16(%d, uint16(%s))", 2*s.at, v), fmt.Sprintf("%s = %s(s.Uint16(%d))", v, t, 2*s.at))
		return
	}
	count := must(g.nodes[id].Enum().Enumerants()).Len()
	g.emit(s, doc, t, fmt.Sprintf("s.SetUint16(%d, e.enum(uint16(%s), %d, %q))", 2*s.at, v, count, s.label),
		fmt.Sprintf("%s = %s(d.enum(s.Uint16(%d), %d, %q))", v, t, 2*s.at, count, s.label))
}

func (g *generator) text(s slot, doc string) {
	v := "v." + s.goField
	switch {
	case s.notes.has("user"):
		g.useQPQ = true
		g.emit(s, doc, "qpq.UserID", fmt.Sprintf("e.user(s, %d, %s, %s)", s.at, v, s.loose()),
			fmt.Sprintf("%s = d.user(s, %d, %s)", v, s.at, s.loose()))
	case s.notes.has("secret"):
		g.emit(s, doc, "Secret", fmt.Sprintf("e.text(s, %d, %s.text, %s)", s.at, v, s.bound()),
			fmt.Sprintf("%s.text = d.text(s, %d, %s)", v, s.at, s.bound()))
	default:
		g.emit(s, doc, "string", fmt.Sprintf("e.text(s, %d, %s, %s)", s.at, v, s.bound()),
			fmt.Sprintf("%s = d.text(s, %d, %s)", v, s.at, s.bound()))
	}
}

func (g *generator) data(s slot, doc string) {
	v := "v." + s.goField
	t := ""
	switch {
	case s.notes.has("device"):
		g.useQPQ, t = true, "qpq.DeviceID"
	case s.notes.has("channel"):
		g.useQPQ, t = true, "qpq.ChannelID"
	case s.notes.has("len"):
		t = fmt.Sprintf("[%d]byte", s.notes.number("len"))
	default:
		g.emit(s, doc, "[]byte", fmt.Sprintf("e.data(s, %d, %s, %s)", s.at, v, s.bound()),
			fmt.Sprintf("%s = d.data(s, %d, %s)", v, s.at, s.bound()))
		return
	}
	g.emit(s, doc, t, fmt.Sprintf("e.fixed(s, %d, %s[:], %s)", s.at, v, s.loose()),
		fmt.Sprintf("d.fixed(s, %d, %s[:], %s)", s.at, v, s.loose()))
}

func (g *generator) structField(s slot, doc string) {
	v, t := "v."+s.goField, g.name(s.typ.StructType().TypeId())
	if s.notes.has("optional") {
		g.emit(s, doc, "*"+t, fmt.Sprintf("encodeStruct(e, s, %d, %s)", s.at, v),
			fmt.Sprintf("%s = decodeOptional[%s](d, s, %d, %q)", v, t, s.at, s.label))
		return
	}
	g.emit(s, doc, t, fmt.Sprintf("encodeStruct(e, s, %d, &%s)", s.at, v),
		fmt.Sprintf("decodeStruct(d, s, %d, &%s, %q)", s.at, v, s.label))
}

func (g *generator) list(s slot, doc string) {
	v, el := "v."+s.goField, must(s.typ.List().ElementType())
	simple := func(t, method, args string) {
		g.emit(s, doc, "[]"+t, fmt.Sprintf("e.%s(s, %d, %s, %s)", method, s.at, v, args),
			fmt.Sprintf("%s = d.%s(s, %d, %s)", v, method, s.at, args))
	}
	switch el.Which() {
	case cs.Type_Which_uint16:
		simple("uint16", "uint16List", s.bound())
	case cs.Type_Which_text:
		if s.notes.has("user") {
			g.useQPQ = true
			simple("qpq.UserID", "userList", s.bound())
			return
		}
		simple("string", "textList", s.bound()+", "+s.each())
	case cs.Type_Which_data:
		g.dataList(s, doc, simple)
	case cs.Type_Which_structType:
		t := g.name(el.StructType().TypeId())
		g.emit(s, doc, "[]"+t, fmt.Sprintf("encodeList(e, s, %d, %s, %s)", s.at, v, s.bound()),
			fmt.Sprintf("%s = decodeList[%s](d, s, %d, %s)", v, t, s.at, s.bound()))
	default:
		panic(fmt.Errorf("%s is a list of %v, which the generator does not know", s.label, el.Which()))
	}
}

func (g *generator) dataList(s slot, doc string, simple func(t, method, args string)) {
	t := ""
	switch {
	case s.notes.has("device"):
		t = "qpq.DeviceID"
	case s.notes.has("channel"):
		t = "qpq.ChannelID"
	default:
		simple("[]byte", "dataList", s.bound()+", "+s.each())
		return
	}
	g.useQPQ = true
	g.emit(s, doc, "[]"+t, fmt.Sprintf("encodeIDs(e, s, %d, v.%s, %s)", s.at, s.goField, s.bound()),
		fmt.Sprintf("v.%s = decodeIDs[%s](d, s, %d, %s)", s.goField, t, s.at, s.bound()))
}
