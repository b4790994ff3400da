package main

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

const (
	conversations = 40
	people        = 60
	interval      = 90 * time.Second // between messages: a million are three years
)

var began = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)

func person(i int) qpq.UserID {
	return qpq.UserID{Name: fmt.Sprintf("person%d", i), Domain: "example.org"}
}
func talk(i int) qpq.ChannelID {
	return qpq.ChannelID{1, byte(i)}
}

// fill makes a profile with n messages of some people in some conversations: a few of either have most of them. It returns how many bytes they say.
func fill(path string, n int, seed int64) (bytes int, err error) {
	p, err := profile.Open(profile.Config{Path: path, Key: key})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := account(p); err != nil {
		return 0, err
	}
	words := newCorpus(seed)
	draw := mrand.New(mrand.NewSource(seed))
	in, from := mrand.NewZipf(draw, 1.3, 2, conversations-1), mrand.NewZipf(draw, 1.3, 2, people-1)
	for i := 0; i < n; {
		err := p.Change(func(tx *profile.Tx) error {
			for range min(100, n-i) {
				e, size, err := entry(i, words.message(), talk(int(in.Uint64())), person(int(from.Uint64())))
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
	for i := range conversations { // or each "in:" counts what was not read
		if err := p.SetRead(talk(i), int64(n), false, began); err != nil {
			return 0, err
		}
	}
	return bytes, nil
}

// entry is message i: one in fifty a file, one in thirty with a link.
func entry(i int, text string, in qpq.ChannelID, from qpq.UserID) (profile.Entry, int, error) {
	m := wire.Message{Sent: began.Add(time.Duration(i) * interval)}
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

// account makes the profile that of somebody who is in all conversations.
func account(p *profile.Profile) error {
	device, err := identity.NewDeviceKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err := identity.NewAccountKey(rand.Reader)
	if err != nil {
		return err
	}
	vault, err := identity.NewVaultKey(rand.Reader)
	if err != nil {
		return err
	}
	request, err := device.Request(own, []uint16{0xF001})
	if err != nil {
		return err
	}
	state, err := identity.NewAccount(key, request, vault, time.Now())
	if err != nil {
		return err
	}
	if err := p.SetAccount(&profile.Account{User: own, Server: "example.org:4433", Device: device, State: state, Status: profile.Enrolling}); err != nil {
		return err
	}
	return p.Change(func(tx *profile.Tx) error {
		for i := range conversations {
			founding, err := wire.Marshal(wire.Founding{Channel: talk(i), Creator: wire.MemberDevice{User: own}, Domain: "example.org"})
			if err != nil {
				return err
			}
			agreed, err := wire.Marshal(wire.Conversation{Founding: founding, Title: fmt.Sprintf("talk%d", i), Members: []wire.MemberRole{{User: own, Role: wire.RoleOwner}}})
			if err != nil {
				return err
			}
			if err := tx.SetChannel(profile.Channel{ID: talk(i), Founding: founding, Conversation: agreed, Standing: profile.Active}); err != nil {
				return err
			}
		}
		return nil
	})
}
