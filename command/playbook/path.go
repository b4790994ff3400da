package playbook

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Path says where a value is in what a command gave:
//
//	.               the result
//	.members[0]     the first of a list, and [-1] the last
//	.[].text        the text of each of a list
//	.[kind=text]    those of a list whose kind is text, as a list
//	text            what people are shown as the result
//	shown.link_code something that the command showed while it went on
//	error           the sentence that it failed with
type Path struct {
	At    Position
	root  string // "", "text", "shown" or "error"
	steps []hop
	raw   string
}

// hop is one step of a path.
type hop struct {
	name  string // of a member, where nothing else is set
	index *int
	each  bool
	where string // the name of a member that has to be equal to
	equal *Text
}

var pathRoots = []string{"text", "shown", "error"}

func (p *Path) take(n *node) string {
	text, ok := n.value.(string)
	if !ok {
		return "it is " + n.what() + ": write a path as .id or .[0].text, in quotes where it begins with a bracket"
	}
	p.At = n.at
	return p.parse(text)
}

func (*Path) form() (map[string]any, string) {
	return map[string]any{"type": "string", "pattern": `^(\.|\[|text$|error$|shown\b)`}, "path, as `.members[0].user`"
}

func (p *Path) uses() (names []string) {
	for _, h := range p.steps {
		if h.equal != nil {
			names = append(names, h.equal.uses()...)
		}
	}
	return names
}

// parse returns what is wrong with a path.
func (p *Path) parse(text string) string {
	p.raw = text
	rest := text
	for _, root := range pathRoots {
		if after, ok := strings.CutPrefix(text, root); ok && (after == "" || after[0] == '.' || after[0] == '[') {
			p.root, rest = root, after
		}
	}
	if rest == "" && p.root == "" || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return fmt.Sprintf("%q is no path: it begins with a dot, or is text, error, or begins with shown", text)
	}
	for rest != "" {
		if rest = strings.TrimPrefix(rest, "."); rest == "" {
			break
		}
		if rest[0] != '[' {
			end := strings.IndexAny(rest, ".[]")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 || rest[end:] != "" && rest[end] == ']' {
				return fmt.Sprintf("%q is no path: a name is missing, or a ] is too many", text)
			}
			p.steps = append(p.steps, hop{name: rest[:end]})
			rest = rest[end:]
			continue
		}
		inner, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return fmt.Sprintf("%q is no path: a ] is missing", text)
		}
		h, wrong := bracket(inner, p.At)
		if wrong != "" {
			return wrong
		}
		p.steps, rest = append(p.steps, h), after
	}
	return ""
}

// bracket reads what stands in brackets.
func bracket(inner string, at Position) (h hop, wrong string) {
	if inner == "" {
		return hop{each: true}, ""
	}
	if i, err := strconv.Atoi(inner); err == nil {
		return hop{index: &i}, ""
	}
	name, value, ok := strings.Cut(inner, "=")
	if !ok || name == "" {
		return h, fmt.Sprintf("[%s] is neither a number, nor empty for each, nor name=value", inner)
	}
	parts, wrong := parseText(strings.Trim(strings.TrimPrefix(value, "="), `"'`))
	return hop{where: strings.TrimSpace(name), equal: &Text{at, parts, true}}, wrong
}

// find returns what a path leads to, nil where there is nothing.
func (p *Path) find(r *result, s *scope) (any, error) {
	var v any
	switch p.root {
	case "":
		v = r.value
	case "text":
		v = r.text
	case "shown":
		v = r.shown
	case "error":
		if r.err != nil {
			v = r.err.Error()
		}
	}
	return follow(v, p.steps, s)
}

func follow(v any, steps []hop, s *scope) (any, error) {
	for i, h := range steps {
		list, isList := v.([]any)
		switch {
		case h.each:
			out := []any{}
			for _, item := range list {
				found, err := follow(item, steps[i+1:], s)
				if err != nil {
					return nil, err
				}
				if found != nil {
					out = append(out, found)
				}
			}
			return out, nil
		case h.index != nil:
			at := *h.index
			if at < 0 {
				at += len(list)
			}
			if at < 0 || at >= len(list) {
				return nil, nil
			}
			v = list[at]
		case h.equal != nil:
			want, err := h.equal.text(s)
			if err != nil {
				return nil, err
			}
			if !isList {
				return nil, nil
			}
			list = slices.Clone(list)
			v = slices.DeleteFunc(list, func(item any) bool { return textOf(member(item, strings.Split(h.where, "."))) != want })
		default:
			v = member(v, []string{h.name})
		}
	}
	return v, nil
}

func member(v any, names []string) any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}
