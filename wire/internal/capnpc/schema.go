package main

import (
	"fmt"
	"strings"
	"unicode"

	"capnproto.org/go/capnp/v3"
	cs "capnproto.org/go/capnp/v3/std/capnp/schema"
)

// A schema is a CodeGeneratorRequest made easy to look things up in. The generator stops at what it
// does not know; so reading panics with an error, which readSchema and file return.
type schema struct {
	nodes map[uint64]cs.Node
	files map[string]cs.Node
	docs  map[uint64]cs.Node_SourceInfo
}

// must unwraps the results of accessors that fail only where the compiler's output is broken.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func catch(err *error) {
	if r := recover(); r != nil {
		e, ok := r.(error)
		if !ok {
			panic(r)
		}
		*err = e
	}
}

func readSchema(b []byte) (s *schema, err error) {
	defer catch(&err)
	msg := must(capnp.Unmarshal(b))
	req := must(cs.ReadRootCodeGeneratorRequest(msg))
	s = &schema{map[uint64]cs.Node{}, map[string]cs.Node{}, map[uint64]cs.Node_SourceInfo{}}
	for n := range each(must(req.Nodes())) {
		s.nodes[n.Id()] = n
	}
	for f := range each(must(req.RequestedFiles())) {
		s.files[must(f.Filename())] = s.nodes[f.Id()]
	}
	for d := range each(must(req.SourceInfo())) {
		s.docs[d.Id()] = d
	}
	return s, nil
}

// each ranges over a list of structs.
func each[T ~capnp.StructKind](l capnp.StructList[T]) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		for i := range l.Len() {
			if !yield(l.At(i)) {
				return
			}
		}
	}
}

// name returns the name of a node within its file.
func (s *schema) name(id uint64) string {
	n, ok := s.nodes[id]
	if !ok {
		panic(fmt.Errorf("no node %#x", id))
	}
	return must(n.DisplayName())[n.DisplayNamePrefixLength():]
}

// doc returns a node's comment as lines of Go comments.
func (s *schema) doc(id uint64) string { return comment(must(s.docs[id].DocComment())) }

// memberDoc returns the comment of a node's i-th member, in one line.
func (s *schema) memberDoc(id uint64, i int) string {
	members, ok := s.docs[id]
	if !ok {
		return ""
	}
	list := must(members.Members())
	if i >= list.Len() {
		return ""
	}
	text := strings.Join(strings.Fields(must(list.At(i).DocComment())), " ")
	if text == "" {
		return ""
	}
	return " // " + text
}

func comment(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return "// " + strings.ReplaceAll(text, "\n", "\n// ") + "\n"
}

// notes are the annotations on something, by name.
type notes map[string]cs.Value

func (s *schema) notes(list cs.Annotation_List) notes {
	n := notes{}
	for a := range each(list) {
		n[s.name(a.Id())] = must(a.Value())
	}
	return n
}

func (n notes) has(name string) bool { _, ok := n[name]; return ok }

func (n notes) number(name string) int {
	if v, ok := n[name]; ok {
		return int(v.Uint32())
	}
	return 0
}

// goName makes an exported Go name of a schema's name.
func goName(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	s = string(r)
	if s == "Id" || strings.HasSuffix(s, "Id") {
		s = s[:len(s)-2] + "ID"
	}
	return initialisms.Replace(s)
}

// initialisms are the words that Go writes in capitals.
var initialisms = strings.NewReplacer("Ttl", "TTL", "Ke1", "KE1", "Ke2", "KE2", "Ke3", "KE3")

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
