package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/wire"
)

// maxProbe bounds the ciphertexts that are kept in memory for VerifySecrecy, one of each conversation, in bytes.
const maxProbe = 4096

// Secrecy is what can be shown, on this device, of the forward secrecy of a conversation: that what was read can no longer be decrypted
// with what the profile holds. It says nothing of other devices, nor of the history, which is kept in readable form until it is deleted.
type Secrecy struct {
	Epoch    uint64   // the current one
	Epochs   []uint64 // those of which keys are stored: the current one, and a few before it for messages that come late
	Keys     int      // records of message keys that are stored
	Tried    int      // ciphertexts that were processed before and were tried again with all that is stored
	Messages int      // those among them that are messages of others; the rest are changes of the group
	Opened   []string // what could be decrypted again: there should be nothing
}

// VerifySecrecy looks at what is stored of a conversation's keys, and tries to decrypt again what was processed: the changes of the group that
// are kept for a hub that loses them, and, where this Client received one, the message that came last.
func (c *Client) VerifySecrecy(ctx context.Context, id qpq.ChannelID) (*Secrecy, error) {
	if err := c.chatting.take(ctx); err != nil {
		return nil, err
	}
	defer c.chatting.give()
	ch, err := c.cfg.Profile.Channel(id)
	switch {
	case err != nil:
		return nil, err
	case ch == nil:
		return nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, fmt.Sprintf("there is no conversation %s here", id))
	}
	records, err := c.cfg.Profile.Group(id)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, v := range records {
			clear(v)
		}
	}()
	s := &Secrecy{Epoch: ch.Epoch}
	if len(records) == 0 {
		return s, nil // no keys at all
	}
	if err := s.count(records); err != nil {
		return nil, err
	}
	restore := func() (*conversation.Group, error) { // each try begins with what is stored
		return conversation.Restore(c.conversations(), records, ch.Slot, conversation.Access{Slot: ch.AccessSlot, Key: ch.Access})
	}
	return s, c.tryAgain(id, s, restore)
}

// count notes of which epochs there are keys (mls.Record).
func (s *Secrecy) count(records map[string][]byte) error {
	for key := range records {
		kind, rest, _ := strings.Cut(key, "/")
		if kind != "secrets" && kind != "ratchet" && kind != "epoch" {
			continue
		}
		number, _, _ := strings.Cut(rest, "/")
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return qpq.Wrap(qpq.Damaged, "profile-damaged", fmt.Sprintf("the profile has a record %q", key), err)
		}
		if !slices.Contains(s.Epochs, n) {
			s.Epochs = append(s.Epochs, n)
		}
		if kind != "epoch" {
			s.Keys++
		}
	}
	slices.Sort(s.Epochs)
	return nil
}

// tryAgain tries to decrypt what was processed.
func (c *Client) tryAgain(id qpq.ChannelID, s *Secrecy, restore func() (*conversation.Group, error)) error {
	commits, err := c.cfg.Profile.Commits(id, 0)
	if err != nil {
		return err
	}
	try := func(what string, ciphertext []byte) error {
		g, err := restore()
		if err != nil {
			return err
		}
		defer g.Wipe()
		s.Tried++
		_, _, err = g.Receive(ciphertext)
		if !errors.Is(err, conversation.ErrUnreadable) && !errors.Is(err, conversation.ErrKnown) {
			s.Opened = append(s.Opened, what)
		}
		return nil
	}
	for _, k := range commits {
		if err := try(fmt.Sprintf("change %d of the group", k.Slot), k.Commit); err != nil {
			return err
		}
	}
	if probe := c.probes[id]; probe != nil {
		s.Messages++
		return try("the message that came last", probe)
	}
	return nil
}

// keepProbe keeps a ciphertext that was opened.
func (c *Client) keepProbe(id qpq.ChannelID, ciphertext []byte) {
	if len(ciphertext) > maxProbe {
		return
	}
	if c.probes == nil {
		c.probes = map[qpq.ChannelID][]byte{}
	}
	c.probes[id] = slices.Clone(ciphertext)
}
