package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// outbox are the commands about what waits to be sent.
var outbox = []*Command{
	define(Command{
		Name: "outbox list", Summary: "list what waits on this device to be sent",
		Long: "What is written while the server cannot be reached waits here, over restarts too, and goes out with whatever connects next. So do changes of conversations that you ask for meanwhile (group invite, remove, role, rename and leave, timer, update-key). " +
			"Each conversation keeps the order in which you asked and wrote: who is invited reads what you wrote after that, and nothing from before. Receipts come after all else; one that could not be sent for a week is dropped, and that you are typing is never kept.\n\n" +
			"A change that is so already when its turn comes ends quietly. One that is refused for good is told in the history, and holds up nothing; one that has to wait holds up what you wrote after it, and says why here.",
	}, listOutbox),
	define(Command{
		Name: "outbox flush", Summary: "send now what waits", Long: "Connects, sends what waits, makes changes that wait, and tells how much still does; outbox list shows why.",
	}, flushOutbox),
	define(Command{
		Name: "outbox clear", Summary: "give up what waits, in a conversation or in all",
		Long: "What waits is not sent any more, and changes that wait are not made; a message stays in the history of this device, marked as failed. " +
			"A change that was handed in before the connection was lost (\"trying\") may have been made already, and is not given up.", Example: []string{"outbox clear bob", "outbox clear"},
	}, clearOutbox),
}

func listOutbox(_ context.Context, e *Env, _ noArgs) (Output, error) {
	messages, err := e.Client.Outbox()
	if err != nil {
		return Output{}, err
	}
	changes, err := e.Client.Amendments()
	if err != nil {
		return Output{}, err
	}
	l := waitingList{env: e, values: []any{}}
	if l.own, _, err = e.Client.Self(); err != nil {
		return Output{}, err
	}
	for _, m := range messages {
		for ; len(changes) > 0 && changes[0].After < m.Position && err == nil; changes = changes[1:] {
			err = l.change(&changes[0])
		}
		if err = errors.Join(err, l.message(&m)); err != nil {
			return Output{}, err
		}
	}
	for _, a := range changes {
		if err := l.change(&a); err != nil {
			return Output{}, err
		}
	}
	if len(l.lines) == 0 {
		l.lines = []string{nothingWaits}
	}
	return Output{l.values, strings.Join(l.lines, "\n")}, nil
}

// nothingWaits is what is said of an outbox that is empty.
const nothingWaits = "nothing waits"

// waitingList is what waits, for programs and for people.
type waitingList struct {
	env    *Env
	own    qpq.UserID
	values []any
	lines  []string
}

func (l *waitingList) message(entry *client.Entry) error {
	v, err := l.env.Client.Conversation(entry.Channel)
	if err != nil {
		return err
	}
	l.values = append(l.values, EntryValue(v, entry))
	l.lines = append(l.lines, Place(v.Name())+EntryText(l.own, v, entry)+"\n    waits for "+since(entry.Time))
	return nil
}

func (l *waitingList) change(a *client.WaitingAmendment) error {
	v, err := l.env.Client.Conversation(a.Conversation)
	if err != nil {
		return err
	}
	value := amendmentValue(v, a)
	l.values = append(l.values, value)
	l.lines = append(l.lines, Place(v.Name())+value.text()+"\n    waits for "+since(a.Asked))
	return nil
}

// since returns how long ago something was.
func since(at time.Time) string { return client.Span(time.Since(at).Truncate(time.Second)) }

// waitingCount counts what waits.
func (e *Env) waitingCount() (messages, changes int, err error) {
	list, err := e.Client.Outbox()
	if err != nil {
		return 0, 0, err
	}
	asked, err := e.Client.Amendments()
	return len(list), len(asked), err
}

func flushOutbox(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	messages, changes, err := e.waitingCount()
	if err != nil {
		return Output{}, err
	}
	if err := e.Client.Sync(ctx); err != nil {
		return Output{}, err
	}
	waiting, waitingChanges, err := e.waitingCount()
	if err != nil {
		return Output{}, err
	}
	sent, settled := max(messages-waiting, 0), max(changes-waitingChanges, 0)
	text := fmt.Sprintf("%s went out, %s still waiting", both(sent, settled), both(waiting, waitingChanges))
	if messages+changes+waiting+waitingChanges == 0 {
		text = nothingWaits
	}
	return Output{map[string]int{"sent": sent, "waiting": waiting, "changes": settled, "changes_waiting": waitingChanges}, text}, nil
}

// both counts messages, and changes where there are some.
func both(messages, changes int) string {
	if changes == 0 {
		return count(messages, "message")
	}
	return count(messages, "message") + " and " + count(changes, "change")
}

type clearArgs struct {
	Conversation string `arg:"conversation?" of:"conversations" help:"its name, or the beginning of its id; all, if none is given"`
}

func clearOutbox(ctx context.Context, e *Env, a clearArgs) (Output, error) {
	var id qpq.ChannelID
	if a.Conversation != "" {
		v, err := e.conversation(ctx, a.Conversation)
		if err != nil {
			return Output{}, err
		}
		id = v.ID
	}
	messages, changes, err := e.Client.ClearOutbox(ctx, id)
	text := both(messages, changes) + " given up"
	if messages+changes == 0 {
		text = nothingWaits
	}
	return Output{map[string]int{"cleared": messages, "changes": changes}, text}, err
}
