package playbook

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/quicproquo/qpq"
)

// Bounds of files. They hold whatever somebody hands in.
const (
	MaxFile  = 256 << 10 // bytes
	maxToken = 30_000    // of YAML, in a file
	maxNodes = 20_000    // values and keys, with those that aliases stand for
	maxDepth = 24        // of what is within something
)

// Position is a place in a file. Lines and columns count from 1.
type Position struct{ Line, Column int }

// Problem is one thing that is wrong with a playbook.
type Problem struct {
	At   Position
	Text string // a sentence, and what to do
}

// Problems is all that is wrong with a playbook. It is of kind qpq.Invalid.
type Problems struct {
	File string
	List []Problem
}

// Error implements error: a line for each problem, which begins with file, line and column.
func (p *Problems) Error() string {
	var lines []string
	for _, q := range p.List {
		lines = append(lines, fmt.Sprintf("%s:%d:%d: %s", p.File, q.At.Line, q.At.Column, q.Text))
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes it an error of kind qpq.Invalid.
func (p *Problems) Unwrap() error { return qpq.E(qpq.Invalid, CodePlaybook, p.Error()) }

// CodePlaybook is the code of errors about files that are no playbooks.
const CodePlaybook = "playbook"

// node is a value of a file.
type node struct {
	at    Position
	value any     // of a scalar: nil, bool, int64, float64 or string
	text  string  // of a scalar, as it is written, without quotes
	items []*node // of a list; not nil there
	keys  []pair  // of a mapping; not nil there
}

// pair is a key of a mapping with its value.
type pair struct {
	name  string
	at    Position
	value *node
}

// what says in words what a value is.
func (n *node) what() string {
	switch {
	case n.keys != nil:
		return "a mapping"
	case n.items != nil:
		return "a list"
	case n.value == nil:
		return "nothing"
	}
	return fmt.Sprintf("%q", n.text)
}

// plain returns a value as JSON has it.
func (n *node) plain() any {
	switch {
	case n.keys != nil:
		m := map[string]any{}
		for _, p := range n.keys {
			m[p.name] = p.value.plain()
		}
		return m
	case n.items != nil:
		list := make([]any, 0, len(n.items))
		for _, i := range n.items {
			list = append(list, i.plain())
		}
		return list
	}
	return n.value
}

// read parses a file. It returns nil for one that is empty.
func read(data []byte) (root *node, problem *Problem) {
	defer func() {
		if r := recover(); r != nil { // what the parser makes of rubbish must not end the program
			root, problem = nil, &Problem{Position{1, 1}, "this is not YAML: see docs/playbooks.md for what a playbook looks like"}
		}
	}()
	if len(data) > MaxFile {
		return nil, &Problem{Position{1, 1}, fmt.Sprintf("the file has %d bytes: a playbook has at most %d", len(data), MaxFile)}
	}
	if problem := flat(data); problem != nil {
		return nil, problem
	}
	tokens := lexer.Tokenize(string(data))
	if problem := shallow(tokens); problem != nil {
		return nil, problem
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntax(err)
	}
	c := &converter{anchors: map[string]ast.Node{}}
	switch {
	case len(file.Docs) > 1:
		at := file.Docs[1].GetToken()
		return nil, &Problem{position(at), "a second document begins here: a file has one playbook"}
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		return nil, nil
	}
	root, problem = c.convert(file.Docs[0].Body, 0)
	return root, problem
}

// flat refuses lines that go on and on, and those that begin with tabs.
func flat(data []byte) *Problem {
	for n, line := range strings.Split(string(data), "\n") {
		if len(line) > maxLine {
			return &Problem{Position{n + 1, 1}, fmt.Sprintf("the line has %d bytes: a line has at most %d; longer texts are written in several, after | or >", len(line), maxLine)}
		}
		if strings.HasPrefix(line, "\t") && strings.TrimSpace(line) != "" {
			return &Problem{Position{n + 1, 1}, "a tab stands at the beginning of the line: YAML takes spaces there"}
		}
	}
	return nil
}

// maxLine bounds a line, in bytes.
const maxLine = 16 << 10

// shallow refuses what is nested so deeply, or has so many parts, that parsing it costs too much.
func shallow(tokens token.Tokens) *Problem {
	depth, line, opened := 0, 0, 0
	for i, t := range tokens {
		if t.Position.Line != line {
			line, opened = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			opened++
		case token.InvalidType:
			return &Problem{position(t), invalid(t)}
		}
		if depth > maxDepth || opened > maxDepth {
			return &Problem{position(t), fmt.Sprintf("this is nested more than %d deep: split it up", maxDepth)}
		}
		if i > maxToken {
			return &Problem{position(t), "the file has too many parts: split it up"}
		}
	}
	return nil
}

func invalid(t *token.Token) string {
	if t.Error != "" {
		return "this is not YAML: " + t.Error
	}
	return "this is not YAML"
}

// position returns where a token is.
func position(t *token.Token) Position {
	if t == nil || t.Position == nil {
		return Position{1, 1}
	}
	return Position{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// syntax returns what the parser says, with the place.
func syntax(err error) *Problem {
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &placed) {
		text := "this is not YAML: " + qpq.OneLine(placed.GetMessage())
		if strings.Contains(text, "must be specified") {
			text += "; within braces and brackets, texts that have such themselves, as ${name} and .[0], are quoted"
		}
		return &Problem{position(placed.GetToken()), text}
	}
	return &Problem{Position{1, 1}, "this is not YAML: " + qpq.OneLine(err.Error())}
}

// converter turns what the parser made into nodes.
type converter struct {
	anchors map[string]ast.Node
	nodes   int
}

func (c *converter) convert(n ast.Node, depth int) (*node, *Problem) {
	at := position(n.GetToken())
	if c.nodes++; c.nodes > maxNodes {
		return nil, &Problem{at, fmt.Sprintf("the file has more than %d values, with those that aliases stand for: split it up", maxNodes)}
	}
	if depth > maxDepth {
		return nil, &Problem{at, fmt.Sprintf("this is nested more than %d deep: split it up", maxDepth)}
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		out, problem := c.convert(n.Value, depth+1)
		if problem == nil {
			c.anchors[n.Name.GetToken().Value] = n.Value // not before: nothing can hold itself
		}
		return out, problem
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, ok := c.anchors[name]
		if !ok {
			return nil, &Problem{at, fmt.Sprintf("*%s stands for nothing: &%s has to come before it, and not around it", name, name)}
		}
		return c.convert(target, depth+1)
	case *ast.MappingNode:
		return c.mapping(n, depth)
	case *ast.SequenceNode:
		out := &node{at: at, items: []*node{}}
		for _, v := range n.Values {
			item, problem := c.convert(v, depth+1)
			if problem != nil {
				return nil, problem
			}
			out.items = append(out.items, item)
		}
		return out, nil
	case *ast.TagNode:
		return nil, &Problem{at, "tags are not for playbooks: quote what is to be text"}
	}
	return scalar(n, at)
}

func (c *converter) mapping(m *ast.MappingNode, depth int) (*node, *Problem) {
	out := &node{at: position(m.GetToken()), keys: []pair{}}
	for i, v := range m.Values {
		at := position(v.Key.GetToken())
		if _, ok := v.Key.(*ast.MappingKeyNode); ok {
			return nil, &Problem{at, "a key begins with a question mark: write it as key: value"}
		}
		if v.Key.IsMergeKey() {
			return nil, &Problem{at, "<< is not for playbooks: write the keys out, or have an alias stand for the whole"}
		}
		name := v.Key.GetToken().Value
		if _, ok := v.Key.(*ast.AliasNode); ok {
			return nil, &Problem{at, "a key cannot be an alias: write it out"}
		}
		value, problem := c.convert(v.Value, depth+1)
		if problem != nil {
			return nil, problem
		}
		if i == 0 && !m.IsFlowStyle {
			out.at = at
		}
		out.keys = append(out.keys, pair{name, at, value})
	}
	return out, nil
}

// scalar returns a value that has no parts.
func scalar(n ast.Node, at Position) (*node, *Problem) {
	out := &node{at: at}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		out.value = n.Value
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			out.value = v
		case uint64:
			if v > 1<<62 {
				return nil, &Problem{at, "the number is too large: quote it if it is text"}
			}
			out.value = int64(v)
		}
	case *ast.FloatNode:
		out.value = n.Value
	case *ast.StringNode:
		out.value, out.text = n.Value, n.Value
		return out, nil
	case *ast.LiteralNode:
		out.value, out.text = n.Value.Value, n.Value.Value
		return out, nil
	default:
		return nil, &Problem{at, "this value is not for playbooks: quote what is to be text"}
	}
	out.text = n.GetToken().Value
	return out, nil
}
