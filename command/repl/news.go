package repl

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
)

// watch shows what comes until ctx is done. A process that held the profile may end meanwhile: then this one goes on by itself.
func (r *REPL) watch(ctx context.Context) error {
	for {
		args := map[string]any{}
		r.mu.Lock()
		if r.after > 0 {
			args["after"] = r.after
		}
		r.mu.Unlock()
		_, err := r.call(ctx, "watch", args, watcher{quiet{r}})
		switch {
		case ctx.Err() != nil:
			return nil
		case qpq.CodeOf(err) != "holder-gone" && qpq.CodeOf(err) != command.CodeHolderLeft: // it was killed
			return err
		}
	}
}

// watcher is the UI of watch.
type watcher struct{ quiet }

// Result implements command.UI.
func (w watcher) Result(o command.Output) error { return w.ResultStyled(o, nil) }

// ResultStyled implements command.StyledUI.
func (w watcher) ResultStyled(o command.Output, spans []markdown.Span) error {
	var e command.EntryJSON
	if err := decode(o.Value, &e); err != nil {
		return err
	}
	w.r.came(&e, len(spans) > 0)
	return nil
}

// Show implements command.UI: what the process that holds the profile has to tell.
func (w watcher) Show(o command.Output) {
	var v struct{ Notice *client.Notice }
	if decode(o.Value, &v) == nil && v.Notice != nil {
		w.r.Notice(*v.Notice)
	}
}

// came shows an entry as it comes.
func (r *REPL) came(e *command.EntryJSON, marked bool) {
	r.mu.Lock()
	p := r.place(e.Conversation, e.Name)
	if e.Type == "notice" && (e.Code == "added" || e.Code == "title" || e.Code == "removed") {
		p.ended = e.Code == "removed"
	}
	if r.current == nil && r.cfg.Person && r.live() == 1 && !p.ended { // there is no other one to mistake it for
		r.current = p
	}
	r.after = max(r.after, e.Position)
	here, offline := p == r.current, r.offline
	if theirs := e.Type == "message" && !e.Own; theirs && !here {
		p.unread++
	}
	if here {
		p.mark = true
	}
	r.mu.Unlock()
	if here {
		r.kick()
	}
	if e.State == "queued" && !offline {
		e.State = "sent" // about to be; the prompt and a line tell if not
	}
	r.entry(e, here, marked)
	r.prompt()
}

// place returns the conversation with an id. The caller holds mu.
func (r *REPL) place(id, name string) *place {
	i := slices.IndexFunc(r.places, func(p *place) bool { return p.id == id })
	if i < 0 {
		r.places = append(r.places, &place{id: id})
		i = len(r.places) - 1
	}
	if name != "" {
		r.places[i].name = name
	}
	return r.places[i]
}

// live returns how many conversations there are to talk in. The caller holds mu.
func (r *REPL) live() (n int) {
	for _, p := range r.places {
		if !p.ended {
			n++
		}
	}
	return n
}

// conversation is what commands return of one.
type conversation struct {
	ID, Name, Standing string
	Direct             bool
	Members            []struct{ User string }
	Unread             int
}

// learn notes what a command returned of a conversation. The caller holds mu.
func (r *REPL) learn(v *conversation) *place {
	p := r.place(v.ID, v.Name)
	p.direct, p.ended, p.unread = v.Direct, v.Standing == "ended", v.Unread
	p.members = nil
	for _, m := range v.Members {
		p.members = append(p.members, m.User)
	}
	if p == r.current {
		p.unread = 0
	}
	return p
}

// away notes that there is no connection, and tells it once.
func (r *REPL) away(why string) {
	r.mu.Lock()
	before := r.offline
	r.offline = true
	if !before {
		r.queued = r.unsent
	}
	queued := r.queued
	r.mu.Unlock()
	if before {
		return
	}
	text := "offline: " + why + ". What you write is queued until the server is back"
	if queued > 0 {
		text += "; " + counted(queued, "message") + " already"
	}
	r.note(text)
	r.prompt()
}

// returned notes that there is a connection again.
func (r *REPL) returned() {
	r.mu.Lock()
	if r.offline {
		r.offline = false
		close(r.back)
		r.back = make(chan struct{})
	}
	waiting := r.queued
	r.mu.Unlock()
	if waiting == 0 {
		r.note("online again")
	}
	r.prompt()
	r.kick()
}

// kick has settle do another round.
func (r *REPL) kick() {
	select {
	case r.sync <- struct{}{}:
	default:
	}
}

// settle finds out what was sent, and marks what was shown as read, until ctx is done.
func (r *REPL) settle(ctx context.Context) {
	for {
		select {
		case <-r.sync:
		case <-ctx.Done():
			return
		}
		r.markRead(ctx)
		r.mu.Lock()
		unsent, queued, offline, unknown := r.unsent, r.queued, r.offline, r.self == ""
		r.mu.Unlock()
		if offline {
			continue
		}
		if unknown {
			r.whoami(ctx)
		}
		if unsent == 0 {
			continue
		}
		if err := r.send(ctx); err != nil {
			continue // who stays connected tells
		}
		r.mu.Lock()
		r.unsent -= unsent
		r.queued -= queued
		r.mu.Unlock()
		if queued > 0 {
			r.note("online again: " + counted(queued, "message") + " that waited went out")
		}
		r.prompt()
	}
}

// patience is how long the server may take before the prompt says that something is not sent yet.
const patience = 2 * time.Second

// send returns when all was sent that is queued.
func (r *REPL) send(ctx context.Context) error {
	slow := func(now bool) {
		r.mu.Lock()
		change := r.slow != now
		r.slow = now
		r.mu.Unlock()
		if change {
			r.prompt()
		}
	}
	late := time.AfterFunc(patience, func() { slow(true) })
	_, err := r.call(ctx, "sync", nil, quiet{r})
	late.Stop()
	slow(false)
	return err
}

func (r *REPL) markRead(ctx context.Context) {
	r.mu.Lock()
	var ids []string
	for _, p := range r.places {
		if p.mark {
			ids = append(ids, p.id)
			p.mark = false
		}
	}
	r.mu.Unlock()
	for _, id := range ids {
		_, _ = r.call(ctx, "mark-read", map[string]any{"conversation": id}, quiet{r}) // the next one does
	}
}

func (r *REPL) whoami(ctx context.Context) {
	out, err := r.call(ctx, "whoami", nil, quiet{r})
	var v struct{ User string }
	if err == nil && decode(out.Value, &v) == nil {
		r.mu.Lock()
		r.self = v.User
		r.mu.Unlock()
	}
}

// decode reads the value of an output, which may have come from another process.
func decode(value, into any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
