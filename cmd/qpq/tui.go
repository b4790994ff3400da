package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/tui"
)

// talk is what qpq does without a command: it fills the screen at a terminal that can be filled, reads lines at one that cannot or where the person
// wants it so, and shows the help where nobody is.
func (p *program) talk(ctx context.Context, help func() error) error {
	switch {
	case p.settings.json || !term.IsTerminal(int(p.stdin.Fd())) || !p.atTerminal():
		return help()
	case p.settings.plain || !p.cursor():
		return p.repl(ctx)
	}
	return p.tui(ctx)
}

// tui fills the screen. Interrupts are keys there.
func (p *program) tui(outer context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(outer))
	defer cancel()
	_, ignore := p.signals(cancel, true)
	defer ignore()
	keys, err := tui.NewKeys(p.settings.keySet, p.settings.keys)
	if err != nil {
		return err
	}
	_ = os.Unsetenv("TEA_TRACE") // it would have all that is typed written to a file
	_, narrow := p.stdout.(ascii)
	return tui.Run(ctx, tui.Config{
		Open: func(name string, notice func(client.Notice)) (tui.Session, error) {
			return p.session(ctx, name, notice)
		},
		Profile: p.settings.profile, Profiles: p.profiles, Answer: p.secrets.read, DeviceName: deviceName(), Keys: keys,
		Theme: tui.Theme(p.settings.theme), NoColor: !p.colors(os.Stdout), ASCII: narrow, Notify: tui.Notifications(p.settings.notify), Tell: desktop(p.lookup),
		In: p.stdin, Out: os.Stdout, Env: os.Environ(),
	})
}

// session is a keeper of one profile among several.
type session struct {
	*keeper
	end context.CancelFunc
}

// Call implements tui.Session.
func (s session) Call(ctx context.Context, c *command.Command, args json.RawMessage, ui command.UI) (command.Output, error) {
	return s.call(ctx, c, args, ui)
}

// Close implements tui.Session.
func (s session) Close() error {
	s.end() // what other processes handed over ends
	return s.close()
}

// session begins one with a profile.
func (p *program) session(ctx context.Context, name string, notice func(client.Notice)) (tui.Session, error) {
	of := *p
	chosen := *p.settings
	of.settings = &chosen
	chosen.profile = name
	if err := chosen.check(); err != nil {
		return nil, err
	}
	chosen.data = filepath.Join(filepath.Dir(p.settings.data), name)
	chosen.log = filepath.Join(filepath.Dir(p.settings.log), name+".log")
	ctx, cancel := context.WithCancel(ctx)
	k, err := of.keeper(ctx, notice)
	if err != nil {
		cancel()
		return nil, err
	}
	return session{k, cancel}, nil
}

// profiles lists the profiles that there are, with the one in use.
func (p *program) profiles() []string {
	names := []string{p.settings.profile}
	dir := filepath.Dir(p.settings.data)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return names
	}
	for _, e := range entries {
		if e.IsDir() && profile.Exists(filepath.Join(dir, e.Name())) && !slices.Contains(names, e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// tellPatience bounds how long the desktop may take.
const tellPatience = 5 * time.Second

// desktop returns what shows a notification, nil where there is nothing that does.
func desktop(lookup func(string) (string, bool)) func(title, text string) {
	name := "notify-send"
	if runtime.GOOS == "darwin" {
		name = "osascript"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	if bus, _ := lookup("DBUS_SESSION_BUS_ADDRESS"); name == "notify-send" && bus == "" {
		return nil
	}
	return func(title, text string) {
		ctx, cancel := context.WithTimeout(context.Background(), tellPatience)
		defer cancel()
		args := []string{"--app-name=qpq", "--", title, markup.Replace(text)}
		if name == "osascript" {
			args = []string{"-e", "on run argv", "-e", "display notification (item 2 of argv) with title (item 1 of argv)", "-e", "end run", "--", title, text}
		}
		_ = exec.CommandContext(ctx, path, args...).Run() // nobody is left to be told
	}
}

// markup escapes what desktops read as markup.
var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
