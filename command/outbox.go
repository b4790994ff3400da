package command

import (
	"context"
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
		Long: "What is written while the server cannot be reached waits here, over restarts too, and goes out in order with whatever connects next: changes of groups first, then messages, then receipts. " +
			"Receipts that wait for more than a week are dropped.",
	}, listOutbox),
	define(Command{
		Name: "outbox flush", Summary: "send now what waits", Long: "Connects, sends what waits, and tells what still does and why.",
	}, flushOutbox),
	define(Command{
		Name: "outbox clear", Summary: "give up what waits, in a conversation or in all",
		Long: "What waits is not sent any more; it stays in the history of this device, marked as failed.", Example: []string{"outbox clear bob", "outbox clear"},
	}, clearOutbox),
}

func listOutbox(_ context.Context, e *Env, _ noArgs) (Output, error) { return e.waiting() }

// waiting shows what waits.
func (e *Env) waiting() (Output, error) {
	own, _, err := e.Client.Self()
	if err != nil {
		return Output{}, err
	}
	entries, err := e.Client.Outbox()
	if err != nil {
		return Output{}, err
	}
	list, lines := []EntryJSON{}, []string{}
	for _, entry := range entries {
		v, err := e.Client.Conversation(entry.Channel)
		if err != nil {
			return Output{}, err
		}
		list = append(list, EntryValue(v, &entry))
		lines = append(lines, Place(v.Name())+EntryText(own, v, &entry)+"\n    waits for "+client.Span(time.Since(entry.Time).Truncate(time.Second)))
	}
	if len(lines) == 0 {
		lines = []string{"nothing waits"}
	}
	return Output{list, strings.Join(lines, "\n")}, nil
}

func flushOutbox(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	before, err := e.Client.Outbox()
	if err != nil {
		return Output{}, err
	}
	if err := e.Client.Sync(ctx); err != nil {
		return Output{}, err
	}
	after, err := e.Client.Outbox()
	if err != nil {
		return Output{}, err
	}
	sent := max(len(before)-len(after), 0)
	text := fmt.Sprintf("%s went out, %s", count(sent, "message"), count(len(after), "message")+" still waiting")
	return Output{map[string]int{"sent": sent, "waiting": len(after)}, text}, nil
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
	n, _, err := e.Client.ClearOutbox(ctx, id)
	return Output{map[string]int{"cleared": n}, count(n, "message") + " given up"}, err
}
