package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// secrecyJSON is client.Secrecy, for programs.
type secrecyJSON struct {
	Conversation string   `json:"conversation"`
	Epoch        uint64   `json:"epoch"`
	Epochs       []uint64 `json:"epochs_with_keys"`
	Keys         int      `json:"keys"`
	Tried        int      `json:"tried"`
	Messages     int      `json:"tried_messages"`
	Opened       []string `json:"opened"`
}

func verifySecrecy(ctx context.Context, e *Env, a conversationArgs) (Output, error) {
	v, err := e.fresh(ctx, a.Conversation)
	if err != nil {
		return Output{}, err
	}
	s, err := e.Client.VerifySecrecy(ctx, v.ID)
	if err != nil {
		return Output{}, err
	}
	if len(s.Opened) > 0 {
		return Output{}, qpq.E(qpq.Damaged, "not-forward-secret", fmt.Sprintf(
			"%s could be decrypted again with what this device keeps: that must never be; please report it", strings.Join(s.Opened, ", ")))
	}
	out := secrecyJSON{v.ID.String(), s.Epoch, append([]uint64{}, s.Epochs...), s.Keys, s.Tried, s.Messages, []string{}}
	return Output{out, secrecyText(title(v), s)}, nil
}

func secrecyText(name string, s *client.Secrecy) string {
	if len(s.Epochs) == 0 {
		return fmt.Sprintf("%s: this device keeps no keys at all", name)
	}
	text := fmt.Sprintf("%s is in epoch %d; this device keeps keys of epoch %d", name, s.Epoch, s.Epochs[0])
	if n := len(s.Epochs); n > 1 {
		text = fmt.Sprintf("%s is in epoch %d; this device keeps keys of epochs %d to %d", name, s.Epoch, s.Epochs[0], s.Epochs[n-1])
	}
	return fmt.Sprintf("%s, none of older ones (%s)\ntried to decrypt again with them: %s, %s that came last; none opened",
		text, count(s.Keys, "record"), count(s.Tried-s.Messages, "change"), count(s.Messages, "message"))
}
