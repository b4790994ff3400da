package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// actions are the commands about one message: what answers it, changes it, or tells of it.
var actions = []*Command{
	define(Command{
		Name: "reply", Summary: "answer a message",
		Long:    "Sends a text that answers a message, as send does. What answers a message, and what answers that, is a thread.",
		Example: []string{"reply team ab3de7gh yes, at noon"},
	}, replyTo),
	define(Command{
		Name: "react", Summary: "put an emoji on a message, or take it off",
		Long:    "Each member may put several emoji on a message. With --remove, yours is taken off.",
		Example: []string{"react team ab3de7gh 👍", "react team ab3de7gh 👍 --remove"},
	}, react),
	define(Command{
		Name: "edit", Summary: "change what one of your messages says",
		Long:    "The message shows the new text, marked as edited. Devices that had it before keep what it said (message). Nobody can edit a message of another.",
		Example: []string{"edit team ab3de7gh at one, not at noon"},
	}, edit),
	define(Command{
		Name: "delete", Summary: "delete one of your messages on all devices",
		Long: "Its text, its edits and the reactions to it are removed from this device at once, and from those of others when they are connected; that there was a message stays. " +
			"Nobody can make sure that others have not kept a copy.",
		Example: []string{"delete team ab3de7gh"},
	}, deleteMessage),
	define(Command{
		Name: "message", Summary: "show all that is known of a message",
		Long:    "Shows what it said before it was edited, who put which emoji on it, and, of your own ones, who had and read it and when, as far as they send receipts.",
		Example: []string{"message team ab3de7gh"},
	}, showMessage),
	define(Command{
		Name: "threads", Summary: "list the threads of a conversation, those with the newest replies first", Example: []string{"threads team"},
	}, listThreads),
	define(Command{
		Name: "thread", Summary: "show a message, what answers it, and what answers that",
		Long:    "Shows the thread that a message is in, oldest first, and marks it as read; the rest of the conversation stays as it is.",
		Example: []string{"thread team ab3de7gh"},
	}, showThread),
	define(Command{
		Name: "receipts", Summary: "choose whether others learn what you had and read",
		Long: "Without on or off, shows what is so. Receipts are sent in conversations of up to 32 people unless you choose otherwise, and so is that you are typing. " +
			"Yours do not tell you less if you send none. The choice is of this device and one conversation.",
		Example: []string{"receipts team off", "receipts team"},
	}, receipts),
	define(Command{
		Name: "typing", Summary: "tell others that you are typing, or show who is",
		Long:    "With on, those who are connected just now are told for ten seconds; off takes it back. Without either, shows who is typing. Nobody stores it.",
		Example: []string{"typing team on", "typing team"},
	}, typing),
}

// message returns a conversation, and the message in it that a person means.
func (e *Env) message(ctx context.Context, conversation, name string) (*client.Conversation, *client.Entry, error) {
	v, err := e.conversation(ctx, conversation)
	if err != nil {
		return nil, nil, err
	}
	m, err := e.Client.Message(v.ID, name)
	if qpq.CodeOf(err) == "message-unknown" { // it may be on its way
		if err := e.Client.Sync(ctx); err != nil {
			return nil, nil, err
		}
		m, err = e.Client.Message(v.ID, name)
	}
	return v, m, err
}

type messageArgs struct {
	conversationArgs
	Message string `arg:"message" of:"messages" help:"its id, as history shows it"`
}

type textArgs struct {
	messageArgs
	Text   string `arg:"text?" takes:"input" help:"what to say"`
	NoWait bool   `flag:"no-wait" help:"only queue it: it goes out when something connects"`
}

func replyTo(ctx context.Context, e *Env, a textArgs) (Output, error) {
	return e.act(ctx, a.messageArgs, a.NoWait, func(id qpq.ChannelID, m client.Ref) (client.MessageID, error) {
		return e.Client.Reply(ctx, id, m, a.Text)
	})
}

func edit(ctx context.Context, e *Env, a textArgs) (Output, error) {
	return e.act(ctx, a.messageArgs, a.NoWait, func(id qpq.ChannelID, m client.Ref) (client.MessageID, error) {
		return e.Client.EditMessage(ctx, id, m, a.Text)
	})
}

func deleteMessage(ctx context.Context, e *Env, a messageArgs) (Output, error) {
	if _, m, err := e.message(ctx, a.Conversation, a.Message); err == nil && m.Message.Own && m.Message.File() != nil {
		_ = e.Client.Sync(ctx) // where there is a connection the server forgets the file at once; where there is none the message waits
	}
	return e.act(ctx, a, false, func(id qpq.ChannelID, m client.Ref) (client.MessageID, error) {
		return e.Client.DeleteMessage(ctx, id, m)
	})
}

type reactArgs struct {
	messageArgs
	Emoji  string `arg:"emoji" help:"one emoji, or a short word"`
	Remove bool   `flag:"remove" help:"take it off"`
}

func react(ctx context.Context, e *Env, a reactArgs) (Output, error) {
	if err := e.reacted(ctx, a); err != nil {
		return Output{}, err
	}
	return e.act(ctx, a.messageArgs, false, func(id qpq.ChannelID, m client.Ref) (client.MessageID, error) {
		return e.Client.React(ctx, id, m, a.Emoji, a.Remove)
	})
}

// reacted fails where an emoji is to be taken off that is not there.
func (e *Env) reacted(ctx context.Context, a reactArgs) error {
	if !a.Remove {
		return nil
	}
	_, m, err := e.message(ctx, a.Conversation, a.Message)
	if err != nil {
		return err
	}
	own, _, err := e.Client.Self()
	if err != nil {
		return err
	}
	if m.Message.Gone == client.There && !slices.ContainsFunc(m.Message.Reactions, func(r client.Reaction) bool { return r.Emoji == a.Emoji && slices.Contains(r.Users, own) }) {
		return qpq.E(qpq.NotFound, "no-reaction", fmt.Sprintf("there is no %s of yours on the message %s: message shows what is there", qpq.OneLine(a.Emoji), m.Message.ID.Short()))
	}
	return nil
}

// act queues what f does to a message, and sends it as say does.
func (e *Env) act(ctx context.Context, a messageArgs, queue bool, f func(qpq.ChannelID, client.Ref) (client.MessageID, error)) (Output, error) {
	v, m, err := e.message(ctx, a.Conversation, a.Message)
	if err != nil {
		return Output{}, err
	}
	sent, err := e.queued(ctx, v, queue, func() (client.MessageID, error) { return f(v.ID, m.Ref()) })
	return Output{sent, sent.text()}, err
}

// messageJSON is all that is known of a message, for programs.
type messageJSON struct {
	EntryJSON
	Said     []saidJSON    `json:"said"` // the oldest first
	Receipts []receiptJSON `json:"receipts"`
}

type saidJSON struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

type receiptJSON struct {
	User      string     `json:"user"`
	Delivered *time.Time `json:"delivered,omitempty"`
	Read      *time.Time `json:"read,omitempty"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

func showMessage(ctx context.Context, e *Env, a messageArgs) (Output, error) {
	if err := e.refresh(ctx); err != nil {
		return Output{}, err
	}
	v, m, err := e.message(ctx, a.Conversation, a.Message)
	if err != nil {
		return Output{}, err
	}
	own, _, err := e.Client.Self()
	if err != nil {
		return Output{}, err
	}
	said, err := e.Client.Edits(m.Ref())
	if err != nil {
		return Output{}, err
	}
	j := messageJSON{EntryJSON: EntryValue(v, m), Said: []saidJSON{}, Receipts: []receiptJSON{}}
	lines := []string{EntryText(own, v, m)}
	for i, s := range said {
		if s.Message.Gone == client.There {
			j.Said = append(j.Said, saidJSON{s.Time.UTC(), s.Message.Text})
		}
		if i < len(said)-1 && s.Message.Gone == client.There {
			lines = append(lines, fmt.Sprintf("  until %s it said: %s", clock(said[i+1].Time), indented(s.Message.Text)))
		}
	}
	for _, r := range m.Message.Reactions {
		var names []string
		for _, u := range r.Users {
			names = append(names, UserText(own, u))
		}
		lines = append(lines, fmt.Sprintf("  %s by %s", qpq.OneLine(r.Emoji), strings.Join(names, ", ")))
	}
	for _, r := range m.Message.Receipts {
		j.Receipts = append(j.Receipts, receiptJSON{r.User.String(), moment(r.Delivered), moment(r.Read)})
		text := "has it since " + clock(r.Delivered)
		if !r.Read.IsZero() {
			text = "read it at " + clock(r.Read)
		}
		lines = append(lines, fmt.Sprintf("  %s %s", UserText(own, r.User), text))
	}
	return Output{j, strings.Join(lines, "\n")}, nil
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// threadJSON is a thread, for programs.
type threadJSON struct {
	Root    EntryJSON `json:"root"`
	Replies int       `json:"replies"`
	Unread  int       `json:"unread"`
	Last    time.Time `json:"last"`
}

type threadsArgs struct {
	conversationArgs
	Offline bool `flag:"offline" help:"what this device has, without asking the server"`
}

type threadArgs struct {
	messageArgs
	Offline bool `flag:"offline" help:"what this device has, without asking the server"`
}

// maxThreads is how many threads are listed.
const maxThreads = 200

func listThreads(ctx context.Context, e *Env, a threadsArgs) (Output, error) {
	if !a.Offline {
		if err := e.refresh(ctx); err != nil {
			return Output{}, err
		}
	}
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	own, _, err := e.Client.Self()
	if err != nil {
		return Output{}, err
	}
	threads, err := e.Client.Threads(v.ID, maxThreads)
	if err != nil {
		return Output{}, err
	}
	list, lines := []threadJSON{}, []string{}
	for _, t := range threads {
		list = append(list, threadJSON{EntryValue(v, &t.Root), t.Replies, t.Unread, t.Last.UTC()})
		lines = append(lines, fmt.Sprintf("%s\n    %s, %d new, the last at %s", EntryText(own, v, &t.Root), Replies(t.Replies), t.Unread, clock(t.Last)))
	}
	if len(lines) == 0 {
		lines = []string{"there are no threads: reply begins one"}
	}
	return Output{list, strings.Join(lines, "\n")}, nil
}

func showThread(ctx context.Context, e *Env, a threadArgs) (Output, error) {
	if !a.Offline {
		if err := e.refresh(ctx); err != nil {
			return Output{}, err
		}
	}
	v, m, err := e.message(ctx, a.Conversation, a.Message)
	if err != nil {
		return Output{}, err
	}
	s, err := e.scope(ctx, v.ID.String())
	if err != nil {
		return Output{}, err
	}
	root := e.Client.ThreadOf(m)
	first, err := e.Client.At(root.Position)
	if err != nil {
		return Output{}, err
	}
	var list []client.Entry
	for before := int64(0); ; before = list[0].Position {
		page, err := e.Client.Replies(root, before, 256)
		if err != nil {
			return Output{}, err
		}
		if list = slices.Concat(page, list); len(page) == 0 {
			break
		}
	}
	if first != nil {
		list = slices.Concat([]client.Entry{*first}, list)
	}
	for _, r := range list {
		if err := s.show(&r); err != nil {
			return Output{}, err
		}
	}
	return Output{}, e.Client.MarkThreadRead(v.ID, root, list[len(list)-1].Position)
}

type switchArgs struct {
	conversationArgs
	State string `arg:"state?" of:"switch" help:"on or off"`
}

// on reads on and off; given is false where neither stands there.
func (a switchArgs) on(command string) (on, given bool, err error) {
	switch a.State {
	case "":
		return false, false, nil
	case "on", "off":
		return a.State == "on", true, nil
	}
	return false, false, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: %q is neither on nor off", command, a.State))
}

func receipts(ctx context.Context, e *Env, a switchArgs) (Output, error) {
	on, given, err := a.on("receipts")
	if err != nil {
		return Output{}, err
	}
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if given {
		err = e.Client.SetReceipts(v.ID, on)
	} else {
		on, err = e.Client.Receipts(v.ID)
	}
	if err != nil {
		return Output{}, err
	}
	text := "receipts are sent in " + qpq.OneLine(v.Name())
	if !on {
		text = "no receipts are sent in " + qpq.OneLine(v.Name())
	}
	return Output{map[string]any{"conversation": v.ID.String(), "receipts": on}, text}, nil
}

func typing(ctx context.Context, e *Env, a switchArgs) (Output, error) {
	on, given, err := a.on("typing")
	if err != nil {
		return Output{}, err
	}
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if given {
		return e.tellTyping(ctx, v, on)
	}
	own, _, err := e.Client.Self()
	if err != nil {
		return Output{}, err
	}
	users, names := []string{}, []string{}
	for _, u := range e.Client.Typing(v.ID) {
		users, names = append(users, u.String()), append(names, UserText(own, u))
	}
	text := "nobody is typing"
	if len(names) > 0 {
		text = strings.Join(names, ", ") + " typing"
	}
	return Output{map[string]any{"conversation": v.ID.String(), "typing": users}, text}, nil
}

// tellTyping says what comes of it: where no receipts are sent, nobody is told.
func (e *Env) tellTyping(ctx context.Context, v *client.Conversation, on bool) (Output, error) {
	told, err := e.Client.Receipts(v.ID)
	if err != nil {
		return Output{}, err
	}
	text := "others are told for ten seconds"
	switch {
	case !told:
		text = "nobody is told: no receipts are sent in " + qpq.OneLine(v.Name())
	case !on:
		text = "others are told that you stopped"
	}
	return Output{map[string]any{"conversation": v.ID.String(), "typing": on && told}, text}, e.Client.SendTyping(ctx, v.ID, on)
}

// Replies counts replies for people.
func Replies(n int) string {
	if n == 1 {
		return "1 reply"
	}
	return fmt.Sprintf("%d replies", n)
}
