package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/daemon"
	"github.com/quicproquo/qpq/config"
)

// doors are the ways into a daemon that a person names.
type doors struct {
	stdio        bool
	socket, http string
}

// daemonCommand is for programs: it takes commands as JSON-RPC.
func (p *program) daemonCommand() *cobra.Command {
	var d doors
	c := &cobra.Command{
		Use: "daemon", Short: "stay connected, and take commands of programs as JSON-RPC", Args: config.NoArguments,
		Long: "Holds the profile, stays connected, and offers every command to programs and bots as JSON-RPC 2.0: in lines on standard input and output, in lines on a UNIX socket, " +
			"or by HTTP, for programs of this machine. Where none is named, it is the socket " + daemon.Socket("") + " in the profile's folder. Other qpq commands go on working meanwhile.",
		Example: "  qpq daemon\n  qpq daemon --http 127.0.0.1:7333\n  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}' | qpq daemon --stdio",
		RunE:    func(c *cobra.Command, _ []string) error { return p.daemon(c.Context(), d) },
	}
	c.Flags().BoolVar(&d.stdio, "stdio", false, "take lines from standard input, answer on standard output, and end when the lines do")
	c.Flags().StringVar(&d.socket, "socket", "", "take lines on the UNIX socket `PATH`")
	c.Flags().StringVar(&d.http, "http", "", "take HTTP at `ADDR`, which is of this machine alone: 127.0.0.1:PORT")
	return c
}

// daemon runs one until ctx is done or, with --stdio, the lines end.
func (p *program) daemon(ctx context.Context, named doors) (err error) {
	if !named.stdio && named.socket == "" && named.http == "" {
		named.socket = daemon.Socket(p.settings.data)
	}
	signal.Ignore(syscall.SIGPIPE) // whoever read what it says may be gone, and it goes on
	var d *daemon.Daemon
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // for other processes, as long as its own commands go on
	defer cancel()
	k, err := p.keeper(serving, func(n client.Notice) {
		p.notice(n)
		d.Notice(n)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	defer cancel() // before the profile is let go
	d = daemon.New(daemon.Config{Release: config.Release(), DeviceName: deviceName(), Log: k.log})
	k.ended = d.SignedIn
	opened, err := p.open(named) // what is taken shows before anything is held
	if err != nil {
		return err
	}
	engine, err := k.waitForEngine(ctx)
	if err != nil {
		return errors.Join(err, shut(opened))
	}
	p.tell(named, opened)
	return d.Run(ctx, engine, opened)
}

// open opens the ways in that a person named.
func (p *program) open(named doors) (opened daemon.Doors, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, shut(opened))
		}
	}()
	if named.stdio {
		opened.Folder, _ = os.Getwd() // where it is gone, paths are to be whole
		opened.In, opened.Out = p.stdin, p.stdout
		if narrow, ok := p.stdout.(ascii); ok { // JSON is UTF-8 in all locales
			opened.Out = narrow.w
		}
	}
	if named.socket != "" {
		if opened.Socket, err = daemon.Listen(named.socket); err != nil {
			return opened, err
		}
	}
	if named.http != "" {
		if opened.Web, err = daemon.ListenWeb(named.http); err != nil {
			return opened, err
		}
		opened.Token, err = daemon.Token(p.settings.data)
	}
	return opened, err
}

func shut(d daemon.Doors) (err error) {
	for _, l := range []io.Closer{d.Socket, d.Web} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// tell says where programs find the daemon.
func (p *program) tell(named doors, opened daemon.Doors) {
	if opened.Socket != nil {
		p.Show(command.Output{Value: map[string]string{"socket": named.socket}, Text: "taking JSON-RPC on " + named.socket})
	}
	if opened.Web != nil {
		url, token := "http://"+opened.Web.Addr().String(), daemon.TokenFile(p.settings.data)
		p.Show(command.Output{Value: map[string]string{"http": url, "token_file": token}, Text: fmt.Sprintf("taking JSON-RPC on %s/rpc, with the token in %s", url, token)})
	}
}

// waitForEngine gets the profile, from a command that is about to end if need be.
func (k *keeper) waitForEngine(ctx context.Context) (*client.Client, error) {
	for wait := newPatience(); ; {
		engine, err := k.engine()
		if qpq.CodeOf(err) != "profile-in-use" {
			return engine, err
		}
		if !wait.more(ctx) {
			return nil, qpq.Wrap(qpq.Exists, "profile-in-use", "another process holds the profile "+k.p.settings.profile+
				", as another daemon, a session or a watch does: end it, or let the daemon begin first", err)
		}
	}
}
