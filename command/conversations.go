package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// conversations are the commands about all kinds of conversations.
var conversations = []*Command{
	define(Command{
		Name: "dm", Summary: "open the direct conversation with somebody, and say something there",
		Long: "Opens the conversation of two, which is made once, whoever begins it. Your own name opens notes that only your devices see. " +
			"With a text, that is sent, as by send.",
		Example: []string{"dm bob", "dm bob@example.org are you there?", `dm alice "remember the milk"`},
	}, dm),
	define(Command{
		Name: "list", Summary: "list your conversations, those with the newest entries first",
		Long: "Shows what the server has now, or, where it cannot be reached, what this device knows. NEW counts messages of others that were read on none of your devices.",
	}, list),
	define(Command{
		Name: "members", Summary: "list who is in a conversation",
		Long: "Changes of who is in it that wait on this device are told below; outbox list --json has them for programs.", Example: []string{"members team"},
	}, members),
	define(Command{
		Name: "join", Summary: "take part on this device in conversations that your account is in",
		Long: "A new device, and one that lost what it kept of a conversation, join by themselves whenever they are connected; join does it now and says what came of it. " +
			"Your account becomes a member when somebody who may invites it (group invite): there is no way to join a conversation from outside.",
		Example: []string{"join", "join team"},
	}, join),
	define(Command{
		Name: "mark-read", Summary: "mark all that a conversation has as read", Example: []string{"mark-read team"},
	}, markRead),
	define(Command{
		Name: "timer", Summary: "choose how long messages stay in a conversation",
		Long: "With a time, what is said from now on disappears from every device so long after it was read there; from those of its sender after it was sent. The server drops what nobody fetched in that time: " +
			"who is away for longer does not get it, and is told how many messages that were. With off, messages stay. In a group it takes an admin. Without a time, shows what is so." + later + " Nobody can make sure that others have not kept a copy.",
		Example: []string{"timer bob 1h", "timer team 1w", "timer bob off"},
	}, timer),
	define(Command{
		Name: "confirm", Summary: "accept the members of a conversation as they are",
		Long: "Where somebody is in a conversation again whom a member had removed, and nobody is known to have taken that back, nothing is sent before you looked at the members and confirm them. " +
			"Otherwise there is nothing to confirm.",
		Example: []string{"members team", "confirm team"},
	}, confirm),
	define(Command{
		Name: "update-key", Summary: "give this device fresh keys in a conversation",
		Long:    "Whoever stole the old keys reads nothing that comes after. Each device does so by itself once a week." + later,
		Example: []string{"update-key team"},
	}, updateKey),
	define(Command{
		Name: "verify-fs", Summary: "show that old keys of a conversation are gone from this device",
		Long: "Counts the keys that this device stores, by epoch, and tries to decrypt again, with all of them, what it processed before: the newest changes of the group and, if this process received one, the last message. " +
			"It fails with \"damaged\" where anything opens. Keys of a few epochs before the current one are kept for messages that come late; a key goes when it was used. " +
			"What it cannot show: what other devices keep. And the history stays readable on this device: only its keys are gone.",
		Example: []string{"verify-fs bob"},
	}, verifySecrecy),
}

// conversation returns the one that a person means. One that is not known here may have been made since this device was connected.
func (e *Env) conversation(ctx context.Context, name string) (*client.Conversation, error) {
	v, err := e.Client.FindConversation(name)
	if !errors.Is(err, qpq.NotFound) || qpq.CodeOf(err) != wire.CodeChannelUnknown {
		return v, err
	}
	if err := e.Client.Sync(ctx); err != nil {
		return nil, err
	}
	return e.Client.FindConversation(name)
}

// fresh returns a conversation with what the server has of it now, or, where that cannot be reached, with what is known.
func (e *Env) fresh(ctx context.Context, name string) (*client.Conversation, error) {
	if err := e.refresh(ctx); err != nil {
		return nil, err
	}
	return e.Client.FindConversation(name)
}

// refresh receives all there is. That the server cannot be reached, or does not let this device in any more, is told, and no failure: what the
// device has it shows.
func (e *Env) refresh(ctx context.Context) error {
	err := e.Client.Sync(ctx)
	if (errors.Is(err, qpq.Unavailable) || qpq.CodeOf(err) == wire.CodeDeviceUnknown) && ctx.Err() == nil {
		e.UI.Show(Output{map[string]any{"notice": map[string]string{"code": "offline", "text": err.Error()}},
			"note: this is what the device knew last: " + err.Error()})
		return nil
	}
	return err
}

// conversationJSON is a conversation, for programs.
type conversationJSON struct {
	ID       string       `json:"id"`
	Short    string       `json:"short"` // as people see it
	Name     string       `json:"name"`  // what people call it by
	Direct   bool         `json:"direct"`
	Peer     string       `json:"peer,omitempty"` // of a direct one
	Title    string       `json:"title,omitempty"`
	Role     string       `json:"role"` // one's own
	Members  []memberJSON `json:"members"`
	Timer    int64        `json:"timer"` // seconds after which messages disappear, 0 for never
	Epoch    uint64       `json:"epoch"`
	Suite    uint16       `json:"suite"`
	Standing string       `json:"standing"`
	Unread   int          `json:"unread"`
	Last     *time.Time   `json:"last,omitempty"`
	Draft    string       `json:"draft,omitempty"`
}

type memberJSON struct {
	User string `json:"user"`
	Role string `json:"role"`
}

func conversationValue(v *client.Conversation) conversationJSON {
	j := conversationJSON{ID: v.ID.String(), Short: v.ID.String()[:8], Name: v.Name(), Direct: v.Direct, Title: v.Title, Role: v.Role.String(),
		Members: memberValues(v), Timer: int64(v.Timer / time.Second), Epoch: v.Epoch, Suite: v.Suite, Standing: standings[v.Standing].name, Unread: v.Unread, Draft: v.Draft}
	if v.Direct {
		j.Peer = v.Peer.String()
	}
	if !v.Last.IsZero() {
		last := v.Last.UTC()
		j.Last = &last
	}
	return j
}

func memberValues(v *client.Conversation) []memberJSON {
	list := []memberJSON{}
	for _, m := range v.Members {
		list = append(list, memberJSON{m.User.String(), m.Role.String()})
	}
	return list
}

// standings are the ways in which a device stands in a conversation, for programs and for people.
var standings = map[client.Standing]struct{ name, text string }{
	client.Active:  {"active", "you can talk"},
	client.Joining: {"joining", "this device joins when it is connected"},
	client.Healing: {"healing", "this device joins anew when it is connected"},
	client.Suspect: {"suspect", "somebody is a member again who was removed: look at the members, and confirm them, before anything is sent"},
	client.Ended:   {"ended", "you are no longer a member"},
}

// title returns what to call a conversation, in one line.
func title(v *client.Conversation) string { return qpq.OneLine(v.Name()) }

type dmArgs struct {
	User string `arg:"user" of:"users" help:"the other one: name, or name@domain"`
	Text string `arg:"text?" takes:"rest" help:"what to say"`
}

// dmJSON is a direct conversation, with the message that was sent.
type dmJSON struct {
	conversationJSON
	Message *sentJSON `json:"message,omitempty"`
}

func dm(ctx context.Context, e *Env, a dmArgs) (Output, error) {
	u, err := e.Client.ParseUser(a.User)
	if err != nil {
		return Output{}, err
	}
	id, err := e.Client.Direct(ctx, u)
	if err != nil {
		return Output{}, notMade(err)
	}
	v, err := e.Client.Conversation(id)
	if err != nil {
		return Output{}, err
	}
	if a.Text == "" {
		return Output{dmJSON{conversationValue(v), nil}, fmt.Sprintf("the conversation with %s is open (%s)", title(v), v.ID.String()[:8])}, nil
	}
	sent, err := e.say(ctx, v, a.Text, false)
	return Output{dmJSON{conversationValue(v), &sent}, sent.text()}, err
}

type listArgs struct {
	Offline bool `flag:"offline" help:"what this device knows, without asking the server"`
}

func list(ctx context.Context, e *Env, a listArgs) (Output, error) {
	if !a.Offline {
		if err := e.refresh(ctx); err != nil {
			return Output{}, err
		}
	}
	found, err := e.Client.Conversations()
	if err != nil {
		return Output{}, err
	}
	out, rows := []conversationJSON{}, [][]string{{"ID", "NAME", "NEW", "MEMBERS", "LAST", "STANDING"}}
	for _, v := range found {
		j := conversationValue(&v)
		out = append(out, j)
		last := "-"
		if j.Last != nil {
			last = v.Last.Local().Format("2006-01-02 15:04")
		}
		rows = append(rows, []string{j.Short, title(&v), fmt.Sprint(v.Unread), fmt.Sprint(len(v.Members)), last, j.Standing})
	}
	if len(out) == 0 {
		return Output{out, "no conversations yet: dm USER and group create NAME begin one"}, nil
	}
	return Output{out, table(rows)}, nil
}

// table aligns rows, the first of which says what is in each column.
func table(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush() // a Builder takes all
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

type conversationArgs struct {
	Conversation string `arg:"conversation" of:"conversations" help:"its name, or the beginning of its id"`
}

func members(ctx context.Context, e *Env, a conversationArgs) (Output, error) {
	v, err := e.fresh(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	rows := [][]string{{"USER", "ROLE"}}
	for _, m := range v.Members {
		rows = append(rows, []string{m.User.String(), m.Role.String()})
	}
	text := table(rows)
	waiting, err := e.waitingIn(v)
	if err != nil {
		return Output{}, err
	}
	for _, a := range waiting {
		if changesMembers[a.Kind] {
			text += "\nwaits: " + a.text()
		}
	}
	return Output{memberValues(v), text}, nil
}

type joinArgs struct {
	Conversation string `arg:"conversation?" of:"conversations" help:"its name, or the beginning of its id; all, if none is given"`
}

func join(ctx context.Context, e *Env, a joinArgs) (Output, error) {
	if err := e.Client.Sync(ctx); err != nil {
		return Output{}, err
	}
	if a.Conversation != "" {
		v, err := e.Client.FindConversation(a.Conversation)
		switch {
		case errors.Is(err, qpq.NotFound):
			return Output{}, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, fmt.Sprintf(
				"your account is in no conversation %q: somebody who may has to add you (group invite), and then your devices join by themselves", a.Conversation))
		case err != nil:
			return Output{}, err
		case v.Standing == client.Ended:
			return Output{}, qpq.E(qpq.Denied, "not-member", fmt.Sprintf(
				"you are no longer a member of %s: somebody who may has to add you again (group invite)", title(v)))
		}
		return Output{conversationValue(v), fmt.Sprintf("%s: %s", title(v), standings[v.Standing].text)}, nil
	}
	found, err := e.Client.Conversations()
	if err != nil {
		return Output{}, err
	}
	found = slices.DeleteFunc(found, func(v client.Conversation) bool { return v.Standing == client.Ended })
	out, lines := []conversationJSON{}, []string{}
	for _, v := range found {
		out = append(out, conversationValue(&v))
		lines = append(lines, fmt.Sprintf("%s: %s", title(&v), standings[v.Standing].text))
	}
	if len(lines) == 0 {
		lines = []string{"your account is in no conversation: somebody who may has to add you (group invite)"}
	}
	return Output{out, strings.Join(lines, "\n")}, nil
}

func markRead(ctx context.Context, e *Env, a conversationArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	newest, err := e.Client.Newest()
	if err != nil {
		return Output{}, err
	}
	err = e.Client.MarkRead(v.ID, newest)
	return Output{map[string]string{"conversation": v.ID.String()}, title(v) + " is marked as read"}, err
}

func confirm(ctx context.Context, e *Env, a conversationArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if v.Standing != client.Suspect {
		return Output{conversationValue(v), fmt.Sprintf("%s: there is nothing to confirm", title(v))}, nil
	}
	if err := e.Client.Confirm(ctx, v.ID); err != nil {
		return Output{}, err
	}
	return e.changed(ctx, v.ID, func(title string) string { return "the members of " + title + " are confirmed" })
}

func updateKey(ctx context.Context, e *Env, a conversationArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	return e.amend(ctx, v, client.Amendment{Kind: client.AmendKeys}, func(title string) string { return "this device has fresh keys in " + title })
}

// changed sends what is queued, and returns a conversation as it is now, with a text about it.
func (e *Env) changed(ctx context.Context, id qpq.ChannelID, text func(title string) string) (Output, error) {
	if err := e.refresh(ctx); err != nil {
		return Output{}, err
	}
	v, err := e.Client.Conversation(id)
	if err != nil {
		return Output{}, err
	}
	return Output{conversationValue(v), text(title(v))}, nil
}

type timerArgs struct {
	Conversation string `arg:"conversation" of:"conversations" help:"its name, or the beginning of its id"`
	After        string `arg:"after?" help:"30s, 5m, 1h, 1d, 1w; or off"`
}

func timer(ctx context.Context, e *Env, a timerArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if a.After != "" {
		after, err := span(a.After)
		if err != nil {
			return Output{}, err
		}
		if err := e.amendOrQueue(ctx, v, client.Amendment{Kind: client.AmendTimer, Timer: after}); err != nil {
			return Output{}, err
		}
		if v, err = e.Client.Conversation(v.ID); err != nil {
			return Output{}, err
		}
	}
	text := "messages stay in " + qpq.OneLine(v.Name())
	if v.Timer > 0 {
		text = fmt.Sprintf("messages in %s disappear %s after they were read", qpq.OneLine(v.Name()), client.Span(v.Timer))
	}
	return Output{map[string]any{"conversation": v.ID.String(), "timer": int64(v.Timer / time.Second)}, text}, nil
}

// span reads a time as people write it: that of time.ParseDuration, and days and weeks.
func span(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, err := strconv.ParseUint(strings.TrimSuffix(text, unit), 10, 16); err == nil && strings.HasSuffix(text, unit) {
			return time.Duration(n) * length, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	return 0, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("timer: %q is no time from a second to a year: write 30s, 5m, 1h, 1d, 1w or off", text))
}
