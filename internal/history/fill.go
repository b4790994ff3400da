package history

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// Config says what a profile is filled with.
type Config struct {
	Messages      int
	Conversations int // a few have most of the messages
	People        int // a few write most of them; as many as 60 where it is zero
	Unread        int // so many of the newest messages are not read
	Seed          int64
}

const (
	interval = 90 * time.Second // between messages: a million are three years
	batch    = 100              // messages that come together
)

// Began is when the first message came.
var Began = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)

// Own is whose profile it becomes.
var Own = qpq.UserID{Name: "alice", Domain: "example.org"}

// Person returns who writes: the first of them most.
func Person(i int) qpq.UserID {
	return qpq.UserID{Name: fmt.Sprintf("person%d", i), Domain: "example.org"}
}

// Talk returns a conversation: the first of them have most of the messages. Its title is "talk" with its number.
func Talk(i int) qpq.ChannelID { return qpq.ChannelID{1, byte(i), byte(i >> 8)} }

// Fill makes a new profile that of somebody who was in some conversations for years. It returns how many bytes the messages say.
func Fill(p *profile.Profile, c Config) (bytes int, err error) {
	if c.People == 0 {
		c.People = 60
	}
	if err := account(p, c.Conversations); err != nil {
		return 0, err
	}
	words, draw := NewCorpus(c.Seed), mrand.New(mrand.NewSource(c.Seed))
	in, from := mrand.NewZipf(draw, 1.3, 2, uint64(c.Conversations-1)), mrand.NewZipf(draw, 1.3, 2, uint64(c.People-1))
	for i := 0; i < c.Messages; {
		err := p.Change(func(tx *profile.Tx) error {
			for range min(batch, c.Messages-i) {
				e, size, err := entry(i, words.Message(), Talk(int(in.Uint64())), Person(int(from.Uint64())))
				if err != nil {
					return err
				}
				if _, err := tx.AddEntry(e); err != nil {
					return err
				}
				bytes += size
				i++
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return bytes, p.Change(func(tx *profile.Tx) error {
		for i := range c.Conversations {
			if err := tx.SetRead(Talk(i), int64(c.Messages-c.Unread), false, Began); err != nil {
				return err
			}
		}
		return nil
	})
}

// entry is message i: one in fifty a file, one in thirty with a link.
func entry(i int, text string, in qpq.ChannelID, from qpq.UserID) (profile.Entry, int, error) {
	m := wire.Message{Sent: Began.Add(time.Duration(i) * interval)}
	binary.BigEndian.PutUint64(m.ID[:], uint64(i))
	e := profile.Entry{Channel: in, Time: m.Sent, State: profile.Received, Kind: profile.KindText, Sender: from, ID: m.ID}
	if i%30 == 1 {
		text += " https://example.org/" + fmt.Sprint(i)
	}
	m.Body = wire.TextBody{Text: text}
	if i%50 == 2 {
		e.Kind = profile.KindFile
		m.Body = wire.FileBody{Domain: "example.org", Name: fmt.Sprintf("report-%d.pdf", i), MediaType: "application/pdf", Caption: text}
	}
	var err error
	e.Content, err = wire.Marshal(m)
	return e, len(text), err
}

// account signs Own in, who is in all conversations.
func account(p *profile.Profile, conversations int) error {
	device, err := identity.NewDeviceKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err1 := identity.NewAccountKey(rand.Reader)
	vault, err2 := identity.NewVaultKey(rand.Reader)
	request, err3 := device.Request(Own, []uint16{0xF001})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	state, err := identity.NewAccount(key, request, vault, time.Now())
	if err != nil {
		return err
	}
	if err := p.SetAccount(&profile.Account{User: Own, Server: "example.org:4433", Device: device, State: state, Status: profile.Enrolling}); err != nil {
		return err
	}
	if err := p.Confirm(state); err != nil {
		return err
	}
	return p.Change(func(tx *profile.Tx) error {
		for i := range conversations {
			c, err := channel(i, device.ID())
			if err != nil {
				return err
			}
			if err := tx.SetChannel(c); err != nil {
				return err
			}
		}
		return nil
	})
}

func channel(i int, device qpq.DeviceID) (c profile.Channel, err error) {
	c = profile.Channel{ID: Talk(i), Standing: profile.Active}
	c.Founding, err = wire.Marshal(wire.Founding{Channel: c.ID, Domain: Own.Domain, Suite: 1, Creator: wire.MemberDevice{User: Own, Device: device}})
	if err != nil {
		return c, err
	}
	c.Conversation, err = wire.Marshal(wire.Conversation{Founding: c.Founding, Title: fmt.Sprintf("talk%d", i), Members: []wire.MemberRole{{User: Own, Role: wire.RoleOwner}}})
	return c, err
}
