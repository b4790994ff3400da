package repl

import (
	"context"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command/signin"
)

// signIn has a person register or log in, if nobody has.
func (r *REPL) signIn(ctx context.Context) error {
	c := signin.Config{Call: r.call, UI: visible{r}, Failed: r.report, DeviceName: r.cfg.DeviceName}
	err := c.Needed(ctx)
	if qpq.CodeOf(err) != "not-signed-in" || !r.cfg.Person {
		return err
	}
	r.note("Nobody is signed in here yet.")
	out, err := c.Run(ctx)
	if err == nil {
		r.output(out)
	}
	return err
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
