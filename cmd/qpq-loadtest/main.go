// Command qpq-loadtest puts a server under the load of many clients and reports how it bears it. docs/load-testing.md tells how to use it.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, unless it comes with the first: some send to process and group.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	p := &program{lookup: os.LookupEnv, variables: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, terminal: isTerminal(os.Stderr)}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// program is what it has of the world.
type program struct {
	lookup         func(string) (string, bool)
	variables      []string // KEY=value
	stdout, stderr io.Writer
	terminal       bool // stderr is one
}

// tooManyErrors is the error of a load test that came to its end with more errors than may be.
type tooManyErrors struct{ text string }

func (e tooManyErrors) Error() string { return e.text }

// run carries out a command line and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(p.stderr, "qpq-loadtest: %v\n", err)
	if _, unmet := err.(tooManyErrors); unmet {
		return config.ExitUnmet
	}
	return config.ExitCode(err)
}

// root is the command line.
func (p *program) root() *cobra.Command {
	s := newSettings()
	table := s.table()
	printConfig := false
	root := &cobra.Command{
		Use:   "qpq-loadtest [flags] | --compare OLD NEW",
		Short: "puts a server under load and measures how it bears it",
		Long: "qpq-loadtest signs up accounts, connects as all of them and does what a scenario says at a rate, with real end-to-end encryption " +
			"unless --opaque-payload leaves it out. Latencies count from when something was due, so that a server that stalls cannot hide it. " +
			"It tells how it goes, and writes reports for programs (--json) and people (--html). With --compare it says whether the second of two " +
			"reports is better or worse than the first, or whether what differs is noise. Load only servers that are yours.",
		Args: func(c *cobra.Command, args []string) error { return s.arguments(args) }, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			if printConfig {
				return table.Print(p.stdout)
			}
			return p.work(c.Context(), s, args)
		},
	}
	root.Flags().BoolVar(&printConfig, "print-config", false, "print the settings in force as a TOML file and exit")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		for _, sentence := range table.Misspelt(p.variables) {
			fmt.Fprintf(p.stderr, "qpq-loadtest: %s\n", sentence)
		}
		return table.Load(root.PersistentFlags(), p.lookup, table.File(root.PersistentFlags(), p.lookup))
	}
	table.Commands(root)
	return root
}
