package tui

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/slash"
)

// sentMsg says what became of what was written: it is durable here, or not.
type sentMsg struct {
	of
	conversation, text string
	err                error
}

// ranMsg is the result of a command that the person called.
type ranMsg struct {
	of
	job   *job
	name  string
	parts []command.Output
	out   command.Output
	err   error
}

// enterText sends what is written, or carries it out.
func (m *Model) enterText() tea.Cmd {
	a, c := m.at, &m.at.composer
	text := c.String()
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return nil
	}
	if !utf8.ValidString(text) {
		m.report(qpq.E(qpq.Invalid, "usage", "that is not text in UTF-8: nothing was sent"))
		return nil
	}
	isCommand := c.about == nil && strings.HasPrefix(trimmed, "/") && !strings.HasPrefix(text, "//")
	if !isCommand && a.messages.conversation == "" {
		m.report(qpq.E(qpq.Invalid, "no-conversation", "nobody is here to hear that: /dm NAME begins a conversation"))
		return nil
	}
	c.history.Add(text)
	c.completed = nil
	delete(a.telling, a.messages.conversation) // what comes ends that somebody is seen to write
	about := c.about
	if about != nil {
		a.leaveAbout()
	} else {
		c.Set("")
	}
	switch {
	case isCommand:
		return m.slash(trimmed[1:])
	case about != nil:
		return m.run(a, about.command, aboutArgs(about.command, &about.entry, text), text)
	case a.messages.root != nil:
		return m.run(a, "reply", aboutArgs("reply", a.messages.root, text), text)
	case strings.HasPrefix(text, "//"): // a text that begins with a slash
		text = text[1:]
	}
	m.last()
	return m.say1(a, text)
}

// say1 sends a text to the conversation on the screen.
func (m *Model) say1(a *account, text string) tea.Cmd {
	id := a.messages.conversation
	return m.command(func(ctx context.Context) tea.Msg {
		_, err := a.call(context.WithoutCancel(ctx), "send", map[string]any{"conversation": id, "text": text, "no-wait": true}, &collector{})
		return sentMsg{of{a}, id, text, err}
	})
}

// sent takes back what could not be sent: it stands where it was written, unless there is something else by now.
func (m *Model) sent(a *account, msg sentMsg) {
	if msg.err == nil {
		a.messages.stale = true
		return
	}
	m.report(msg.err)
	a.giveBack(msg.conversation, msg.text)
}

// giveBack puts a text back where it was written.
func (a *account) giveBack(conversation, text string) {
	switch {
	case text == "":
	case conversation != a.messages.conversation:
		if a.drafts[conversation] == "" {
			a.drafts[conversation] = text
		}
	case len(a.composer.Text) == 0:
		a.composer.Set(text)
	}
}

// aboutArgs returns the arguments of a command about a message: the conversation, the message and a text, where it takes them.
func aboutArgs(name string, e *command.EntryJSON, text string) map[string]any {
	c, err := command.Find(name)
	if err != nil {
		return nil
	}
	args, values := map[string]any{}, []string{e.ID, text}
	for _, p := range c.Params {
		switch {
		case p.Flag:
		case p.Of == command.OfConversations:
			args[p.Name] = e.Conversation
		case len(values) > 0:
			if values[0] != "" {
				args[p.Name] = values[0]
			}
			values = values[1:]
		}
	}
	return args
}

// act does something with the message that is selected, or with the newest where none is.
func (m *Model) act(action Action) tea.Cmd {
	a := m.at
	e := a.messages.at(a.messages.selected)
	if e == nil {
		m.say("select a message first: " + m.keys.first("up") + " and " + m.keys.first("down"))
		return nil
	}
	if e.Type != "message" {
		m.say("that is a notice: it takes no answer")
		return nil
	}
	if action == "fetch" {
		return m.fetch(a, e)
	}
	name := map[Action]string{"reply": "reply", "react": "react", "edit": "edit", "delete-message": "delete", "thread": "thread"}[action]
	if (name == "edit" || name == "delete") && !e.Own {
		m.report(qpq.E(qpq.Denied, "not-yours", fmt.Sprintf("this message is of %s: only your own can be changed", short(a.self, e.Sender))))
		return nil
	}
	switch name {
	case "reply", "edit":
		a.beginAbout(name, e)
		m.focus, a.messages.selected = onComposer, 0
	case "react":
		m.above = m.emojiChooser(*e)
	case "delete":
		m.above = m.deletion(*e)
	case "thread":
		return m.openThread(*e)
	}
	return nil
}

// fetch downloads the file of a message, or shows what can be viewed once.
func (m *Model) fetch(a *account, e *command.EntryJSON) tea.Cmd {
	switch {
	case e.File == nil && e.Kind != "view-once":
		m.say("there is no file in that message")
		return nil
	case e.Kind == "view-once" || e.File.Once:
		return m.run(a, "view", aboutArgs("view", e, ""), "")
	}
	return m.run(a, "download", aboutArgs("download", e, ""), "")
}

// beginAbout has what is written next answer or change a message. What was written before comes back afterwards.
func (a *account) beginAbout(name string, e *command.EntryJSON) {
	a.leaveAbout()
	a.draft()
	a.composer.about = &about{name, *e, a.composer.String()}
	a.composer.completed = nil
	a.composer.Set("")
	if name == "edit" {
		a.composer.Set(e.Text)
	}
}

// leaveAbout ends that.
func (a *account) leaveAbout() {
	if about := a.composer.about; about != nil {
		a.composer.about = nil
		a.composer.Set(about.draft)
	}
}

// slash carries out a command that was written.
func (m *Model) slash(line string) tea.Cmd {
	a := m.at
	s, rest, err := slashes.Parse(line)
	if err != nil {
		return m.refuse("/"+line, err)
	}
	switch s.Name {
	case "switch":
		return m.switchTo("/"+line, rest)
	case "profile":
		if rest == "" {
			m.above = m.profileChooser()
			return nil
		}
		return m.enter(rest)
	case "help":
		if rest == "" {
			m.show("Commands", m.commandsText())
			return nil
		}
		text, err := slashes.Manual(rest)
		if err != nil {
			return m.refuse("/"+line, err)
		}
		m.show("Help", text)
		return nil
	case "quit":
		return tea.Quit
	}
	args, err := s.Arguments(rest, a.messages.conversation)
	if err != nil {
		return m.refuse("/"+line, err)
	}
	return m.run(a, s.Command.Name, args, "/"+line)
}

// refuse tells why a line was not carried out; it stands where it was written.
func (m *Model) refuse(line string, err error) tea.Cmd {
	m.report(err)
	m.at.giveBack(m.at.messages.conversation, line)
	return nil
}

// switchTo shows the conversation that a person means.
func (m *Model) switchTo(line, name string) tea.Cmd {
	name, _ = slash.Next(name)
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold, strings.HasPrefix} {
		for _, v := range m.at.list {
			if name != "" && (same(v.Name, name) || same(short(m.at.self, v.Name), name) || same(v.ID, name)) {
				return m.goTo(v.ID)
			}
		}
	}
	return m.refuse(line, qpq.E(qpq.NotFound, "no-conversation", fmt.Sprintf("there is no conversation %q: %s lists them", oneLine(name), m.keys.first("go"))))
}

// run carries out a command of the registry for the person. line is what was written for it, which comes back where that fails.
func (m *Model) run(a *account, name string, args map[string]any, line string) tea.Cmd {
	c, err := command.Find(name)
	if err != nil {
		return m.refuse(line, err)
	}
	if !a.ready {
		return m.refuse(line, qpq.E(qpq.Unavailable, "not-ready", "nobody is signed in yet"))
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return m.refuse(line, err)
	}
	j := &job{name: name, line: line, conversation: a.messages.conversation}
	a.jobs = append(a.jobs, j)
	var ctx context.Context
	ctx, j.cancel = context.WithCancel(m.ctx)
	return m.command(func(context.Context) tea.Msg {
		defer j.cancel()
		ui := m.asks(a, func(o command.Output) { m.send(jobMsg{of{a}, j, o}) })
		ui.endless = c.Endless
		out, err := a.session.Call(ctx, c, raw, ui)
		return ranMsg{of{a}, j, name, ui.parts, out, err}
	})
}

// ran shows the result of a command.
func (m *Model) ran(a *account, msg ranMsg) tea.Cmd {
	a.forgetJob(msg.job)
	a.relist, a.messages.stale = true, true
	if msg.err != nil {
		switch code := qpq.CodeOf(msg.err); {
		case slices.Contains(kept, code): // it is done by itself: who got the line back might have it done twice
			m.say(msg.err.Error())
			return nil
		case code == "cancelled":
			m.say("given up")
		default:
			m.report(msg.err)
		}
		a.giveBack(msg.job.conversation, msg.job.line)
		return nil
	}
	if m.at != a {
		return nil
	}
	var lines []string
	for _, o := range append(msg.parts, msg.out) {
		if o.Text != "" {
			lines = append(lines, o.Text)
		}
	}
	if strings.HasPrefix(msg.job.line, "/") || !slices.Contains(seen, msg.name) {
		m.told(a, "/"+msg.name, strings.Join(lines, "\n"))
	}
	return m.followed(a, msg.name, msg.out)
}

// kept are codes of errors that say that something waits on this device.
var kept = []string{"queued", "transfer-waits"}

// seen are commands whose outcome is seen among the messages.
var seen = []string{"reply", "edit", "react", "delete"}

// told shows what a command came to: in the line at the bottom, or above the conversation where it is more than fits there.
func (m *Model) told(a *account, name, text string) {
	switch {
	case text == "" || m.at != a:
	case strings.Contains(text, "\n") || displaywidth.String(text) > m.width-displaywidth.String(m.standing())-1:
		m.show(name, text)
	default:
		m.say(text)
	}
}

// followed goes where a command led.
func (m *Model) followed(a *account, name string, out command.Output) tea.Cmd {
	var v conversation
	switch {
	case name == "delete-account":
		return tea.Quit
	case name == "format":
		return m.formatting(a)
	case (name == "dm" || name == "group create") && decode(out.Value, &v) == nil && v.ID != "":
		if a.current() == nil || v.ID != a.messages.conversation {
			a.list = append([]conversation{v}, without(a.list, v.ID)...)
			a.open(v.ID)
		}
		m.focus = onComposer
	}
	return nil
}

func without(list []conversation, id string) (rest []conversation) {
	for _, v := range list {
		if v.ID != id {
			rest = append(rest, v)
		}
	}
	return rest
}
