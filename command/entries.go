package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// EntryJSON is one line of a history, for programs.
type EntryJSON struct {
	Type         string    `json:"type"` // "message" or "notice"
	Position     int64     `json:"position"`
	Conversation string    `json:"conversation"`
	Name         string    `json:"name"` // of the conversation
	Time         time.Time `json:"time"`

	// Of messages.
	ID     string `json:"id,omitempty"`
	Short  string `json:"short,omitempty"`
	Sender string `json:"sender,omitempty"`
	Device string `json:"device,omitempty"`
	Own    bool   `json:"own,omitempty"`   // by the own account, on whatever device
	State  string `json:"state,omitempty"` // "received"; of what this device sent "queued", "accepted" or "failed"
	Kind   string `json:"kind,omitempty"`  // "text", or "unknown" for what this release cannot show

	// Of notices.
	Code string `json:"code,omitempty"`

	Text string `json:"text"`
}

// states are the names of what became of a message.
var states = map[client.MessageState]string{
	client.Received: "received", client.Queued: "queued", client.Accepted: "accepted", client.Failed: "failed",
}

// scope is where entries are shown from: one conversation, or all.
type scope struct {
	env    *Env
	only   qpq.ChannelID // zero for all
	own    qpq.UserID
	device qpq.DeviceID
	names  map[qpq.ChannelID]string
}

// scope returns that of a conversation that a person named, of all where the name is empty.
func (e *Env) scope(ctx context.Context, name string) (*scope, error) {
	s := &scope{env: e, names: map[qpq.ChannelID]string{}}
	var err error
	if s.own, s.device, err = e.Client.Self(); err != nil || name == "" {
		return s, err
	}
	v, err := e.conversation(ctx, name)
	if err != nil {
		return nil, err
	}
	s.only = v.ID
	return s, nil
}

// name returns what to call a conversation. Titles may change while entries are shown.
func (s *scope) name(entry *client.Entry) (string, error) {
	if name, ok := s.names[entry.Channel]; ok && entry.Message != nil {
		return name, nil
	}
	name := entry.Channel.String()[:8]
	switch v, err := s.env.Client.Conversation(entry.Channel); {
	case err == nil:
		name = v.Name()
	case !errors.Is(err, qpq.NotFound): // nothing may be known of it yet but what happened
		return "", err
	}
	s.names[entry.Channel] = name
	return name, nil
}

// show gives an entry to whoever called the command, if it is in scope.
func (s *scope) show(entry *client.Entry) error {
	if !s.only.IsZero() && entry.Channel != s.only {
		return nil
	}
	name, err := s.name(entry)
	if err != nil {
		return err
	}
	text := EntryText(s.own, entry)
	if s.only.IsZero() {
		text = "[" + oneLine(name) + "] " + text
	}
	return s.env.UI.Result(Output{EntryValue(name, entry), text})
}

// take shows what was not read yet, and marks it as read. It returns how many messages there were.
func (s *scope) take(ctx context.Context) (messages int, err error) {
	err = s.env.Client.Unread(ctx, s.only, func(entry client.Entry) error {
		m := entry.Message
		if m != nil && m.Own && m.Device == s.device {
			return nil // whoever sent it knows
		}
		if err := s.show(&entry); err != nil {
			return err
		}
		if m != nil {
			messages++
		}
		return nil
	})
	return messages, err
}

// wait takes what is new until there is a message.
func (s *scope) wait(ctx context.Context, patience time.Duration, said string) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		news := s.env.Client.News()
		if n, err := s.take(ctx); err != nil || n > 0 {
			return err
		}
		select {
		case <-news:
		case <-late.C:
			return qpq.E(qpq.NotFound, "nothing-came", "no message came within "+said)
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// EntryValue returns an entry for programs, with what its conversation is called.
func EntryValue(conversation string, entry *client.Entry) EntryJSON {
	j := EntryJSON{Type: "notice", Position: entry.Position, Conversation: entry.Channel.String(), Name: conversation, Time: entry.Time.UTC()}
	if m := entry.Message; m != nil {
		j.Type, j.ID, j.Short, j.Sender, j.Device, j.Own, j.State = "message", m.ID.String(), m.ID.Short(), m.Sender.String(), m.Device.String(), m.Own, states[m.State]
		j.Kind, j.Text = body(m)
		return j
	}
	j.Code, j.Text = entry.Notice.Code, entry.Notice.Text
	return j
}

// body returns the kind of a message, and its text.
func body(m *client.Message) (kind, text string) {
	if b, ok := m.Body.Body.(wire.TextBody); ok {
		return "text", b.Text
	}
	return "unknown", "something that this release cannot show"
}

// EntryText returns an entry for people, in one line but for line breaks of its text, after which lines are indented: no text can look like
// another entry. own is the account that reads it: users of its domain are shown without theirs.
func EntryText(own qpq.UserID, entry *client.Entry) string {
	at := entry.Time.Local().Format("2006-01-02 15:04")
	m := entry.Message
	if m == nil {
		return fmt.Sprintf("%s           -- %s", at, indented(entry.Notice.Text))
	}
	kind, text := body(m)
	if kind != "text" {
		text = "(" + text + ")"
	}
	mark := ""
	if m.State == client.Queued || m.State == client.Failed {
		mark = " (" + states[m.State] + ")"
	}
	return fmt.Sprintf("%s  %s %s%s: %s", at, m.ID.Short(), UserText(own, m.Sender), mark, indented(text))
}

// UserText returns how a user is shown to an account: without the domain that both have.
func UserText(own, u qpq.UserID) string {
	if u.Domain == own.Domain {
		return u.Name
	}
	return u.String()
}

func indented(text string) string {
	return strings.ReplaceAll(strings.TrimRight(qpq.Printable(text), "\n"), "\n", "\n    ")
}
