// Command qpq-server is a quicproquo server. It needs no configuration: at its first start it makes its
// keys and a certificate in its data directory, and says how to reach it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	env := environment{lookup: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(env.run(ctx, os.Args[1:]))
}

// environment is what the program has of the world.
type environment struct {
	lookup         func(string) (string, bool)
	stdout, stderr io.Writer
}

// run carries out a command line and returns the exit code.
func (e environment) run(ctx context.Context, args []string) int {
	root := e.root()
	root.SetArgs(args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(e.stderr, "qpq-server: %v\n", err)
	}
	return exitCode(err)
}

// root is the command line.
func (e environment) root() *cobra.Command {
	s := newSettings()
	table := s.table()
	printConfig := false
	root := &cobra.Command{
		Use:   "qpq-server [flags]",
		Short: "a server for end-to-end encrypted messages",
		Long: "qpq-server keeps accounts and passes on messages that it cannot read. Without any configuration it makes " +
			"its keys and a certificate in its data directory, and prints its address and the certificate's fingerprint. " +
			"Settings are taken from a TOML file, the environment and flags, each stronger than the one before.",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if printConfig {
				return table.Print(e.stdout)
			}
			return e.serve(c.Context(), s)
		},
	}
	table.Flags(root.PersistentFlags())
	root.Flags().BoolVar(&printConfig, "print-config", false, "print the settings in force as a TOML file and exit")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := table.Load(root.PersistentFlags(), e.lookup, s.configFile(root, table, e.lookup)); err != nil {
			return err
		}
		return s.check()
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return qpq.Wrap(qpq.Invalid, "usage", err.Error()+": qpq-server --help lists what there is", err)
	})
	root.AddCommand(e.checkCommand(s), e.tokenCommand(s), e.versionCommand(), e.documentsCommand(root, table))
	return root
}

func (e environment) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.stdout, "qpq-server %s\n", release())
			return err
		},
	}
}

// exitCode tells scripts what went wrong.
func exitCode(err error) int {
	switch kind := qpq.KindOf(err); kind {
	case 0:
		return 0
	case qpq.Invalid, qpq.Unsupported:
		return 2
	case qpq.Unavailable, qpq.Exhausted, qpq.RateLimited:
		return 3
	case qpq.Denied, qpq.Unauthorized:
		return 4
	case qpq.NotFound:
		return 5
	case qpq.Conflict, qpq.Exists:
		return 6
	case qpq.Damaged:
		return 7
	}
	return 1
}
