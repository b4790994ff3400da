package command

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
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
	State  string `json:"state,omitempty"` // "received"; of own ones "queued", "sent", "delivered" (to all others), "read" (by all others) or "failed"
	Kind   string `json:"kind,omitempty"`  // see kinds

	Gone      string         `json:"gone,omitempty"` // why it has no text any more: "deleted", "expired", "viewed"
	Edited    bool           `json:"edited,omitempty"`
	Mentions  []string       `json:"mentions,omitempty"`
	Target    string         `json:"target,omitempty"`  // id of the message that it answers, or changes
	Quote     *quoteJSON     `json:"quote,omitempty"`   // of a reply: what it answers
	Root      string         `json:"root,omitempty"`    // id of the message that its thread began with
	Replies   int            `json:"replies,omitempty"` // in the thread that it began
	Reactions []reactionJSON `json:"reactions,omitempty"`
	Removed   bool           `json:"removed,omitempty"` // of a reaction: it was taken off
	Expires   *time.Time     `json:"expires,omitempty"` // when it disappears

	// Of notices.
	Code string `json:"code,omitempty"`

	Text string `json:"text"`

	File *FileJSON `json:"file,omitempty"` // of files
}

// quoteJSON is a message that another one answers, for programs.
type quoteJSON struct {
	Sender string `json:"sender"`
	Text   string `json:"text"`
}

// reactionJSON is an emoji on a message, for programs.
type reactionJSON struct {
	Emoji string   `json:"emoji"`
	Count int      `json:"count"`
	Users []string `json:"users"`
}

// states are the names of what became of a message.
var states = map[client.MessageState]string{
	client.Received: "received", client.Queued: "queued", client.Accepted: "sent", client.Failed: "failed",
}

// kinds are the names of what messages are.
var kinds = map[client.Kind]string{
	client.KindText: "text", client.KindReply: "reply", client.KindFile: "file", client.KindViewOnce: "view-once", client.KindSystem: "system",
	client.KindReaction: "reaction", client.KindEdit: "edit", client.KindDelete: "delete", client.KindUnknown: "unknown",
}

// reasons are the names of why messages have no text.
var reasons = map[client.Gone]string{client.Deleted: "deleted", client.Expired: "expired", client.Viewed: "viewed"}

// state returns what became of a message, for programs and people. Of an own one the others of its conversation count, where that is known.
func state(v *client.Conversation, m *client.Message) string {
	if v == nil || !m.Own || m.State != client.Accepted && m.State != client.Received {
		return states[m.State]
	}
	var others []qpq.UserID
	for _, member := range v.Members {
		if member.User != m.Sender {
			others = append(others, member.User)
		}
	}
	switch delivered, read := m.Delivered(others); {
	case read:
		return "read"
	case delivered:
		return "delivered"
	}
	return states[m.State]
}

// scope is where entries are shown from: one conversation, or all.
type scope struct {
	env    *Env
	only   qpq.ChannelID // zero for all
	own    qpq.UserID
	device qpq.DeviceID
	format bool // texts are shown as their marks say
	known  map[qpq.ChannelID]*client.Conversation
}

// scope returns that of a conversation that a person named, of all where the name is empty.
func (e *Env) scope(ctx context.Context, name string) (*scope, error) {
	s := &scope{env: e, known: map[qpq.ChannelID]*client.Conversation{}}
	var err error
	if s.format, err = e.Client.Formatting(); err != nil {
		return nil, err
	}
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

// in returns the conversation of an entry, as much as is known of it. It may change while entries are shown.
func (s *scope) in(entry *client.Entry) (*client.Conversation, error) {
	if v, ok := s.known[entry.Channel]; ok && entry.Message != nil {
		return v, nil
	}
	v, err := s.env.Client.Conversation(entry.Channel)
	if errors.Is(err, qpq.NotFound) { // nothing may be known of it yet but what happened
		v, err = &client.Conversation{ID: entry.Channel}, nil
	}
	if err == nil {
		s.known[entry.Channel] = v
	}
	return v, err
}

// show gives an entry to whoever called the command, if it is in scope.
func (s *scope) show(entry *client.Entry) error {
	if !s.only.IsZero() && entry.Channel != s.only {
		return nil
	}
	v, err := s.in(entry)
	if err != nil {
		return err
	}
	start := ""
	if s.only.IsZero() {
		start = Place(v.Name())
	}
	text, spans := s.shown(v, entry, start)
	value := EntryValue(v, entry)
	if value.Quote, err = s.quote(entry.Message); err != nil {
		return err
	}
	return styled(s.env.UI, Output{value, text}, spans)
}

// quote returns what a reply answers, nil where that is not known or the message is no reply.
func (s *scope) quote(m *client.Message) (*quoteJSON, error) {
	if m == nil || m.Kind != client.KindReply || m.Target == nil {
		return nil, nil
	}
	target, err := s.env.Client.At(m.Target.Position)
	if err != nil || target == nil || target.Message == nil {
		return nil, err
	}
	said := text(target.Message)
	if f := target.Message.File(); f != nil {
		said = strings.TrimSpace(f.Name + " " + said)
	}
	return &quoteJSON{target.Message.Sender.String(), quotable(said)}, nil
}

// maxQuote bounds what a reply shows of the message that it answers, in bytes.
const maxQuote = 256

func quotable(text string) string {
	if len(text) <= maxQuote {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuote], "") + "…"
}

// Place returns what stands before an entry that says in which conversation it is. Whoever chose its name cannot end that, and begin an entry of another.
func Place(name string) string {
	return "[" + strings.NewReplacer("[", "(", "]", ")").Replace(qpq.OneLine(name)) + "] "
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
		if m != nil && m.Kind.Line() {
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

// EntryValue returns an entry of a conversation for programs.
func EntryValue(v *client.Conversation, entry *client.Entry) EntryJSON {
	j := EntryJSON{Type: "notice", Position: entry.Position, Conversation: entry.Channel.String(), Name: v.Name(), Time: entry.Time.UTC()}
	m := entry.Message
	if m == nil {
		j.Code, j.Text = entry.Notice.Code, entry.Notice.Text
		return j
	}
	j.Type, j.ID, j.Short, j.Sender, j.Device, j.Own, j.State = "message", m.ID.String(), m.ID.Short(), m.Sender.String(), m.Device.String(), m.Own, state(v, m)
	j.Kind, j.Text, j.Gone, j.Edited, j.Replies, j.Removed, j.Expires = kinds[m.Kind], text(m), reasons[m.Gone], m.Edited, m.Replies, m.Removed, moment(m.Expires)
	j.File = fileValue(m)
	for _, u := range m.Mentions {
		j.Mentions = append(j.Mentions, u.String())
	}
	if m.Target != nil {
		j.Target = m.Target.ID.String()
	}
	if m.Root != nil {
		j.Root = m.Root.ID.String()
	}
	for _, r := range m.Reactions {
		out := reactionJSON{Emoji: r.Emoji, Count: len(r.Users)}
		for _, u := range r.Users {
			out.Users = append(out.Users, u.String())
		}
		j.Reactions = append(j.Reactions, out)
	}
	return j
}

// text returns what a message says; of one that has no words of its own, what it is.
func text(m *client.Message) string {
	switch {
	case m.Gone == client.Deleted:
		return "deleted"
	case m.Gone == client.Viewed && m.Own:
		return "sent to be viewed once"
	case m.Gone == client.Viewed:
		return "viewed, and gone"
	case m.Gone != client.There:
		return "gone"
	case m.Kind == client.KindUnknown:
		return "something that this release cannot show"
	case m.Kind == client.KindViewOnce && m.File() == nil:
		return "to be viewed once: view does that"
	}
	return m.Text
}

// EntryText returns an entry of a conversation for people, in one line but for line breaks of its text, after which lines are indented: no text
// can look like another entry. own is the account that reads it: users of its domain are shown without theirs.
func EntryText(own qpq.UserID, v *client.Conversation, entry *client.Entry) string {
	j := EntryValue(v, entry)
	if entry.Message == nil {
		return fmt.Sprintf("%s           -- %s", clock(entry.Time), indented(j.Text))
	}
	return messageHead(own, entry, &j) + indented(j.Words())
}

// messageHead returns what stands before the words of a message.
func messageHead(own qpq.UserID, entry *client.Entry, j *EntryJSON) string {
	return fmt.Sprintf("%s  %s %s%s", clock(entry.Time), j.Short, UserText(own, entry.Message.Sender), j.Mark())
}

// Mark returns what follows the sender of a message before its words: that it is not sent, which one it answers, that it was edited, reactions with how
// many there are, how many replies, and a colon where a text follows. No text can imitate that: what people write stands behind the colon.
func (j *EntryJSON) Mark() string {
	mark := ""
	if j.State == states[client.Queued] || j.State == states[client.Failed] {
		mark = " (" + j.State + ")"
	}
	if j.change() {
		return mark + " "
	}
	if j.Kind == kinds[client.KindReply] {
		mark += " to " + j.target()
	}
	if j.Edited {
		mark += " (edited)"
	}
	for _, r := range j.Reactions {
		mark += fmt.Sprintf(" [%s %d]", qpq.OneLine(r.Emoji), r.Count)
	}
	if j.Replies > 0 {
		mark += fmt.Sprintf(" [%s]", Replies(j.Replies))
	}
	if before, _ := j.parts(); before != "" {
		return mark + " "
	}
	return mark + ": "
}

// Words returns the text of a message as people read it. Of one that has none, or changes another one, it says what that is.
func (j *EntryJSON) Words() string {
	before, written := j.parts()
	return before + written
}

// parts returns Words in two: what is said before the text, and the text that somebody wrote.
func (j *EntryJSON) parts() (before, written string) {
	switch {
	case j.change():
		return j.deed()
	case j.Gone != "" || j.Kind == kinds[client.KindUnknown]:
		before = "(" + j.Text + ")"
	case j.File != nil:
		before, written = "("+j.File.text()+")", j.Text
		if written != "" {
			before += ": "
		}
	case j.Kind == kinds[client.KindViewOnce]:
		before = "(" + j.Text + ")"
	default:
		written = j.Text
	}
	return before, written
}

// change reports whether a message changes another one.
func (j *EntryJSON) change() bool {
	return j.Kind == kinds[client.KindReaction] || j.Kind == kinds[client.KindEdit] || j.Kind == kinds[client.KindDelete]
}

// deed returns what a message does to another one, and the text that it gives that.
func (j *EntryJSON) deed() (what, written string) {
	switch {
	case j.Gone != "":
		return "did something with a message that is gone", ""
	case j.Kind == kinds[client.KindReaction] && j.Removed:
		return fmt.Sprintf("takes %s off %s", qpq.OneLine(j.Text), j.target()), ""
	case j.Kind == kinds[client.KindReaction]:
		return fmt.Sprintf("puts %s on %s", qpq.OneLine(j.Text), j.target()), ""
	case j.Kind == kinds[client.KindEdit]:
		return fmt.Sprintf("edits %s: ", j.target()), j.Text
	}
	return "deletes " + j.target(), ""
}

// target names the message that this one is about.
func (j *EntryJSON) target() string {
	var id client.MessageID
	if b, err := hex.DecodeString(j.Target); err != nil || copy(id[:], b) != len(id) {
		return "something that is not here"
	}
	return id.Short()
}

// UserText returns how a user is shown to an account: without the domain that both have.
func UserText(own, u qpq.UserID) string {
	if u.Domain == own.Domain {
		return u.Name
	}
	return u.String()
}

// ShortUser is UserText of users that are text, as programs have them. Where self is empty, user is returned as it is.
func ShortUser(self, user string) string {
	_, domain, ok := strings.Cut(self, "@")
	if !ok {
		return user
	}
	return strings.TrimSuffix(user, "@"+domain)
}
