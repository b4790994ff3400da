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
	"time"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/node"
)

func main() {
	if _, chosen := os.LookupEnv("GOGC"); !chosen {
		node.PaceCollector()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, unless it comes with the first: some send to process and group.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	env := environment{lookup: os.LookupEnv, variables: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
	signal.Ignore(ignoredSignals...)
	os.Exit(env.run(ctx, os.Args[1:]))
}

// environment is what the program has of the world.
type environment struct {
	lookup         func(string) (string, bool)
	variables      []string // KEY=value
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
	return config.ExitCode(err)
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
		Args: config.NoArguments, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if printConfig {
				return table.Print(e.stdout)
			}
			return e.serve(c.Context(), s)
		},
	}
	root.Flags().BoolVar(&printConfig, "print-config", false, "print the settings in force as a TOML file and exit")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := table.Load(root.PersistentFlags(), e.lookup, table.File(root.PersistentFlags(), e.lookup)); err != nil {
			return err
		}
		return s.check()
	}
	root.AddCommand(e.checkCommand(s), e.tokenCommand(s))
	table.Commands(root)
	return root
}
