package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
)

// subscription is what entries are wanted from.
type subscription struct {
	after        int64
	conversation string // its id; empty for all
}

// sink takes what a subscription gives, by one goroutine for entries and another one for notices.
type sink interface {
	entry(position int64, value json.RawMessage) error
	notice(client.Notice) error
}

// prepare finds out where a subscription begins. after is nil for what comes from now on.
func (d *Daemon) prepare(ctx context.Context, after *int64, conversation string) (sub subscription, err error) {
	if _, _, err := d.client.Self(); err != nil {
		return sub, err
	}
	switch {
	case after != nil && *after < 0:
		return sub, errParams(fmt.Sprintf("%d is no position: the first entry comes after 0", *after))
	case after != nil:
		sub.after = *after
	default:
		if sub.after, err = d.client.Newest(); err != nil {
			return sub, err
		}
	}
	if conversation == "" {
		return sub, nil
	}
	v, err := d.client.FindConversation(conversation)
	if errors.Is(err, qpq.NotFound) { // it may have been made since
		if err := d.client.Sync(ctx); err != nil {
			return sub, err
		}
		v, err = d.client.FindConversation(conversation)
	}
	if err != nil {
		return sub, err
	}
	sub.conversation = v.ID.String()
	return sub, nil
}

// follow gives what comes to a sink until ctx is done, the sink fails, or there is nothing to wait for any more, and returns why.
func (d *Daemon) follow(ctx context.Context, sub subscription, to sink) error {
	watch, err := command.Find("watch")
	if err != nil {
		return err
	}
	args := map[string]any{"after": sub.after}
	if sub.conversation != "" {
		args["conversation"] = sub.conversation
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	h, deaf := d.hear()
	var pump sync.WaitGroup
	pump.Go(func() {
		for {
			select {
			case n := <-h.notices:
				if err := to.notice(n); err != nil {
					cancel(errGone)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	_, err = watch.Run(ctx, &command.Env{Client: d.client, UI: follower{to}}, raw)
	err = cause(ctx, err)
	cancel(nil)
	deaf()
	pump.Wait()
	return err
}

// follower is the UI of watch.
type follower struct{ to sink }

// Show implements command.UI: notices come by themselves.
func (follower) Show(command.Output) {}

// Ask implements command.UI.
func (follower) Ask(context.Context, command.Question) ([]byte, error) {
	return nil, qpq.E(qpq.Invalid, "no-answer", "nobody is there to be asked")
}

// Result implements command.UI.
func (f follower) Result(o command.Output) error {
	raw, err := value(o)
	if err != nil {
		return err
	}
	var e struct{ Position int64 }
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	return f.to.entry(e.Position, raw)
}

// subscriber is a connection that subscribed.
type subscriber struct {
	number int
	send   func(any) error
}

func (s subscriber) entry(_ int64, value json.RawMessage) error {
	return s.send(notify("entry", struct {
		Subscription int             `json:"subscription"`
		Entry        json.RawMessage `json:"entry"`
	}{s.number, value}))
}

// noticeJSON is a notice, for programs.
type noticeJSON struct {
	Subscription int    `json:"subscription,omitempty"`
	Code         string `json:"code"`
	Text         string `json:"text"`
}

func (s subscriber) notice(n client.Notice) error {
	return s.send(notify("notice", noticeJSON{s.number, n.Code, n.Text}))
}

// subscribe begins a subscription of a connection. Entries come after the answer.
func (s *session) subscribe(ctx context.Context, r *request) (any, func(), error) {
	var after *int64
	var conversation string
	if err := decode(r, map[string]any{"after": &after, "conversation": &conversation}); err != nil {
		return nil, nil, err
	}
	if s.send == nil || r.id == nil {
		return nil, nil, qpq.E(qpq.Unsupported, "no-subscription", "a subscription needs a connection and an id: over HTTP, GET /events gives entries as they come")
	}
	sub, err := s.d.prepare(ctx, after, conversation)
	if err != nil {
		return nil, nil, cause(ctx, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.leaves != nil:
		return nil, nil, s.leaves
	case len(s.subs) >= maxSubscriptions:
		return nil, nil, qpq.E(qpq.Exhausted, "too-many-subscriptions", fmt.Sprintf("this connection has %d subscriptions: end one", maxSubscriptions))
	}
	s.last++
	number := s.last
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.subs[number] = cancel
	begun := make(chan struct{})
	s.work.Go(func() {
		select {
		case <-begun:
		case <-ctx.Done():
		}
		s.ended(number, s.d.follow(ctx, sub, subscriber{number, s.send}))
		cancel(nil)
	})
	return map[string]any{"subscription": number, "after": sub.after}, func() { close(begun) }, nil
}

// ended tells how a subscription did.
func (s *session) ended(number int, why error) {
	s.mu.Lock()
	delete(s.subs, number)
	s.mu.Unlock()
	_ = s.send(notify("end", struct {
		Subscription int      `json:"subscription"`
		Error        *failure `json:"error"`
	}{number, failed(why)}))
}
