package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl"
	"github.com/quicproquo/qpq/command/repl/editor"
	"github.com/quicproquo/qpq/config"
)

// replCommand is the conversation with a person at a terminal, or with lines from a pipe.
func (p *program) replCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "repl", Short: "talk: type what you want to say, and see what others say", Args: config.NoArguments,
		Long: "Stays connected and shows what comes in, above the line that you type. What does not begin with a slash is said in the current conversation; " +
			"/help lists the commands. If nobody is signed in, it first asks who you are.\n\n" +
			"Without a terminal it carries out the lines of standard input, shows what comes meanwhile, and ends when all is sent.",
		Example: "  qpq repl\n  printf '/dm bob\\nhello\\n' | qpq repl",
		RunE:    func(c *cobra.Command, _ []string) error { return p.repl(c.Context()) },
	}
	p.signingIn(c)
	return c
}

// signingIn adds the flags for what is asked where nobody is signed in.
func (p *program) signingIn(c *cobra.Command) {
	for _, name := range []string{"register", "login"} {
		if asking, err := command.Find(name); err == nil {
			for _, q := range asking.Asks {
				if c.Flags().Lookup(q.Name+"-file") == nil {
					p.secrets.flags(c.Flags(), q)
				}
			}
		}
	}
}

// repl runs a session. Interrupts are the person's own business there, and end it only where there is none.
func (p *program) repl(outer context.Context) (err error) {
	if p.settings.json {
		return qpq.E(qpq.Invalid, "usage", "repl shows text for people: programs call the other commands with --json, and watch for what comes")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(outer))
	defer cancel()
	person := term.IsTerminal(int(p.stdin.Fd())) && p.atTerminal()
	interrupts, ignore := p.signals(cancel, person)
	defer ignore()
	var r *repl.REPL
	k, err := p.keeper(ctx, func(n client.Notice) { r.Notice(n) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	defer cancel() // before the profile is let go: what other processes handed over ends
	c := repl.Config{Call: k.call, Person: person, DeviceName: deviceName()}
	if person && p.cursor() && !p.settings.plain {
		c.Color = p.colors(os.Stdout)
		screen, closeScreen, err := p.screen(func(before string) (int, []string) { return r.Complete(before) })
		if err != nil {
			return err
		}
		defer closeScreen()
		c.Console = repl.Terminal(screen, p.secrets.read)
	} else {
		c.Console = repl.NewPlain(p.stdin, p.stdout, p.stderr, person, p.Ask, interrupts)
	}
	r = repl.New(c)
	return r.Run(ctx)
}

// atTerminal reports whether what is written is seen by a person.
func (p *program) atTerminal() bool { return term.IsTerminal(int(os.Stdout.Fd())) }

// cursor reports whether the terminal can move its cursor.
func (p *program) cursor() bool {
	kind, _ := p.lookup("TERM")
	return kind != "dumb" && kind != ""
}

// signals passes interrupts on, and has the session end on the others. Where nobody is at a terminal interrupts end it too.
func (p *program) signals(end func(), person bool) (interrupts <-chan struct{}, ignore func()) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	out, done := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			select {
			case s := <-came:
				if s != os.Interrupt || !person {
					end()
					continue
				}
				select {
				case out <- struct{}{}:
				case <-done:
				}
			case <-done:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(came)
		close(done)
	}
}

// screen returns a line editor at the terminal, and what gives the terminal back.
func (p *program) screen(complete func(string) (int, []string)) (*editor.Editor, func(), error) {
	fd := int(p.stdin.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, qpq.Wrap(qpq.Invalid, "terminal", "the terminal cannot be used key by key: set TERM=dumb to do without", err)
	}
	const pasteOn, pasteOff = "\x1b[?2004h", "\x1b[?2004l"
	write := func(s string) { _, _ = os.Stdout.WriteString(s) }
	_, narrow := p.stdout.(ascii)
	write(pasteOn)
	e := editor.New(editor.Config{
		In: p.stdin, Out: p.stdout, ASCII: narrow, Complete: complete,
		Size: func() (int, int) {
			width, height, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0, 0
			}
			return width, height
		},
		Suspend: suspension(func() {
			write(pasteOff)
			_ = term.Restore(fd, before)
		}, func() {
			_, _ = term.MakeRaw(fd)
			write(pasteOn)
		}),
	}, editor.Prompt{Text: "> "})
	return e, func() {
		e.Close()
		write(pasteOff)
		_ = term.Restore(fd, before)
	}, nil
}
