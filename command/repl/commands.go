package repl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// slash is a command as it is called here.
type slash struct {
	name    string
	command *command.Command // nil for those that are about the session itself
	usage   string
	summary string
	// The first argument is a conversation, and the current one where nobody names it, or always.
	here, fixed bool
}

// called are commands that have other names here.
var called = map[string]string{
	"group create": "create-group", "group invite": "invite", "group remove": "remove", "group leave": "leave", "group rename": "rename", "group role": "role",
}

// slashes are all that there is, in the order of the help.
var slashes = table()

func table() []*slash {
	list := []*slash{
		{name: "switch", usage: "/switch NAME", summary: "go to another conversation"},
	}
	for _, c := range command.All() {
		list = append(list, newSlash(c))
	}
	return append(list,
		&slash{name: "help", usage: "/help [COMMAND]", summary: "show what there is, or what a command does"},
		&slash{name: "quit", usage: "/quit", summary: "end"})
}

// errQuit ends the session.
var errQuit = errors.New("quit")

func newSlash(c *command.Command) *slash {
	s := &slash{name: strings.ReplaceAll(c.Name, " ", "-"), command: c, summary: c.Summary}
	if name, ok := called[c.Name]; ok {
		s.name = name
	}
	places := positions(c)
	if len(places) > 0 && places[0].Of == command.OfConversations && !places[0].Optional && c.Name != "send" {
		s.here = true
		s.fixed = len(places) > 1
	}
	words := []string{"/" + s.name}
	for i, p := range places {
		name := strings.ToUpper(p.Name)
		if p.List {
			name += "..."
		}
		switch {
		case i == 0 && s.fixed:
			continue
		case p.Optional && c.Name != "send", i == 0 && s.here:
			name = "[" + name + "]"
		}
		words = append(words, name)
	}
	s.usage = strings.Join(words, " ")
	return s
}

// positions returns the parameters that stand at their places.
func positions(c *command.Command) (list []command.Param) {
	for _, p := range c.Params {
		if !p.Flag {
			list = append(list, p)
		}
	}
	return list
}

func find(name string) *slash {
	name = strings.ReplaceAll(name, " ", "-")
	i := slices.IndexFunc(slashes, func(s *slash) bool {
		return s.name == name || s.command != nil && strings.ReplaceAll(s.command.Name, " ", "-") == name
	})
	if i < 0 {
		return nil
	}
	return slashes[i]
}

// slash carries out a command.
func (r *REPL) slash(ctx context.Context, line string) error {
	name, rest, _ := strings.Cut(line, " ")
	s := find(name)
	if s == nil {
		text := fmt.Sprintf("there is no command /%s: /help lists them", oneLine(name))
		if near := nearest(name); near != "" {
			text = fmt.Sprintf("there is no command /%s: perhaps /%s is meant", oneLine(name), near)
		}
		return qpq.E(qpq.Invalid, "usage", text+". A text that begins with a slash is written with two")
	}
	switch rest = strings.TrimSpace(rest); s.name {
	case "switch":
		return r.goTo(ctx, rest)
	case "help":
		return r.help(rest)
	case "quit":
		return errQuit
	}
	args, err := r.arguments(s, rest)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	out, err := r.cfg.Call(ctx, s.command, raw, visible{r})
	if err != nil {
		return err
	}
	if s.command.Name != "send" && args["text"] == nil { // what was said is shown as it comes
		r.output(out)
	}
	if s.command.Name == "recv" { // what it gave is read now
		if list, err := r.call(ctx, "list", map[string]any{"offline": true}, quiet{r}); err == nil {
			return r.followed("list", list)
		}
	}
	return r.followed(s.command.Name, out)
}

// nearest returns the command that was probably meant.
func nearest(name string) string {
	for _, s := range slashes {
		if len(name) > 1 && (strings.HasPrefix(s.name, name) || strings.HasPrefix(name, s.name)) || strings.Contains(s.name, name) && len(name) > 3 {
			return s.name
		}
	}
	return ""
}

// followed notes what a command changed here.
func (r *REPL) followed(name string, out command.Output) error {
	defer r.prompt()
	r.mu.Lock()
	defer r.mu.Unlock()
	var one conversation
	var many []conversation
	switch {
	case name == "delete-account":
		return errQuit
	case name == "list" && decode(out.Value, &many) == nil:
		for _, v := range many {
			r.learn(&v)
		}
	case decode(out.Value, &one) == nil && one.ID != "" && one.Standing != "":
		p := r.learn(&one)
		if name == "dm" || name == "group create" {
			r.current = p
		}
		if name == "group leave" {
			p.ended = true
			if p == r.current {
				r.current = nil
			}
		}
	}
	return nil
}

// arguments reads the arguments of a command.
func (r *REPL) arguments(s *slash, rest string) (map[string]any, error) {
	wrong := func(what string) error {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: write %s", what, s.usage))
	}
	args, places := map[string]any{}, positions(s.command)
	if s.here && (s.fixed || len(flagless(rest)) == 0) {
		r.mu.Lock()
		current := r.current
		r.mu.Unlock()
		if current == nil {
			return nil, qpq.E(qpq.Invalid, "no-conversation", "there is no current conversation: /switch NAME goes to one")
		}
		args[places[0].Name], places = current.id, places[1:]
	}
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, after := next(rest)
		if strings.HasPrefix(rest, "--") {
			var err error
			if rest, err = flag(s, args, word, after); err != nil {
				return nil, wrong(err.Error())
			}
			continue
		}
		if len(places) == 0 {
			return nil, wrong(fmt.Sprintf("%q is one argument too many", word))
		}
		switch p := places[0]; {
		case p.Rest:
			args[p.Name], rest, places = rest, "", nil
		case p.List:
			list, _ := args[p.Name].([]string)
			args[p.Name], rest = append(list, word), after
		default:
			args[p.Name], rest, places = word, after, places[1:]
		}
	}
	for _, p := range places {
		if args[p.Name] == nil && (!p.Optional || p.Input) {
			return nil, wrong(p.Name + " is missing")
		}
	}
	return args, nil
}

// flagless returns the words of a line that are no options, nor values of them.
func flagless(rest string) (words []string) {
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, after := next(rest)
		if strings.HasPrefix(word, "--") {
			if !strings.Contains(word, "=") {
				_, after = next(strings.TrimLeft(after, " "))
			}
		} else {
			words = append(words, word)
		}
		rest = after
	}
	return words
}

// flag reads an option, and returns what follows it.
func flag(s *slash, args map[string]any, word, after string) (string, error) {
	name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	i := slices.IndexFunc(s.command.Params, func(p command.Param) bool { return p.Flag && p.Name == name })
	if i < 0 {
		return "", fmt.Errorf("there is no option --%s", name)
	}
	p := s.command.Params[i]
	if p.Switch {
		args[name] = true
		return after, nil
	}
	if !given {
		value, after = next(strings.TrimLeft(after, " "))
	}
	if !p.Number {
		args[name] = value
		return after, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return "", fmt.Errorf("--%s takes a number", name)
	}
	args[name] = n
	return after, nil
}

// next returns the first word of a line, without quotes around it, and what follows.
func next(line string) (word, rest string) {
	if line != "" && (line[0] == '"' || line[0] == '\'') {
		if word, rest, ok := strings.Cut(line[1:], line[:1]); ok {
			return word, rest
		}
	}
	word, rest, _ = strings.Cut(line, " ")
	return word, rest
}

// goTo makes another conversation the current one, and shows what is new there.
func (r *REPL) goTo(ctx context.Context, name string) error {
	if name == "" {
		return qpq.E(qpq.Invalid, "usage", "a name is missing: write /switch NAME, and /list shows where there is something new")
	}
	name, _ = next(name)
	out, err := r.call(ctx, "mark-read", map[string]any{"conversation": name}, visible{r})
	if err != nil {
		return err
	}
	var v struct{ Conversation string }
	if err := decode(out.Value, &v); err != nil {
		return err
	}
	r.mu.Lock()
	p := r.place(v.Conversation, "")
	if p.name == "" {
		p.name = name
	}
	limit := p.unread + 5
	p.unread, r.current = 0, p
	r.mu.Unlock()
	r.prompt()
	_, err = r.call(ctx, "history", map[string]any{"conversation": v.Conversation, "limit": limit}, visible{r})
	return err
}

// help shows what there is, or what a command does.
func (r *REPL) help(name string) error {
	if name != "" {
		return r.helpOn(strings.TrimPrefix(name, "/"))
	}
	widest := 0
	for _, s := range slashes {
		widest = max(widest, len(s.usage))
	}
	var b strings.Builder
	b.WriteString("What does not begin with a slash is said in the current conversation.\n\n")
	for _, s := range slashes {
		fmt.Fprintf(&b, "%-*s  %s\n", min(widest, 36), s.usage, s.summary)
	}
	b.WriteString("\nTab completes, the arrow keys bring back lines, Alt-Enter breaks a line.\nCtrl-C clears the line, Ctrl-C twice or Ctrl-D ends.")
	r.print(b.String())
	return nil
}

func (r *REPL) helpOn(name string) error {
	s := find(name)
	if s == nil {
		return qpq.E(qpq.NotFound, "no-command", fmt.Sprintf("there is no command /%s: /help lists them", oneLine(name)))
	}
	text := s.usage + "\n" + s.summary
	if c := s.command; c != nil {
		if c.Long != "" {
			text += "\n\n" + c.Long
		}
		for i, p := range c.Params {
			switch {
			case p.Flag:
				text += fmt.Sprintf("\n  --%s: %s", p.Name, p.Help)
			case i > 0 || !s.fixed:
				text += fmt.Sprintf("\n  %s: %s", strings.ToUpper(p.Name), p.Help)
			}
		}
	}
	r.print(r.wrap("", "", text, 0))
	return nil
}
