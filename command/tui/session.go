package tui

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/signin"
)

// call runs a command of the registry by its name.
func (a *account) call(ctx context.Context, name string, args map[string]any, ui command.UI) (command.Output, error) {
	c, err := command.Find(name)
	if err != nil {
		return command.Output{}, err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return command.Output{}, err
	}
	return a.session.Call(ctx, c, raw, ui)
}

// enter shows a profile, and begins a session with it where there is none.
func (m *Model) enter(profile string) tea.Cmd {
	if m.at != nil {
		m.at.draft()
	}
	if a := m.accounts[profile]; a != nil {
		m.at = a
		return nil
	}
	a := newAccount(profile)
	a.before = m.at
	m.accounts[profile], m.at = a, a
	return m.command(func(context.Context) tea.Msg {
		s, err := m.cfg.Open(profile, func(n client.Notice) { m.send(noticeMsg{of{a}, n}) })
		if err == nil && m.ctx.Err() != nil {
			err = s.Close()
		}
		return openedMsg{of{a}, s, err}
	})
}

// opened goes on when a session began: somebody signs in, where nobody is.
func (m *Model) opened(a *account, msg openedMsg) tea.Cmd {
	if msg.err != nil {
		return m.gaveUp(a, msg.err)
	}
	a.session = msg.session
	return m.command(func(ctx context.Context) tea.Msg {
		quiet := &collector{}
		out, err := a.call(ctx, "list", map[string]any{"offline": true}, quiet)
		if qpq.CodeOf(err) == "not-signed-in" {
			c := signin.Config{Call: a.call, UI: m.asks(a, nil), Failed: func(err error) { m.send(failedMsg{err}) }, DeviceName: m.cfg.DeviceName}
			out, err = c.Run(ctx)
			return signedMsg{of{a}, out, err}
		}
		var list []conversation
		if err == nil {
			err = decode(out.Value, &list)
		}
		if err != nil {
			return signedMsg{of{a}, command.Output{}, err}
		}
		m.send(listedMsg{of{a}, list, nil})
		return signedMsg{of{a}, command.Output{}, nil}
	})
}

// gaveUp leaves a profile that cannot be used, for the one where somebody was before: the screen, where it is the only one.
func (m *Model) gaveUp(a *account, err error) tea.Cmd {
	delete(m.accounts, a.profile)
	if code := qpq.CodeOf(err); code == "cancelled" || code == "no-answer" {
		err = nil
	}
	back := a.before
	if back == nil || m.accounts[back.profile] != back {
		for _, other := range m.accounts {
			back = other
		}
	}
	if back != nil && m.accounts[back.profile] == back {
		m.at = back
		m.report(err)
		if a.session != nil {
			return m.command(func(context.Context) tea.Msg { return failedMsg{a.session.Close()} })
		}
		return nil
	}
	m.fatal = err
	if a.session != nil {
		m.accounts[a.profile] = a // it is closed with the others
	}
	return tea.Quit
}

// signed goes on when somebody is signed in: what comes is shown from now on.
func (m *Model) signed(a *account, msg signedMsg) tea.Cmd {
	if msg.err != nil {
		return m.gaveUp(a, msg.err)
	}
	a.ready = true
	if msg.out.Text != "" {
		m.told(a, "Welcome", msg.out.Text)
	}
	a.relist = !a.listed
	return tea.Batch(m.formatting(a), m.command(func(ctx context.Context) tea.Msg { return m.watch(ctx, a) }), m.whoami(a))
}

// whoami finds out who somebody is, where that is not known yet.
func (m *Model) whoami(a *account) tea.Cmd {
	if a.self != "" || !a.ready {
		return nil
	}
	return m.command(func(ctx context.Context) tea.Msg {
		out, err := a.call(ctx, "whoami", nil, &collector{})
		var v struct{ User string }
		if err != nil || decode(out.Value, &v) != nil {
			return nil // what one wrote tells as well, or the next connection
		}
		return selfMsg{of{a}, v.User}
	})
}

// formatting finds out how texts are to be shown.
func (m *Model) formatting(a *account) tea.Cmd {
	return m.command(func(ctx context.Context) tea.Msg {
		var v struct{ Format string }
		out, err := a.call(ctx, "format", nil, &collector{})
		if err == nil {
			err = decode(out.Value, &v)
		}
		if err != nil {
			return failedMsg{err}
		}
		return formatMsg{of{a}, v.Format == "on"}
	})
}

// watch tells of what comes until ctx is done. A process that held the profile may end meanwhile: then this one goes on by itself.
func (m *Model) watch(ctx context.Context, a *account) tea.Msg {
	w := &watcher{m: m, a: a}
	for {
		args := map[string]any{"changes": true}
		if w.after > 0 {
			args["after"] = w.after
		}
		_, err := a.call(ctx, "watch", args, w)
		var moved *command.Moved
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &moved), qpq.CodeOf(err) == "holder-gone", qpq.CodeOf(err) == command.CodeHolderLeft:
		default:
			return endedMsg{of{a}, err}
		}
	}
}

// watcher is the UI of watch.
type watcher struct {
	collector
	m     *Model
	a     *account
	after int64
}

// Result implements command.UI.
func (w *watcher) Result(o command.Output) error {
	var e command.EntryJSON
	if err := decode(o.Value, &e); err != nil {
		return err
	}
	if e.Type == "changed" {
		w.m.send(changedMsg{of{w.a}})
		return nil
	}
	w.after = max(w.after, e.Position)
	w.m.send(cameMsg{of{w.a}, e})
	return nil
}

// Show implements command.UI: what the process that holds the profile has to tell.
func (w *watcher) Show(o command.Output) {
	var v struct{ Notice *client.Notice }
	if decode(o.Value, &v) == nil && v.Notice != nil {
		w.m.send(noticeMsg{of{w.a}, *v.Notice})
	}
}

// collector is the UI of commands that the person did not call: it keeps what they return.
type collector struct{ parts []command.Output }

// Show implements command.UI.
func (*collector) Show(command.Output) {}

// Result implements command.UI.
func (c *collector) Result(o command.Output) error {
	c.parts = append(c.parts, o)
	return nil
}

// Ask implements command.UI.
func (*collector) Ask(context.Context, command.Question) ([]byte, error) {
	return nil, qpq.E(qpq.Invalid, "no-answer", "nobody was asked")
}

// tend begins what an account asks for. shown says that it is the one on the screen.
func (m *Model) tend(a *account, shown bool) tea.Cmd {
	if !a.ready && !a.listed {
		return nil
	}
	var cmds []tea.Cmd
	if a.relist && !a.listing {
		a.relist, a.listing = false, true
		at := a.messages.conversation
		cmds = append(cmds, m.command(func(ctx context.Context) tea.Msg {
			var list []conversation
			out, err := a.call(ctx, "list", map[string]any{"offline": true}, &collector{})
			if err == nil {
				err = decode(out.Value, &list)
			}
			a.whoTypes(ctx, at, list)
			return listedMsg{of{a}, list, err}
		}))
	}
	if shown {
		cmds = append(cmds, m.read(a), m.markRead(a))
	}
	return tea.Batch(append(cmds, m.keep(a))...)
}

// read reads the entries that the screen needs.
func (m *Model) read(a *account) tea.Cmd {
	_, top, bottom := a.messages.onScreen(m.bodyHeight(), m.rows(a))
	q, wanted := a.messages.want(top, bottom)
	if !wanted {
		return nil
	}
	return m.query(a, q)
}

// query reads entries.
func (m *Model) query(a *account, q query) tea.Cmd {
	return m.command(func(ctx context.Context) tea.Msg {
		c := &collector{}
		_, err := a.call(ctx, q.command(), q.args(), c)
		list := make([]command.EntryJSON, 0, len(c.parts))
		for _, o := range c.parts {
			var e command.EntryJSON
			if err == nil {
				err = decode(o.Value, &e)
			}
			list = append(list, e)
		}
		return entriesMsg{of{a}, q, list, err}
	})
}

// markRead notes that what is on the screen was read, if somebody looks at the end of a conversation that has something new.
func (m *Model) markRead(a *account) tea.Cmd {
	v, s := a.current(), &a.messages
	if v == nil || m.away || m.above != nil || v.Unread == 0 || !s.loaded || !s.last || !s.follow || a.reading[v.ID] >= s.newest() {
		return nil
	}
	id := v.ID
	a.reading[id] = s.newest()
	return m.command(func(ctx context.Context) tea.Msg {
		if _, err := a.call(ctx, "mark-read", map[string]any{"conversation": id}, &collector{}); err != nil {
			return failedMsg{err}
		}
		return changedMsg{of{a}}
	})
}

// draftDelay is how long somebody has to pause until what they have written is kept; draftAgain, how long until it is tried again where that failed.
const (
	draftDelay = time.Second
	draftAgain = time.Minute
)

// keep has drafts that have changed kept in a moment.
func (m *Model) keep(a *account) tea.Cmd {
	if a.keeping || !a.ready {
		return nil
	}
	if len(a.unstored()) == 0 {
		return nil
	}
	a.keeping = true
	delay := draftDelay
	if len(a.storing) > 0 {
		delay = draftAgain
	}
	return tea.Tick(delay, func(time.Time) tea.Msg { return keepMsg{of{a}} })
}

// unstored returns the drafts of which it is not known that they are stored as they are.
func (a *account) unstored() map[string]string {
	a.draft()
	found := map[string]string{}
	for id, text := range a.drafts {
		if (text != a.kept[id] || a.storing[id]) && !strings.Contains(id, "/") {
			found[id] = text
		}
	}
	return found
}

// storeDrafts stores what keep waited for.
func (m *Model) storeDrafts(a *account) tea.Cmd {
	drafts := a.unstored()
	for id, text := range drafts {
		a.kept[id], a.storing[id] = text, true
	}
	return m.command(func(ctx context.Context) tea.Msg {
		failed, err := a.store(context.WithoutCancel(ctx), drafts)
		return keptMsg{of{a}, failed, err}
	})
}

// store stores drafts, and returns the conversations of those that could not be.
func (a *account) store(ctx context.Context, drafts map[string]string) (failed map[string]bool, err error) {
	failed = map[string]bool{}
	for id, text := range drafts {
		args := map[string]any{"conversation": id, "text": text}
		if text == "" {
			args = map[string]any{"conversation": id, "clear": true}
		}
		if _, why := a.call(ctx, "draft", args, &collector{}); why != nil {
			failed[id], err = true, errors.Join(err, why)
		}
	}
	return failed, err
}

// keepAll stores all drafts that are not stored yet, or may not be. No command is under way any more.
func (a *account) keepAll(ctx context.Context) error {
	if !a.ready {
		return nil
	}
	_, err := a.store(ctx, a.unstored())
	return err
}
