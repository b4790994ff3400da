package daemon

import (
	"strings"

	"github.com/quicproquo/qpq/command"
)

// document is an OpenRPC document (spec.open-rpc.org): what rpc.discover answers.
type document struct {
	OpenRPC string       `json:"openrpc"`
	Info    documentInfo `json:"info"`
	Methods []described  `json:"methods"`
}

type documentInfo struct {
	Title   string `json:"title"`
	Version string `json:"version"`
}

// described is a method, with what it takes and gives.
type described struct {
	Name        string           `json:"name"`
	Summary     string           `json:"summary"`
	Description string           `json:"description,omitempty"`
	Structure   string           `json:"paramStructure"`
	Params      []describedParam `json:"params"`
	Result      describedParam   `json:"result"`
	Command     string           `json:"x-command,omitempty"` // of the command line
	Endless     bool             `json:"x-endless,omitempty"` // goes on until it is cancelled
}

type describedParam struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Schema      schema `json:"schema"`
}

// schema is a JSON schema.
type schema struct {
	Type        string            `json:"type,omitempty"`
	Description string            `json:"description,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	Properties  map[string]schema `json:"properties,omitempty"`
	MinItems    int               `json:"minItems,omitempty"`
	MinLength   int               `json:"minLength,omitempty"`
	WriteOnly   bool              `json:"writeOnly,omitempty"` // a secret
	Closed      *bool             `json:"additionalProperties,omitempty"`
}

// methodName returns the method of a command: dots stand between its words.
func methodName(c *command.Command) string { return strings.ReplaceAll(c.Name, " ", ".") }

// discover describes all that can be called.
func discover(release string) document {
	d := document{OpenRPC: "1.3.2", Info: documentInfo{"qpq", release}}
	for _, c := range command.All() {
		d.Methods = append(d.Methods, describe(c))
	}
	for _, m := range own {
		one := described{Name: m.name, Summary: m.summary, Structure: "by-name", Params: []describedParam{}, Result: describedParam{Name: "result", Schema: schema{}}}
		for _, f := range m.params {
			one.Params = append(one.Params, describedParam{f.name, f.help, f.required, schema{Type: f.kind}})
		}
		d.Methods = append(d.Methods, one)
	}
	return d
}

// describe describes the method of a command.
func describe(c *command.Command) described {
	one := described{Name: methodName(c), Summary: c.Summary, Description: c.Long, Structure: "by-name", Params: []describedParam{},
		Result: resultOf, Command: c.Name, Endless: c.Endless}
	for _, p := range c.Params {
		one.Params = append(one.Params, describedParam{p.Name, p.Help, !p.Optional, schemaOf(p)})
	}
	if len(c.Asks) == 0 {
		return one
	}
	closed := false
	answers := schema{Type: "object", Properties: map[string]schema{}, Closed: &closed}
	for _, q := range c.Asks {
		answers.Properties[q.Name] = schema{Type: "string", Description: strings.TrimSpace(q.Prompt), WriteOnly: q.Secret}
	}
	one.Params = append(one.Params, describedParam{answersParam, "answers to the questions that it asks", false, answers})
	return one
}

func schemaOf(p command.Param) schema {
	kind := schema{Type: "string"}
	switch {
	case p.Switch:
		kind.Type = "boolean"
	case p.Number:
		kind.Type = "integer"
	case p.List:
		kind = schema{Type: "array", Items: &schema{Type: "string", MinLength: 1}}
		if !p.Optional {
			kind.MinItems = 1
		}
	case !p.Optional:
		kind.MinLength = 1
	}
	return kind
}

// resultOf is what every command gives.
var resultOf = describedParam{Name: "result", Schema: schema{Type: "object", Properties: map[string]schema{
	"value": {Description: "what it came to, as --json prints it"},
	"text":  {Type: "string", Description: "the same for people"},
	"count": {Type: "integer", Description: "how many parts the result has"},
	"parts": {Type: "array", Description: "the parts, each as --json prints it; absent where they are too many for an answer and came as notifications"},
	"shown": {Type: "array", Description: "what it showed on the way"},
}}}
