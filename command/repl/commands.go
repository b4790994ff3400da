package repl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/slash"
)

// slashes are all that there is, in the order of the help.
var slashes = slash.New(
	[]*slash.Command{{Name: "switch", Usage: "/switch NAME", Summary: "go to another conversation", Of: command.OfConversations}},
	[]*slash.Command{
		{Name: "help", Usage: "/help [COMMAND]", Summary: "show what there is, or what a command does", Of: slash.OfCommands},
		{Name: "quit", Usage: "/quit", Summary: "end"},
	})

// errQuit ends the session.
var errQuit = errors.New("quit")

// slash carries out a command.
func (r *REPL) slash(ctx context.Context, line string) error {
	s, rest, err := slashes.Parse(line)
	if err != nil {
		return err
	}
	switch s.Name {
	case "switch":
		return r.goTo(ctx, rest)
	case "help":
		return r.help(rest)
	case "quit":
		return errQuit
	}
	r.mu.Lock()
	current := ""
	if r.current != nil {
		current = r.current.id
	}
	r.mu.Unlock()
	args, err := s.Arguments(rest, current)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	out, err := r.cfg.Call(ctx, s.Command, raw, visible{r})
	if err != nil {
		return err
	}
	if s.Command.Name != "send" && args["text"] == nil { // what was said is shown as it comes
		r.output(out)
	}
	if s.Command.Name == "recv" { // what it gave is read now
		if list, err := r.call(ctx, "list", map[string]any{"offline": true}, quiet{r}); err == nil {
			return r.followed("list", list)
		}
	}
	return r.followed(s.Command.Name, out)
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

// goTo makes another conversation the current one, and shows what is new there.
func (r *REPL) goTo(ctx context.Context, name string) error {
	if name == "" {
		return qpq.E(qpq.Invalid, "usage", "a name is missing: write /switch NAME, and /list shows where there is something new")
	}
	name, _ = slash.Next(name)
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
		text, err := slashes.Manual(name)
		if err == nil {
			r.print(r.wrap("", "", text, 0))
		}
		return err
	}
	widest := 0
	for _, s := range slashes {
		widest = max(widest, len(s.Usage))
	}
	var b strings.Builder
	b.WriteString("What does not begin with a slash is said in the current conversation.\n\n")
	for _, s := range slashes {
		fmt.Fprintf(&b, "%-*s  %s\n", min(widest, 36), s.Usage, s.Summary)
	}
	b.WriteString("\nTab completes, the arrow keys bring back lines, Alt-Enter breaks a line.\nCtrl-C clears the line, Ctrl-C twice or Ctrl-D ends.")
	r.print(b.String())
	return nil
}
