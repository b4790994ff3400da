// Command qpq is the client for the terminal: each of its commands does one thing and ends, but for watch, repl and daemon, which go on.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/playbook"
	"github.com/quicproquo/qpq/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	p := &program{lookup: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// program is one run of qpq.
type program struct {
	lookup         func(string) (string, bool)
	stdin          *os.File
	stdout, stderr io.Writer
	settings       *settings
	quiet          bool // nobody is there to be told anything
	secrets        *secrets
	drawn          int32 // 1 while how far something is stands in the terminal's line
}

// run carries out a command line and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	p.settings, p.secrets = newSettings(), &secrets{sources: map[string]*source{}}
	root := p.root()
	root.SetArgs(args)
	p.stdout, p.stderr = p.printable(p.stdout), p.printable(p.stderr)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	p.showError(err)
	if ctx.Err() != nil {
		return 130 // as shells say of what an interrupt ended
	}
	if qpq.CodeOf(err) == playbook.CodeExpectation {
		return config.ExitUnmet
	}
	return config.ExitCode(err)
}

// root is the command line: what the registry has, and what only terminals need.
func (p *program) root() *cobra.Command {
	table := p.settings.table()
	root := &cobra.Command{
		Use: "qpq", Short: "end-to-end encrypted messages that nobody in between can read",
		Long: "qpq talks to people over a server that cannot read a word of it. Sign up with register, or make this device one of your account with login. " +
			"At a terminal, without a command, it fills the screen with your conversations (docs/tui.md).\n\n" +
			"Settings are taken from a TOML file, the environment and flags, each stronger than the one before (qpq config).",
		Args: config.NoArguments, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return p.talk(c.Context(), c.Help) },
	}
	p.playFlags(root)
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return p.settings.load(root.PersistentFlags(), table, p.lookup) }
	for _, c := range command.All() {
		p.add(root, c)
	}
	root.AddCommand(p.replCommand(), p.daemonCommand(), p.configCommand(table))
	table.Commands(root, p.commandsDocument())
	root.SetFlagErrorFunc(wrongFlag(root.FlagErrorFunc()))
	explain(root)
	return root
}
