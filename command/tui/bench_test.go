//go:build unix

package tui

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/internal/history"
	"github.com/quicproquo/qpq/transport"
)

var (
	benchMessages = flag.Int("messages", 1_000_000, "how many messages the profile of BenchmarkFirstPaint has")
	benchFolder   = flag.String("profiles", "", "`folder` where profiles of BenchmarkFirstPaint stay, and are used again")
)

// filled returns a profile with messages in some conversations, the newest tenth of which is not read.
func filled(b *testing.B, messages, conversations int) profile.Config {
	b.Helper()
	folder := *benchFolder
	if folder == "" {
		folder = b.TempDir()
	}
	c := profile.Config{Path: filepath.Join(folder, fmt.Sprintf("%d-in-%d.db", messages, conversations)), Key: make([]byte, profile.KeySize)}
	if _, err := os.Stat(c.Path); err == nil {
		return c
	}
	p, err := profile.Open(c)
	check(b, err)
	_, err = history.Fill(p, history.Config{Messages: messages, Conversations: conversations, Unread: messages / 10})
	check(b, err)
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

// BenchmarkFirstPaint: from the key of a profile with a million messages to the first screen that has the newest of them and the list of conversations.
func BenchmarkFirstPaint(b *testing.B) {
	for _, conversations := range []int{20, 200} {
		b.Run(fmt.Sprintf("conversations=%d", conversations), func(b *testing.B) {
			c := filled(b, *benchMessages, conversations)
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				m := screenOf(b, 80, 24)
				a := newAccount("p")
				var cancel context.CancelFunc
				m.ctx, cancel = context.WithCancel(context.Background())
				m.accounts, m.at = map[string]*account{"p": a}, a
				b.StartTimer()
				used -= cpu(b)
				p, s, err := openLocal(c)
				check(b, err)
				run(m, m.update(openedMsg{of{a}, s, nil}), func() bool { return strings.Contains(m.View().Content, "person") })
				b.StopTimer()
				used += cpu(b)
				cancel() // what comes is watched until then
				m.wait()
				check(b, s.Close())
				check(b, p.Close())
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/paint")
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/paint")
		})
	}
}

// cpu returns the time that processors spent for this program.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
