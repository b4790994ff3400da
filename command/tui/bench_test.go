package tui

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// filled makes a profile with messages in some conversations, a tenth of those of each not read, and returns where it is.
func filled(b *testing.B, messages, conversations int) profile.Config {
	b.Helper()
	c := profile.Config{Path: filepath.Join(b.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)}
	p, err := profile.Open(c)
	check(b, err)
	check(b, fill(p, messages, conversations))
	check(b, p.Close())
	return c
}

// local is a session with a client in this process, which reaches no server.
type local struct{ c *client.Client }

func (l local) Call(ctx context.Context, q *command.Command, args json.RawMessage, ui command.UI) (command.Output, error) {
	return q.Run(ctx, &command.Env{Client: l.c, UI: ui}, args)
}

func (l local) Close() error { return l.c.Close() }

func openLocal(c profile.Config) (*profile.Profile, Session, error) {
	p, err := profile.Open(c)
	if err != nil {
		return nil, nil, err
	}
	nowhere := func(context.Context, string, func(tls.ConnectionState) error) (transport.Conn, error) {
		return nil, qpq.E(qpq.Unavailable, "unreachable", "there is no server here")
	}
	return p, local{client.New(client.Config{Profile: p, Dial: nowhere})}, nil
}

var benchMessages = flag.Int("messages", 1_000_000, "how many messages the profile of BenchmarkFirstPaint has")

// BenchmarkFirstPaint: from the key of a profile with a million messages to the first screen that has the newest of them and the list of conversations.
func BenchmarkFirstPaint(b *testing.B) {
	for _, conversations := range []int{20, 200} {
		b.Run(fmt.Sprintf("conversations=%d", conversations), func(b *testing.B) {
			c := filled(b, *benchMessages, conversations)
			for b.Loop() {
				b.StopTimer()
				m := screenOf(b, 80, 24)
				a := newAccount("p")
				var cancel context.CancelFunc
				m.ctx, cancel = context.WithCancel(context.Background())
				m.accounts, m.at = map[string]*account{"p": a}, a
				b.StartTimer()
				p, s, err := openLocal(c)
				check(b, err)
				run(m, m.update(openedMsg{of{a}, s, nil}), func() bool { return strings.Contains(m.View().Content, "message ") })
				b.StopTimer()
				cancel() // what comes is watched until then
				m.wait()
				check(b, s.Close())
				check(b, p.Close())
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/paint")
		})
	}
}

// run carries out commands and what they lead to, one after the other, until something is so.
func run(m *Model, cmd tea.Cmd, done func() bool) {
	ctx, cancel := context.WithTimeout(m.ctx, 20*time.Second)
	defer cancel()
	msgs := make(chan tea.Msg, 100)
	m.send = func(msg tea.Msg) { msgs <- msg }
	begin := func(cmd tea.Cmd) {
		if cmd == nil {
			return
		}
		go func() {
			if msg := cmd(); msg != nil {
				msgs <- msg
			}
		}()
	}
	begin(cmd)
	for !done() {
		select {
		case msg := <-msgs:
			if batch, ok := msg.(tea.BatchMsg); ok {
				for _, c := range batch {
					begin(c)
				}
				continue
			}
			_, next := m.Update(msg)
			begin(next)
		case <-ctx.Done():
			panic(fmt.Sprint("the screen never shows it: ", m.fatal, m.status.text, m.text()))
		}
	}
}

// fill signs alice in, and writes messages of bob, the newest tenth of which alice has not read.
func fill(p *profile.Profile, messages, conversations int) error {
	alice, bob := qpq.UserID{Name: "alice", Domain: "localhost"}, qpq.UserID{Name: "bob", Domain: "localhost"}
	device, err := identity.NewDeviceKey(rand.Reader)
	if err != nil {
		return err
	}
	request, err := device.Request(alice, []uint16{0xF001})
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
	state, err := identity.NewAccount(key, request, vault, time.Now())
	if err != nil {
		return err
	}
	if err := p.SetAccount(&profile.Account{User: alice, Server: "localhost", Device: device, State: state, Status: profile.Enrolling}); err != nil {
		return err
	}
	if err := p.Confirm(state); err != nil {
		return err
	}
	ids := make([]qpq.ChannelID, conversations)
	err = p.Change(func(tx *profile.Tx) error {
		for i := range ids {
			rand.Read(ids[i][:])
			founding, err := wire.Marshal(wire.Founding{Channel: ids[i], Domain: "localhost", Suite: 1, Creator: wire.MemberDevice{User: alice, Device: device.ID()}, Peer: bob})
			if err != nil {
				return err
			}
			agreed, err := wire.Marshal(wire.Conversation{Founding: founding, Title: fmt.Sprintf("group %d", i), Members: []wire.MemberRole{{User: alice}, {User: bob}}})
			if err != nil {
				return err
			}
			if err := tx.SetChannel(profile.Channel{ID: ids[i], Founding: founding, Conversation: agreed, Standing: profile.Active}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	const batch = 10_000
	at := time.Now().Add(-time.Duration(messages) * time.Second)
	for from := 0; from < messages; from += batch {
		err := p.Change(func(tx *profile.Tx) error {
			for n := from; n < min(from+batch, messages); n++ {
				content, err := wire.Marshal(wire.Message{Sent: at, Body: wire.TextBody{Text: fmt.Sprintf("message %d, which says something of the length that people write", n)}})
				if err != nil {
					return err
				}
				at = at.Add(time.Second)
				e := profile.Entry{Channel: ids[n%conversations], Time: at, State: profile.Received, Kind: profile.KindText, Sender: bob, Content: content}
				rand.Read(e.ID[:])
				position, err := tx.AddEntry(e)
				if err != nil {
					return err
				}
				if n == messages*9/10 {
					for _, id := range ids {
						if err := tx.SetRead(id, position, false, at); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
