package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/profile/keyring"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/transport/dial"
)

// holdPatience is how long to try when a profile is held by a process that takes no commands, because it begins or ends.
const holdPatience = 5 * time.Second

// execute runs a command: in this process if it gets the profile, else in the process that holds it.
func (p *program) execute(ctx context.Context, c *command.Command, args json.RawMessage) error {
	out, err := p.perform(ctx, c, args)
	var moved *command.Moved
	if c.Endless && ctx.Err() != nil && (qpq.CodeOf(err) == "cancelled" || errors.As(err, &moved)) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.print(out)
}

func (p *program) perform(ctx context.Context, c *command.Command, args json.RawMessage) (out command.Output, err error) {
	log, closeLog, err := openLog(p.settings)
	if err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			log.Warn("command failed", "command", c.Name, "kind", qpq.KindOf(err), "code", qpq.CodeOf(err))
		} else {
			log.Info("command done", "command", c.Name)
		}
		err = errors.Join(err, closeLog())
	}()
	for deadline := time.Now().Add(holdPatience); ; {
		home, err := profile.OpenHome(p.settings.data, p.keys())
		if err == nil {
			return p.hold(ctx, home, c, args, log)
		}
		if qpq.CodeOf(err) != "profile-in-use" {
			return out, err
		}
		if conn, dialErr := net.Dial("unix", profile.Socket(p.settings.data)); dialErr == nil {
			log.Debug("handed over", "command", c.Name)
			out, err = command.Handover(ctx, conn, command.Request{
				Release: config.Release(), Server: p.settings.server, Fingerprint: p.settings.fingerprint, Command: c.Name, Args: args}, p)
			var moved *command.Moved
			if errors.As(err, &moved) {
				args, deadline = moved.Args, time.Now().Add(holdPatience)
			} else if qpq.CodeOf(err) != command.CodeHolderLeft {
				return out, err
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return out, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// keys returns the keyring, nil where there is none to use.
func (p *program) keys() profile.Keys {
	if p.settings.keyring == "off" || !keyring.Present() {
		return nil
	}
	return keyring.Keys{}
}

// hold runs a command with the profile, and meanwhile those of other processes.
func (p *program) hold(ctx context.Context, home *profile.Home, c *command.Command, args json.RawMessage, log *slog.Logger) (out command.Output, err error) {
	defer func() { err = errors.Join(err, home.Close()) }()
	opened, err := home.Open()
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	dialer := &dial.Dialer{Notice: func(text string) { p.notice(client.Notice{Code: "udp-blocked", Text: text}) }}
	defer func() { err = errors.Join(err, dialer.Close()) }()
	holder := &command.Holder{Release: config.Release(), Server: p.settings.server, Fingerprint: p.settings.fingerprint}
	cfg := client.Config{Profile: opened, Dial: dialer.Dial, Server: p.settings.server, Software: "qpq " + config.Release()}
	if !p.quiet {
		cfg.Notice = func(n client.Notice) {
			log.Info("notice", "code", n.Code)
			p.notice(n)
			holder.Notice(n)
		}
	}
	if p.settings.fingerprint != "" {
		if cfg.Fingerprint, err = client.ParseFingerprint(p.settings.fingerprint); err != nil {
			return out, err
		}
	}
	engine := client.New(cfg)
	defer func() { err = errors.Join(err, engine.Close()) }()
	holder.Client = engine
	stop, err := p.share(ctx, holder)
	if err != nil {
		log.Warn("other processes cannot hand over their commands", "cause", err.Error())
	} else {
		defer stop()
	}
	return c.Run(ctx, &command.Env{Client: engine, UI: p}, args)
}

// share takes the commands of other processes until the function that it returns is called, which waits for those under way.
func (p *program) share(ctx context.Context, holder *command.Holder) (func(), error) {
	path := profile.Socket(p.settings.data)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // left by a process that was killed: this one holds the profile now
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var served sync.WaitGroup
	served.Go(func() { _ = holder.Serve(ctx, l) })
	return func() {
		_ = l.Close()
		served.Wait()
	}, nil
}

// deviceName is what a device is called unless somebody says otherwise.
func deviceName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = runtime.GOOS
	}
	name, _, _ = strings.Cut(name, ".")
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}
