// Package command is the registry of what people can do: every front end (command line, playbooks, graphical shells)
// offers these commands, calls them by name with typed arguments, and shows what they return.
//
// A command never reads a terminal. What it has to ask, or to show before it is done, goes through the UI of its Env. Files it reaches only through the
// client, whose program says how (client.Config.Files): so the process that holds the profile opens them, by whole paths.
package command

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command/markdown"
)

// Command is one thing to do.
type Command struct {
	Name    string // one or more words: "devices rename"
	Summary string // one line
	Long    string // the manual; empty where the summary says all
	Params  []Param
	Asks    []Question // what it may ask
	Example []string   // command lines after the name of the program
	Endless bool       // it goes on until it is cancelled: that is its end, and no failure
	Moves   bool       // it may take long, and can be begun anew in another process without loss
	run     func(context.Context, *Env, json.RawMessage) (Output, error)
}

// Param is an argument of a command.
type Param struct {
	Name     string
	Help     string
	Flag     bool   // an option with a name, otherwise one that stands at its place
	Optional bool   // flags are
	Switch   bool   // a flag without a value: true or false
	Number   bool   // a whole number
	List     bool   // any number of values, as a JSON array: all that follow
	Rest     bool   // text: all words that follow, with a space between them
	Input    bool   // text that a front end reads from its input where it is not given
	Path     bool   // the path of a file or folder, whole (Command.Whole)
	Of       Of     // what its values name; empty where it is nothing that could be listed
	As       string // how people see the value of a flag, as ID
}

// Of says what the values of a parameter name: front ends complete them.
type Of string

// The values of Of.
const (
	OfConversations Of = "conversations" // those that list lists
	OfUsers         Of = "users"         // those whom one talks to
	OfDevices       Of = "devices"       // of the own account
	OfRoles         Of = "roles"
	OfMessages      Of = "messages" // of the conversation that stands before
	OfSwitch        Of = "switch"   // on and off
	OfPrivacy       Of = "privacy"  // the settings of privacy
)

// Env is what a command runs in.
type Env struct {
	Client *client.Client
	UI     UI
}

// UI is the person, or the program, that called a command.
type UI interface {
	// Show shows something while the command goes on.
	Show(Output)
	// Result takes a part of the result while the command goes on: one of many, each of them a value of its own. It returns when that is
	// out of the command's hands, and fails where it cannot be shown: then the command ends.
	Result(Output) error
	// Ask returns the answer to a question. It fails with qpq.Invalid and code "no-answer" where nobody can be asked.
	Ask(context.Context, Question) ([]byte, error)
}

// StyledUI is a UI that may show styles.
type StyledUI interface {
	UI
	// ResultStyled is Result for what reads as spans where styles can be shown. Their texts can be shown as they are.
	ResultStyled(Output, []markdown.Span) error
}

// styled gives a part of the result to a UI, with its spans where there are some and the UI takes them.
func styled(ui UI, o Output, spans []markdown.Span) error {
	if s, ok := ui.(StyledUI); ok && len(spans) > 0 {
		return s.ResultStyled(o, spans)
	}
	return ui.Result(o)
}

// Question is what a command may ask. Answers to secret ones are not shown, and never arguments.
type Question struct {
	Name   string // stable, for programs: "password"
	Prompt string
	Secret bool
	Twice  bool // a new secret, to be typed twice by people
}

// Output is something to show: a value for programs, and text for people. The zero Output is nothing to show.
type Output struct {
	Value any    // encodes as JSON
	Text  string // without a final newline
}

// Run runs a command with arguments as a JSON object, whose names are those of the Params. Unknown names are refused.
func (c *Command) Run(ctx context.Context, e *Env, args json.RawMessage) (Output, error) {
	return c.run(ctx, e, args)
}

// Topics are words that commands begin with and that are no commands themselves, with what they are about.
var Topics = map[string]string{"group": "make groups, and change who is in them", "outbox": "see what waits on this device to be sent"}

// Subject is what some commands are about.
type Subject struct {
	Title    string
	Commands []*Command
}

// subjects are those of all commands, in the order of the manual.
var subjects = []Subject{
	{"your account", account}, {"conversations", slices.Concat(conversations, groups)}, {"messages", slices.Concat(messages, actions)},
	{"files, and what is viewed once", files}, {"looking things up", searching},
	{"privacy, the outbox, transcripts and looks", slices.Concat(privacy, outbox, transcripts, formats)},
}

// Subjects returns all commands by what they are about, in the order of the manual.
func Subjects() []Subject { return slices.Clone(subjects) }

// all are the commands in the order of the manual.
var all = func() (list []*Command) {
	for _, s := range subjects {
		list = append(list, s.Commands...)
	}
	return list
}()

// Find returns the command with a name. It fails with qpq.NotFound.
func Find(name string) (*Command, error) {
	i := slices.IndexFunc(all, func(c *Command) bool { return c.Name == name })
	if i < 0 {
		return nil, qpq.E(qpq.NotFound, "no-command", fmt.Sprintf("there is no command %q", name))
	}
	return all[i], nil
}

// All returns all commands in the order of the manual.
func All() []*Command { return slices.Clone(all) }

// define makes a command of a function. The fields of A are its parameters: tags "arg" and "flag" name them, "arg" with a
// question mark at the end is optional, "help" says what they are, "of" what they name, "as" how people see the value of a flag. Slices are lists; "takes" of a text is "rest",
// "input" where it may come from the front end's input too, or "path".
func define[A any](c Command, f func(context.Context, *Env, A) (Output, error)) *Command {
	fields := slices.DeleteFunc(reflect.VisibleFields(reflect.TypeFor[A]()), func(f reflect.StructField) bool { return f.Anonymous })
	for _, f := range fields {
		c.Params = append(c.Params, param(c.Name, f))
	}
	c.run = func(ctx context.Context, e *Env, raw json.RawMessage) (Output, error) {
		var a A
		if err := parse(&c, raw, fields, reflect.ValueOf(&a).Elem()); err != nil {
			return Output{}, err
		}
		return f(ctx, e, a)
	}
	return &c
}

func param(command string, f reflect.StructField) Param {
	kind := f.Type.Kind()
	if kind == reflect.Pointer {
		kind = f.Type.Elem().Kind()
	}
	takes := f.Tag.Get("takes")
	p := Param{Help: f.Tag.Get("help"), Switch: kind == reflect.Bool, Number: kind == reflect.Int || kind == reflect.Int64, List: kind == reflect.Slice,
		Rest: takes == "rest" || takes == "input", Input: takes == "input", Path: takes == "path", Of: Of(f.Tag.Get("of")), As: f.Tag.Get("as")}
	if name, ok := f.Tag.Lookup("flag"); ok {
		p.Name, p.Flag, p.Optional = name, true, true
	} else {
		p.Name, p.Optional = strings.CutSuffix(f.Tag.Get("arg"), "?")
	}
	if p.Flag && kind == reflect.String && p.As == "" {
		panic(fmt.Sprintf("command %s: the flag %s does not say what its value is", command, p.Name))
	}
	if p.Name == "" || p.Help == "" {
		panic(fmt.Sprintf("command %s: the field %s has no name or no help", command, f.Name))
	}
	return p
}

// parse reads arguments into fields of a, which are in the order of the Params.
func parse(c *Command, raw json.RawMessage, fields []reflect.StructField, a reflect.Value) error {
	values := map[string]json.RawMessage{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &values); err != nil {
			return usage(c, "its arguments are not a JSON object")
		}
	}
	for i, p := range c.Params {
		v, ok := values[p.Name]
		delete(values, p.Name)
		if !ok && !p.Optional {
			return usage(c, p.Name+" is missing")
		}
		if !ok {
			continue
		}
		f := a.FieldByIndex(fields[i].Index)
		if err := json.Unmarshal(v, f.Addr().Interface()); err != nil {
			return usage(c, p.Name+" is of the wrong type")
		}
		switch {
		case f.Kind() == reflect.String && f.String() == "" && !p.Optional, f.Kind() == reflect.Slice && f.Len() == 0 && !p.Optional:
			return usage(c, p.Name+" is empty")
		case p.List && slices.Contains(f.Interface().([]string), ""):
			return usage(c, "a "+p.Name+" is empty")
		}
	}
	for name := range values {
		return usage(c, "it has no argument "+name)
	}
	return nil
}

func usage(c *Command, what string) error {
	return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: %s: %s", c.Name, what, c.Usage()))
}

// Usage returns the command with its arguments, as people write it.
func (c *Command) Usage() string {
	words := []string{c.Name}
	for _, p := range c.Params {
		name := strings.ToUpper(p.Name)
		if p.List {
			name += "..."
		}
		switch {
		case p.Flag:
			continue
		case p.Optional:
			name = "[" + name + "]"
		}
		words = append(words, name)
	}
	return strings.Join(words, " ")
}
