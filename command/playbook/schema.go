package playbook

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Schema returns a JSON schema (draft 2020-12) of playbooks, for editors and other programs. What it cannot say, Load does.
func Schema() ([]byte, error) {
	s := schemas{defs: map[string]any{}}
	root := s.object(reflect.TypeFor[File]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "A playbook of qpq"
	root["$defs"] = s.defs
	b, err := json.MarshalIndent(root, "", "  ")
	return append(b, '\n'), err
}

type schemas struct{ defs map[string]any }

// of returns the schema of values of a type.
func (s *schemas) of(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if w, ok := reflect.New(t).Interface().(written); ok {
		form, _ := w.form()
		return form
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string", "minLength": 1}
	case reflect.Slice:
		if value, ok := namedValue(t); ok {
			return map[string]any{"type": "object", "additionalProperties": s.of(value)}
		}
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	}
	name := strings.ToLower(t.Name())
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // it may hold itself
		s.defs[name] = s.object(t)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

// namedValue returns the type of the values of a Map.
func namedValue(t reflect.Type) (reflect.Type, bool) {
	if _, named := reflect.New(t).Elem().Interface().(interface{ named() }); !named {
		return nil, false
	}
	f, _ := t.Elem().FieldByName("Value")
	return f.Type, true
}

// object returns the schema of a mapping that is read into a struct.
func (s *schemas) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	var short map[string]any
	for _, k := range keysOf(t) {
		value := s.of(t.Field(k.field).Type)
		if k.one {
			value = map[string]any{"anyOf": []any{value["items"], value}}
		}
		with := map[string]any{"description": k.help}
		for name, v := range value {
			with[name] = v
		}
		properties[k.name] = with
		if k.required {
			required = append(required, k.name)
		}
		if k.short {
			short = s.of(t.Field(k.field).Type)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	if t == reflect.TypeFor[Step]() {
		var one []any
		for _, name := range actions {
			one = append(one, map[string]any{"required": []string{name}})
		}
		out["oneOf"] = one
	}
	if t == reflect.TypeFor[User]() { // a name with nothing after it is somebody with all at its default
		out["type"] = []string{"object", "null"}
	}
	if short == nil {
		return out
	}
	if short["type"] == nil { // anything but a mapping
		short = map[string]any{"not": map[string]any{"type": "object"}}
	}
	return map[string]any{"anyOf": []any{short, out}}
}

// Reference returns the keys of playbooks in Markdown.
func Reference() string {
	var b strings.Builder
	for _, part := range []struct {
		of    reflect.Type
		title string
		about string
	}{
		{reflect.TypeFor[File](), "The file", ""},
		{reflect.TypeFor[Var](), "A variable", "A value alone stands for `value`."},
		{reflect.TypeFor[User](), "A user", "A name with nothing after it is a user with all keys at their defaults: on a temporary profile, where nobody is signed in."},
		{reflect.TypeFor[Step](), "A step", "It has exactly one of " + quotedAmong(actions) + "."},
		{reflect.TypeFor[Check](), "What is expected", "All of what is given has to be so. Where there are several of these they are a list."},
		{reflect.TypeFor[Capture](), "What is captured", "A path alone stands for `path`."},
	} {
		fmt.Fprintf(&b, "### %s\n\n", part.title)
		if part.about != "" {
			fmt.Fprintf(&b, "%s\n\n", part.about)
		}
		b.WriteString("| key | takes | |\n|---|---|---|\n")
		for _, k := range keysOf(part.of) {
			help := k.help
			if k.required {
				help += "; **required**"
			}
			value := takes(part.of.Field(k.field).Type)
			if k.one {
				value = "one, or a " + value
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, value, strings.ReplaceAll(help, "|", `\|`))
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func quotedAmong(names []string) string {
	quoted := slices.Clone(names)
	for i := range quoted {
		quoted[i] = "`" + quoted[i] + "`"
	}
	return among(quoted)
}

// takes says in words what a value of a type is.
func takes(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if w, ok := reflect.New(t).Interface().(written); ok {
		_, words := w.form()
		return words
	}
	switch t.Kind() {
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.String:
		return "text, without variables"
	case reflect.Slice:
		if value, ok := namedValue(t); ok {
			return "names, each with " + article(takes(value))
		}
		if t.Elem().Kind() == reflect.String {
			return "list of names"
		}
		return "list of " + strings.TrimPrefix(takes(t.Elem()), "a ") + "s"
	}
	if t == reflect.TypeFor[Var]() {
		return "a variable"
	}
	return "a " + strings.ToLower(t.Name())
}

func article(words string) string {
	if strings.HasPrefix(words, "a ") || strings.HasPrefix(words, "any ") {
		return words
	}
	return "a " + words
}
