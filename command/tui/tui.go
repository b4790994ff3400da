// Package tui is the full-screen front end of a person at a terminal: a list of conversations, what was said in one of them, and a place to write.
//
// What it does and shows comes from the commands of package command, as in every front end. The state of the screen (Model) changes only by messages:
// whatever takes time or reaches outside is a tea.Cmd, and its result a message. Text that comes from others shows what is in it, and does nothing to
// the terminal.
package tui

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
)

// Session runs the commands of one profile.
type Session interface {
	// Call runs a command of the registry, several at a time.
	Call(context.Context, *command.Command, json.RawMessage, command.UI) (command.Output, error)
	Close() error
}

// Theme says which colours suit the terminal.
type Theme string

// The values of Theme.
const (
	Auto  Theme = "auto" // the terminal is asked
	Light Theme = "light"
	Dark  Theme = "dark"
)

// Notifications says when the desktop tells of a message.
type Notifications string

// The values of Notifications.
const (
	NotifyNames Notifications = "names" // who wrote, while the terminal is not looked at
	NotifyText  Notifications = "text"  // and what
	NotifyOff   Notifications = "off"
)

// Config is what Run needs.
type Config struct {
	// Open begins a session with a profile; notices of what nobody asked for go to notice, from any goroutine.
	Open func(profile string, notice func(client.Notice)) (Session, error)
	// Profile is the one to begin with, Profiles lists all that there are.
	Profile  string
	Profiles func() []string
	// Answer returns the answer to a question that nobody is to be asked; nil where there are none.
	Answer     func(question string) ([]byte, bool, error)
	DeviceName string
	Keys       *Keys // nil for the default set
	Theme      Theme
	NoColor    bool
	ASCII      bool // the terminal shows nothing but ASCII
	Notify     Notifications
	// Tell shows a notification on the desktop; nil where that cannot be.
	Tell func(title, text string)

	In  io.Reader
	Out io.Writer
	Env []string
}

// Run shows the screen until the person has enough, or ctx is done.
func Run(ctx context.Context, c Config) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := newModel(ctx, c)
	if err != nil {
		return err
	}
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(c.In), tea.WithOutput(c.Out), tea.WithEnvironment(c.Env), tea.WithoutSignalHandler()}
	if c.NoColor {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	p := tea.NewProgram(m, options...)
	m.send = p.Send
	_, err = p.Run()
	cancel()
	m.wait()
	if err != nil && ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) {
		err = nil
	}
	return errors.Join(err, m.close(), m.fatal)
}

// calls starts commands, and waits for them at the end.
type calls struct {
	ctx  context.Context
	send func(tea.Msg) // to the model, from any goroutine but that of Update

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// command returns f as a tea.Cmd that is waited for at the end.
func (c *calls) command(f func(context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		c.mu.Lock()
		closed := c.closed || c.ctx.Err() != nil
		if !closed {
			c.work.Add(1)
		}
		c.mu.Unlock()
		if closed {
			return nil
		}
		defer c.work.Done()
		return f(c.ctx)
	}
}

// wait returns when all commands have ended, and lets none begin.
func (c *calls) wait() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.work.Wait()
}
