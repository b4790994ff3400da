package repl

import (
	"context"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

var (
	askHave = command.Question{Name: "new-or-login", Prompt: "Do you have an account already? [y/N] "}
	askUser = command.Question{Name: "user", Prompt: "Name: "}
)

// signIn has a person register or log in, if nobody has.
func (r *REPL) signIn(ctx context.Context) error {
	err := r.signedIn(ctx)
	if qpq.CodeOf(err) != "not-signed-in" || !r.cfg.Person {
		return err
	}
	r.note("Nobody is signed in here yet.")
	for {
		err := r.enter(ctx)
		if err == nil || ctx.Err() != nil || qpq.CodeOf(err) == "cancelled" || qpq.CodeOf(err) == "no-answer" {
			return err
		}
		r.report(err)
	}
}

// signedIn fails with code "not-signed-in" where nobody is. It asks no server.
func (r *REPL) signedIn(ctx context.Context) error {
	_, err := r.call(ctx, "list", map[string]any{"offline": true}, quiet{r})
	return err
}

func (r *REPL) enter(ctx context.Context) error {
	ui := visible{r}
	have, err := ui.Ask(ctx, askHave)
	if err != nil {
		return err
	}
	name := "register"
	switch strings.ToLower(strings.TrimSpace(string(have))) {
	case "y", "yes", "login":
		name = "login"
	case "", "n", "no", "register":
	default:
		return qpq.E(qpq.Invalid, "usage", "answer y or n")
	}
	user, err := ui.Ask(ctx, askUser)
	if err != nil {
		return err
	}
	out, err := r.call(ctx, name, map[string]any{"user": strings.TrimSpace(string(user)), "device-name": r.cfg.DeviceName}, ui)
	if err != nil {
		return err
	}
	r.output(out)
	return nil
}

// begin finds out who one is and what there is, and greets.
func (r *REPL) begin(ctx context.Context) error {
	out, err := r.call(ctx, "list", map[string]any{"offline": true}, quiet{r})
	if err != nil {
		return err
	}
	var list []conversation
	if err := decode(out.Value, &list); err != nil {
		return err
	}
	r.mu.Lock()
	for _, v := range list {
		r.learn(&v)
	}
	alone, offline := r.live() == 1, r.offline
	r.mu.Unlock()
	if !offline {
		soon, cancel := context.WithTimeout(ctx, patience) // where the server takes its time, it is found out later
		r.whoami(soon)
		cancel()
	}
	defer r.kick()
	if r.cfg.Person {
		r.greet(len(list))
	}
	r.prompt()
	if !r.cfg.Person || !alone {
		return nil
	}
	for _, v := range list {
		if v.Standing != "ended" {
			return r.goTo(ctx, v.ID)
		}
	}
	return nil
}

func (r *REPL) greet(conversations int) {
	r.mu.Lock()
	self := r.self
	r.mu.Unlock()
	text := "/help shows what you can do, /quit ends"
	if conversations == 0 {
		text = "/dm NAME begins a conversation, " + text
	}
	if self != "" {
		text = "You are " + self + ". " + text
	}
	r.note(text)
}
