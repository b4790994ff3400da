package playbook

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// The structs of keys.go are the table of what a playbook may say: it validates files, and the schema and the reference are written from it.
// Fields have a tag "key" with the name of the key and, after commas, what is so with it:
//
//	required  it has to be there
//	short     what is no mapping stands for a mapping with this key alone
//	one       a mapping stands for a list of it alone
//
// and a tag "help". A field At takes the position.

// written is a value that has a form of its own.
type written interface {
	// take reads a value. It returns what is wrong with it, and what to do; empty for nothing.
	take(*node) string
	// form returns what a JSON schema says of it, and words for people.
	form() (schema map[string]any, words string)
}

// Map is a mapping with keys that an author chose, in their order.
type Map[T any] []Entry[T]

// Entry is a key of a Map, with its value.
type Entry[T any] struct {
	Name  string
	At    Position
	Value T
}

func (Map[T]) named() {}

// Find returns the value of a key, nil where there is none.
func (m Map[T]) Find(name string) *T {
	for i := range m {
		if m[i].Name == name {
			return &m[i].Value
		}
	}
	return nil
}

func (m Map[T]) names() (list []string) {
	for _, e := range m {
		list = append(list, e.Name)
	}
	return list
}

// keyed is what the tag of a field says.
type keyed struct {
	name                 string
	required, short, one bool
	help                 string
	field                int
}

// keysOf returns the keys of a mapping that is read into a struct.
func keysOf(t reflect.Type) (list []keyed) {
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("key")
		if !ok {
			continue
		}
		words := strings.Split(tag, ",")
		list = append(list, keyed{words[0], slices.Contains(words, "required"), slices.Contains(words, "short"), slices.Contains(words, "one"),
			t.Field(i).Tag.Get("help"), i})
	}
	return list
}

// decoder reads nodes into structs, and gathers what is wrong.
type decoder struct{ problems []Problem }

// maxProblems is how many are told at once.
const maxProblems = 20

func (d *decoder) problem(at Position, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{at, cut(fmt.Sprintf(format, args...), maxText)})
	}
}

// maxText bounds what is said of one problem, in runes: it may quote what a file has.
const maxText = 500

// cut returns the beginning of a text.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return s
}

// decode reads n into v. what says whose value it is.
func (d *decoder) decode(n *node, v reflect.Value, what string) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if w, ok := v.Addr().Interface().(written); ok {
		if text := w.take(n); text != "" {
			d.problem(n.at, "%s: %s", what, text)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, what)
	case reflect.Slice:
		if _, named := v.Interface().(interface{ named() }); named {
			d.named(n, v, what)
		} else {
			d.list(n, v, what)
		}
	case reflect.Bool:
		b, ok := n.value.(bool)
		if !ok {
			d.problem(n.at, "%s is %s: write true or false", what, n.what())
			return
		}
		v.SetBool(b)
	case reflect.String:
		s, ok := n.value.(string)
		if !ok || s == "" {
			d.problem(n.at, "%s is %s: write a text, in quotes if it looks like something else", what, n.what())
			return
		}
		v.SetString(s)
	default:
		panic(fmt.Sprintf("%s is read into a %s", what, v.Type()))
	}
}

func (d *decoder) mapping(n *node, v reflect.Value, what string) {
	keys := keysOf(v.Type())
	if at := v.FieldByName("At"); at.IsValid() {
		at.Set(reflect.ValueOf(n.at))
	}
	if n.keys == nil {
		if i := slices.IndexFunc(keys, func(k keyed) bool { return k.short }); i >= 0 {
			d.decode(n, v.Field(keys[i].field), what)
			return
		}
		d.problem(n.at, "%s is %s: it takes a mapping with %s", what, n.what(), among(keyNames(keys)))
		return
	}
	for _, p := range n.keys {
		i := slices.IndexFunc(keys, func(k keyed) bool { return k.name == p.name })
		if i < 0 {
			d.problem(p.at, "%s has no key %q: %s", what, p.name, hint(p.name, keyNames(keys)))
			continue
		}
		field := v.Field(keys[i].field)
		if keys[i].one && p.value.keys != nil {
			d.list(&node{at: p.value.at, items: []*node{p.value}}, field, p.name)
			continue
		}
		d.decode(p.value, field, p.name)
	}
	for _, k := range keys {
		if k.required && !slices.ContainsFunc(n.keys, func(p pair) bool { return p.name == k.name }) {
			d.problem(n.at, "%s has no %s: add it: %s", what, k.name, k.help)
		}
	}
}

func (d *decoder) list(n *node, v reflect.Value, what string) {
	if n.items == nil {
		d.problem(n.at, "%s is %s: it takes a list, whose lines begin with a dash", what, n.what())
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.decode(item, v.Index(i), singular(what))
	}
}

func (d *decoder) named(n *node, v reflect.Value, what string) {
	if n.keys == nil {
		d.problem(n.at, "%s is %s: it takes a mapping of names", what, n.what())
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.keys), len(n.keys)))
	for i, p := range n.keys {
		e := v.Index(i)
		e.FieldByName("Name").SetString(p.name)
		e.FieldByName("At").Set(reflect.ValueOf(p.at))
		value := p.value
		if value.value == nil && value.keys == nil && value.items == nil && e.FieldByName("Value").Kind() == reflect.Struct {
			if _, ok := e.FieldByName("Value").Addr().Interface().(written); !ok {
				value = &node{at: p.at, keys: []pair{}} // a name with nothing after it has all its keys at their defaults
			}
		}
		d.decode(value, e.FieldByName("Value"), p.name)
	}
}

// singular returns what one of a list is called.
func singular(what string) string {
	switch what {
	case "steps", "parallel", "always":
		return "the step"
	case "needs":
		return "the name"
	}
	return what
}

func keyNames(keys []keyed) (list []string) {
	for _, k := range keys {
		list = append(list, k.name)
	}
	return list
}

// among lists names in words.
func among(names []string) string {
	switch len(names) {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// hint says which of names was probably meant, or what there is.
func hint(name string, names []string) string {
	if best := nearest(name, names); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(names) == 0 {
		return "there is none"
	}
	if len(names) > 12 {
		names = append(slices.Clone(names[:11]), "others")
	}
	return "there are " + among(names)
}

// nearest returns the name that is least different, if it differs by little.
func nearest(name string, names []string) (best string) {
	least := len(name)/3 + 2
	if len(name) > 64 {
		return ""
	}
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least && d < len(n) {
			best, least = n, d
		}
	}
	return best
}

// distance counts what has to be put in, taken away, replaced or swapped with its neighbour to make b of a.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
