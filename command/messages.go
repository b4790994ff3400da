package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// messages are the commands that send, and show what was said.
var messages = []*Command{
	define(Command{
		Name: "send", Summary: "say something in a conversation",
		Long: "Sends a text, and returns when the server has it for good. Where the server cannot be reached the message stays queued on this device, in its place, and goes out with the next command " +
			"that connects: do not send it again. Without a text, it is read from standard input, of which one line break at the end does not count.",
		Example: []string{"send bob hello", "send team <notes.txt", "send bob --no-wait see you"},
	}, send),
	define(Command{
		Name: "recv", Summary: "show what is new, once", Moves: true,
		Long: "Shows what was not read yet, oldest first, and marks it as read: messages of others, own ones that other devices sent, and notices of what happened. " +
			"An entry counts as read once it was written out; if that is interrupted, entries may come again, and none is lost. Each message has an id to know it by.\n\n" +
			"With --wait it returns once there is a message, and fails with \"not found\" where none comes in time.",
		Example: []string{"recv", "recv bob --json", "recv team --wait 10m"},
	}, recv),
	define(Command{
		Name: "watch", Summary: "show what comes, until interrupted", Endless: true, Moves: true,
		Long: "Stays connected and shows what comes in, in one conversation or in all, and what this device sends meanwhile. Nothing is marked as read. Other commands go on working while it runs: they are handed to it.\n\n" +
			"With --json each entry has a position that grows; --after goes on where a program stopped.",
		Example: []string{"watch", "watch team --json", "watch --json --after 1200"},
	}, watch),
	define(Command{
		Name: "history", Summary: "show what was said in a conversation",
		Long:    "Shows the newest entries, or those before a message, oldest first. Nothing is marked as read.",
		Example: []string{"history bob", "history team --limit 100 --before ab3de7gh"},
	}, history),
	define(Command{
		Name: "draft", Summary: "keep what you have begun to write in a conversation, for later",
		Long:    "Without a text it shows what is kept. A draft stays on this device, encrypted as all else there; nobody is sent any of it.",
		Example: []string{`draft bob "Dear Bob,"`, "draft bob", "draft bob --clear"},
	}, draft),
	define(Command{
		Name: "sync", Summary: "receive and send all there is",
		Long: "Receives what waits at the server and sends what is queued on this device.",
	}, syncNow),
}

type sendArgs struct {
	conversationArgs
	Text   string `arg:"text?" takes:"input" help:"what to say"`
	NoWait bool   `flag:"no-wait" help:"only queue it: it goes out when something connects"`
}

// sentJSON is a message that was sent, for programs.
type sentJSON struct {
	Conversation string `json:"conversation"`
	Name         string `json:"name"`
	ID           string `json:"id"`
	Short        string `json:"short"`
	State        string `json:"state"`
}

func (s *sentJSON) text() string {
	if s.State == states[client.Queued] {
		return fmt.Sprintf("%s to %s is queued", s.Short, qpq.OneLine(s.Name))
	}
	return fmt.Sprintf("%s to %s is sent", s.Short, qpq.OneLine(s.Name))
}

func send(ctx context.Context, e *Env, a sendArgs) (Output, error) {
	v, err := e.conversation(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	sent, err := e.say(ctx, v, a.Text, a.NoWait)
	return Output{sent, sent.text()}, err
}

// say sends a text, and waits until the hub has it unless it is only to be queued. A text that was queued and could not be sent is told with
// code "queued".
func (e *Env) say(ctx context.Context, v *client.Conversation, text string, queue bool) (sentJSON, error) {
	return e.queued(ctx, v, queue, func() (client.MessageID, error) { return e.Client.SendText(ctx, v.ID, text) })
}

// queued sends what f queues, as say does.
func (e *Env) queued(ctx context.Context, v *client.Conversation, queue bool, f func() (client.MessageID, error)) (sentJSON, error) {
	if v.Standing == client.Ended { // unless somebody added this account again; where that cannot be had, what is known here counts
		_ = e.Client.Sync(ctx)
	}
	id, err := f()
	if err != nil {
		return sentJSON{}, err
	}
	sent := sentJSON{v.ID.String(), v.Name(), id.String(), id.Short(), states[client.Queued]}
	if queue {
		return sent, nil
	}
	failure := e.Client.Sync(ctx)
	entry, err := e.Client.Sent(v.ID, id)
	if err != nil {
		return sent, err
	}
	switch sent.State = states[entry.Message.State]; entry.Message.State {
	case client.Failed:
		return sent, e.Client.Wait(ctx, v.ID, id)
	case client.Queued:
		kind, why := qpq.Unavailable, "others change the conversation all the time"
		if failure != nil {
			kind, why = qpq.KindOf(failure), failure.Error()
		} else if now, err := e.Client.Conversation(v.ID); err == nil && now.Standing != client.Active {
			why = standings[now.Standing].text
		}
		when := "is queued on this device and goes out when it can, do not send it again"
		if qpq.CodeOf(failure) == wire.CodeDeviceUnknown {
			when = "was not sent, and stays queued on this device until you log in on it again"
		}
		return sent, qpq.Wrap(kind, "queued", fmt.Sprintf("message %s %s: %s", sent.Short, when, why), failure)
	}
	return sent, nil
}

// connected runs f while the client stays connected, and returns the error of whichever ends with one. Both have ended when it returns.
func (e *Env) connected(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var run sync.WaitGroup
	run.Go(func() {
		if err := e.Client.Run(ctx); err != nil {
			cancel(err)
		}
	})
	err := f(ctx)
	var moved *Moved
	if err != nil && ctx.Err() != nil && !errors.As(err, &moved) {
		err = ended(ctx)
	}
	cancel(nil)
	run.Wait()
	return err
}

// errCancelled is what a command ends with that its caller gave up.
var errCancelled = qpq.E(qpq.Unavailable, "cancelled", "given up on request")

// ended returns what a command ends with whose context has: the reason, or that it was given up.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); qpq.CodeOf(err) != "" {
		return err
	}
	return errCancelled
}

type recvArgs struct {
	Conversation string `arg:"conversation?" of:"conversations" help:"its name, or the beginning of its id; all, if none is given"`
	Wait         string `flag:"wait" as:"TIME" help:"if there is no message yet, wait so long for one: 30s, 10m, 2h"`
}

func recv(ctx context.Context, e *Env, a recvArgs) (Output, error) {
	var patience time.Duration
	if a.Wait != "" {
		var err error
		if patience, err = time.ParseDuration(a.Wait); err != nil || patience <= 0 {
			return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("recv: %q is no time to wait: write 30s, 10m or 2h", a.Wait))
		}
	}
	s, err := e.scope(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if patience == 0 {
		if err := e.Client.Sync(ctx); err != nil {
			return Output{}, err
		}
		_, err := s.take(ctx)
		return Output{}, err
	}
	return Output{}, e.connected(ctx, func(ctx context.Context) error { return s.wait(ctx, patience, a.Wait) })
}

type watchArgs struct {
	Conversation string `arg:"conversation?" of:"conversations" help:"its name, or the beginning of its id; all, if none is given"`
	After        *int64 `flag:"after" help:"begin after the entry at this position; as a rule, with what comes from now on"`
	Changes      bool   `flag:"changes" help:"also say when something that was there before has changed: a message was sent, for one"`
}

func watch(ctx context.Context, e *Env, a watchArgs) (Output, error) {
	after, err := e.Client.Newest()
	if err != nil {
		return Output{}, err
	}
	if a.After != nil {
		after = *a.After
	}
	s, err := e.scope(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	return Output{}, e.connected(ctx, func(ctx context.Context) error {
		for {
			news := e.Client.News()
			err := s.since(ctx, &after)
			if err == nil && a.Changes {
				err = e.UI.Result(Output{map[string]string{"type": "changed"}, "-- something has changed"})
			}
			if err != nil && context.Cause(ctx) != errLeaves {
				return err
			}
			if err != nil { // whether it was shown is not known: it comes again
				return a.goOn(ctx, after)
			}
			select {
			case <-news:
			case <-ctx.Done():
				return a.goOn(ctx, after)
			}
		}
	})
}

// since shows what there is after a position, and moves that.
func (s *scope) since(ctx context.Context, after *int64) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel() // nothing is waited for
	for entry, err := range s.env.Client.Entries(ctx, *after) {
		if err == nil {
			err = s.show(&entry)
		}
		if err != nil {
			return err
		}
		*after = entry.Position
	}
	return nil
}

// goOn returns what a watch ends with that came so far: what to do elsewhere, or why it ended.
func (a watchArgs) goOn(ctx context.Context, position int64) error {
	if context.Cause(ctx) != errLeaves {
		return ended(ctx)
	}
	values := map[string]any{"after": position}
	if a.Conversation != "" {
		values["conversation"] = a.Conversation
	}
	if a.Changes {
		values["changes"] = true
	}
	args, err := json.Marshal(values)
	if err != nil {
		return err
	}
	return &Moved{args}
}

type historyArgs struct {
	conversationArgs
	Limit    *int   `flag:"limit" help:"show so many entries at most; 50 unless you say otherwise"`
	Before   string `flag:"before" as:"ID" help:"only those before the message with this id"`
	Position *int64 `flag:"position" help:"only those before the entry at this position"`
	After    *int64 `flag:"after" help:"only those after the entry at this position, and of them the oldest"`
	Offline  bool   `flag:"offline" help:"what this device has, without asking the server"`
}

func history(ctx context.Context, e *Env, a historyArgs) (Output, error) {
	limit := 50
	if a.Limit != nil {
		limit = *a.Limit
	}
	if limit < 1 {
		return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("history: %d is no number of entries: it takes 1 or more", limit))
	}
	if !a.Offline {
		if err := e.refresh(ctx); err != nil {
			return Output{}, err
		}
	}
	s, err := e.scope(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	if a.After != nil && (a.Before != "" || a.Position != nil) {
		return Output{}, qpq.E(qpq.Invalid, "usage", "history: --after goes with neither --before nor --position")
	}
	var before int64
	if a.Position != nil {
		before = *a.Position
	}
	if a.Before != "" {
		m, err := e.Client.Message(s.only, a.Before)
		if err != nil {
			return Output{}, err
		}
		before = m.Position
	}
	entries, err := e.Client.History(s.only, before, limit)
	if a.After != nil {
		entries, err = e.Client.Later(s.only, *a.After, limit)
	}
	if err != nil {
		return Output{}, err
	}
	for _, entry := range entries {
		if err := s.show(&entry); err != nil {
			return Output{}, err
		}
	}
	return Output{}, nil
}

func syncNow(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	err := e.Client.Sync(ctx)
	if err == nil {
		err = e.Client.MoveFiles(ctx) // and their messages
	}
	if err == nil {
		err = e.Client.Sync(ctx)
	}
	return Output{map[string]bool{"synced": true}, "all that there is was received and sent"}, err
}
