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

	"github.com/quicproquo/qpq"
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
	table.Flags(root.PersistentFlags())
	table.Complete(root)
	root.Flags().BoolVar(&printConfig, "print-config", false, "print the settings in force as a TOML file and exit")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		for _, sentence := range table.Misspelt(p.variables) {
			fmt.Fprintf(p.stderr, "qpq-loadtest: %s\n", sentence)
		}
		return table.Load(root.PersistentFlags(), p.lookup, s.configFile(root, table, p.lookup))
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return qpq.Wrap(qpq.Invalid, "usage", fmt.Sprintf("%v: %s --help lists what there is", err, c.CommandPath()), err)
	})
	root.AddCommand(p.versionCommand(), p.documentsCommand(root, table))
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.HasSubCommands() {
			c.Args = noArguments
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	return root
}

// noArguments refuses arguments where there are none.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%q is one argument too many: %s --help tells what it takes", args[0], c.CommandPath()))
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.stdout, "qpq-loadtest %s\n", config.Release())
			return err
		},
	}
}

// documentsCommand writes what the manual is made of; it is for whoever packs a release.
func (p *program) documentsCommand(root *cobra.Command, table *config.Table) *cobra.Command {
	documents := &cobra.Command{Use: "documents", Short: "write parts of the manual", Hidden: true, Args: noArguments}
	documents.AddCommand(
		&cobra.Command{Use: "man", Short: "write the manual page", Args: noArguments, RunE: func(*cobra.Command, []string) error {
			return table.Man(p.stdout, root)
		}},
		&cobra.Command{Use: "settings", Short: "write the table of settings in Markdown", Args: noArguments, RunE: func(*cobra.Command, []string) error {
			return table.Markdown(p.stdout)
		}})
	return documents
}
