package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/profile/keyring"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/internal/files"
	"github.com/quicproquo/qpq/transport/dial"
)

// holdPatience is how long to try when a profile is held by a process that takes no commands, because it begins or ends.
const holdPatience = 5 * time.Second

// patience is what is left of holdPatience.
type patience struct{ until time.Time }

func newPatience() patience { return patience{time.Now().Add(holdPatience)} }

// more waits for a moment, and reports whether to try again.
func (p patience) more(ctx context.Context) bool {
	if time.Now().After(p.until) {
		return false
	}
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

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
	notice := p.notice
	if p.quiet {
		notice = nil
	}
	k, err := p.keeper(ctx, notice)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	return k.call(ctx, c, args, p)
}

// keeper runs commands: with the profile once it has got that, and until then in the process that holds it.
type keeper struct {
	p        *program
	ctx      context.Context // of what it does for other processes
	notice   func(client.Notice)
	ended    func() // a command of another process has; may be nil
	log      *slog.Logger
	closeLog func() error

	mu   sync.Mutex
	held *holding
}

// keeper returns one that serves other processes until ctx is done. notice is nil where nobody is there to be told anything.
func (p *program) keeper(ctx context.Context, notice func(client.Notice)) (*keeper, error) {
	log, closeLog, err := openLog(p.settings)
	if err != nil {
		return nil, err
	}
	return &keeper{p: p, ctx: ctx, notice: notice, log: log, closeLog: closeLog}, nil
}

// close lets go of the profile, when all calls have ended.
func (k *keeper) close() (err error) {
	if k.held != nil {
		err = k.held.close()
	}
	return errors.Join(err, k.closeLog())
}

// call runs a command.
func (k *keeper) call(ctx context.Context, c *command.Command, args json.RawMessage, ui command.UI) (out command.Output, err error) {
	defer func() {
		if err != nil {
			k.log.Warn("command failed", "command", c.Name, "kind", qpq.KindOf(err), "code", qpq.CodeOf(err))
		} else {
			k.log.Info("command done", "command", c.Name)
		}
	}()
	if args, err = c.Whole(args, os.Getwd); err != nil {
		return out, err
	}
	for wait := newPatience(); ; {
		engine, err := k.engine()
		if err == nil {
			return c.Run(ctx, &command.Env{Client: engine, UI: ui}, args)
		}
		if qpq.CodeOf(err) != "profile-in-use" {
			return out, err
		}
		if conn, dialErr := net.Dial("unix", profile.Socket(k.p.settings.data)); dialErr == nil {
			k.log.Debug("handed over", "command", c.Name)
			out, err = command.Handover(ctx, conn, command.Request{
				Release: config.Release(), Server: k.p.settings.server, Fingerprint: k.p.settings.fingerprint, Command: c.Name, Args: args}, ui)
			var moved *command.Moved
			if errors.As(err, &moved) {
				args, wait = moved.Args, newPatience()
			} else if qpq.CodeOf(err) != command.CodeHolderLeft {
				return out, err
			}
		}
		if !wait.more(ctx) {
			if ctx.Err() != nil {
				err = qpq.Wrap(qpq.Unavailable, "cancelled", "given up on request", ctx.Err())
			}
			return out, err
		}
	}
}

// engine returns the client of the profile, if this process has or gets that.
func (k *keeper) engine() (*client.Client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held != nil {
		return k.held.engine, nil
	}
	held, err := k.hold()
	if err != nil {
		return nil, err
	}
	k.held = held
	return held.engine, nil
}

// keys returns the keyring, nil where there is none to use.
func (p *program) keys() profile.Keys {
	if p.settings.keyring == "off" || !keyring.Present() {
		return nil
	}
	return keyring.Keys{}
}

// holding is the profile, held, and what this process does with it.
type holding struct {
	engine *client.Client
	ends   []func() error // in the order in which they were begun
}

func (h *holding) close() (err error) {
	for _, end := range slices.Backward(h.ends) {
		err = errors.Join(err, end())
	}
	return err
}

// hold opens the profile. Meanwhile this process runs the commands of others too.
func (k *keeper) hold() (h *holding, err error) {
	p := k.p
	h = &holding{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	home, err := profile.OpenHome(p.settings.data, p.keys())
	if err != nil {
		return h, err
	}
	h.ends = append(h.ends, home.Close)
	opened, err := home.Open()
	if err != nil {
		return h, err
	}
	h.ends = append(h.ends, opened.Close)
	holder := &command.Holder{Release: config.Release(), Server: p.settings.server, Fingerprint: p.settings.fingerprint, Ended: k.ended}
	dialer := &dial.Dialer{}
	cfg := client.Config{Profile: opened, Dial: dialer.Dial, Server: p.settings.server, Software: "qpq " + config.Release(), Files: disk.Files{}}
	if k.notice != nil {
		cfg.Notice = func(n client.Notice) {
			k.log.Info("notice", "code", n.Code)
			k.notice(n)
			holder.Notice(n)
		}
		dialer.Notice = func(text string) { k.notice(client.Notice{Code: "udp-blocked", Text: text}) }
	}
	h.ends = append(h.ends, dialer.Close)
	if p.settings.fingerprint != "" {
		if cfg.Fingerprint, err = client.ParseFingerprint(p.settings.fingerprint); err != nil {
			return h, err
		}
	}
	h.engine = client.New(cfg)
	h.ends = append(h.ends, h.engine.Close)
	holder.Client = h.engine
	stop, err := p.share(k.ctx, holder)
	if err != nil {
		k.log.Warn("other processes cannot hand over their commands", "cause", err.Error())
		return h, nil
	}
	h.ends = append(h.ends, stop)
	return h, nil
}

// share takes the commands of other processes until the function that it returns is called, which waits for those under way.
func (p *program) share(ctx context.Context, holder *command.Holder) (func() error, error) {
	path := profile.Socket(p.settings.data)
	l, err := files.Listen(path) // in place of one left by a process that was killed: this one holds the profile now
	if err != nil {
		return nil, err
	}
	var served sync.WaitGroup
	served.Go(func() { _ = holder.Serve(ctx, l) })
	return func() error {
		_ = os.Remove(path)
		_ = l.Close()
		served.Wait()
		return nil
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
