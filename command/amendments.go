package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// Changes of conversations: commands make them at once, or have them wait for the server as messages do.

// amendmentJSON is a change that waits, for programs.
type amendmentJSON struct {
	Type         string    `json:"type"` // "change"
	Conversation string    `json:"conversation"`
	Name         string    `json:"name"`
	Kind         string    `json:"kind"` // see amendments
	User         string    `json:"user,omitempty"`
	Role         string    `json:"role,omitempty"`
	Title        string    `json:"title,omitempty"`
	Timer        *int64    `json:"timer,omitempty"` // seconds after which messages disappear, 0 for never
	Asked        time.Time `json:"asked"`
	State        string    `json:"state"`         // "queued", or "trying": it may have been made already
	Why          string    `json:"why,omitempty"` // it waits
	Text         string    `json:"text"`
}

// amendments are the names of what changes do.
var amendments = map[client.AmendmentKind]string{
	client.AmendInvite: "invite", client.AmendRemove: "remove", client.AmendRole: "role", client.AmendTitle: "rename", client.AmendTimer: "timer",
	client.AmendKeys: "update-key", client.AmendLeave: "leave",
}

// changesMembers are the names of those that change who is in a conversation, and as what.
var changesMembers = map[string]bool{"invite": true, "remove": true, "role": true, "leave": true}

func amendmentValue(v *client.Conversation, a *client.WaitingAmendment) amendmentJSON {
	j := amendmentJSON{Type: "change", Conversation: v.ID.String(), Name: v.Name(), Kind: amendments[a.Kind], Title: a.Title, Asked: a.Asked.UTC(), State: states[client.Queued],
		Why: a.Problem, Text: a.String()}
	if len(a.Users) > 0 {
		j.User = a.Users[0].String()
	}
	switch a.Kind {
	case client.AmendRole:
		j.Role = a.Role.String()
	case client.AmendTimer:
		seconds := int64(a.Timer / time.Second)
		j.Timer = &seconds
	}
	if a.Tried {
		j.State = "trying"
	}
	return j
}

// text is what people read of a change that waits.
func (j *amendmentJSON) text() string {
	text := qpq.OneLine(j.Text) + " (" + j.State + ")"
	if j.Why != "" {
		text += ": " + qpq.OneLine(j.Why)
	}
	return text
}

// waitingIn returns the changes that wait in a conversation.
func (e *Env) waitingIn(v *client.Conversation) ([]amendmentJSON, error) {
	all, err := e.Client.Amendments()
	var list []amendmentJSON
	for _, a := range all {
		if a.Conversation == v.ID {
			list = append(list, amendmentValue(v, &a))
		}
	}
	return list, err
}

// invited reports whether that somebody becomes a member waits.
func (e *Env) invited(v *client.Conversation, u qpq.UserID) (bool, error) {
	list, err := e.Client.Amendments()
	return slices.ContainsFunc(list, func(a client.WaitingAmendment) bool {
		return a.Conversation == v.ID && a.Kind == client.AmendInvite && slices.Contains(a.Users, u)
	}), err
}

// amend makes a change, and returns the conversation as it is then, with a text about it. Where the server cannot be reached the change waits on this
// device, which is told with code "queued".
func (e *Env) amend(ctx context.Context, v *client.Conversation, a client.Amendment, text func(title string) string) (Output, error) {
	if err := e.amendOrQueue(ctx, v, a); err != nil {
		return Output{}, err
	}
	return e.changed(ctx, v.ID, text)
}

func (e *Env) amendOrQueue(ctx context.Context, v *client.Conversation, a client.Amendment) error {
	a.Conversation = v.ID
	err := e.Client.Amend(ctx, a)
	if ctx.Err() != nil || qpq.CodeOf(err) == "closed" || !errors.Is(err, qpq.Unavailable) && !errors.Is(err, qpq.RateLimited) {
		return err
	}
	if qpq.CodeOf(err) != "unanswered" { // else it waits already
		if err := e.Client.AmendLater(a); err != nil {
			return err
		}
	}
	return qpq.Wrap(qpq.KindOf(err), "queued", fmt.Sprintf("the change of %s is queued on this device and is made when it can be, do not ask for it again: %v", title(v), err), err)
}

// notMade says that a new conversation does not wait for the server.
func notMade(err error) error {
	if !errors.Is(err, qpq.Unavailable) {
		return err
	}
	return qpq.Wrap(qpq.Unavailable, qpq.CodeOf(err), "a new conversation is made with the server, and does not wait for it on this device: try again when it can be reached: "+strings.TrimSpace(err.Error()), err)
}
