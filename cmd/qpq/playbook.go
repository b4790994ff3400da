package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/playbook"
	"github.com/quicproquo/qpq/internal/files"
)

// playing are the flags of the program itself that are about playbooks.
type playing struct {
	file, junit string
	set         []string
}

// playFlags has the program play a playbook where --run says so, and do what it does otherwise without.
func (p *program) playFlags(root *cobra.Command) {
	var f playing
	root.Flags().StringVar(&f.file, "run", "", "play the playbook in the YAML `FILE`: what several people do, and what has to come of it")
	root.Flags().StringArrayVar(&f.set, "set", nil, "with --run, give a variable of the playbook a value: `NAME=VALUE`")
	root.Flags().StringVar(&f.junit, "junit", "", "with --run, write a report in JUnit's format to `FILE`")
	_ = root.MarkFlagFilename("run", "yaml", "yml")
	_ = root.MarkFlagFilename("junit", "xml")
	_ = root.RegisterFlagCompletionFunc("set", cobra.NoFileCompletions)
	otherwise := root.RunE
	root.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case c.Flags().Changed("run"):
			return p.play(c.Context(), f, c.Flags().Changed("server"))
		case c.Flags().Changed("set"), c.Flags().Changed("junit"):
			return qpq.E(qpq.Invalid, "usage", "--set and --junit are for playbooks: name one with --run")
		}
		return otherwise(c, args)
	}
}

// play plays a playbook, and writes the report. serverGiven says that --server was, which is stronger than what the playbook says.
func (p *program) play(ctx context.Context, f playing, serverGiven bool) error {
	junit := &playbook.JUnit{}
	err := p.playFile(ctx, f, serverGiven, junit.Report)
	if f.junit == "" {
		return err
	}
	if err != nil {
		junit.Trouble(f.file, err)
	}
	report, failed := junit.Document()
	if failed == nil {
		failed = files.Write(f.junit, report)
	}
	if failed != nil {
		failed = qpq.Wrap(qpq.Unavailable, "output", fmt.Sprintf("the report %s cannot be written: %v: make its folder writable", f.junit, failed), failed)
	}
	return errors.Join(err, failed)
}

// playFile plays a playbook, and tells what happens.
func (p *program) playFile(ctx context.Context, f playing, serverGiven bool, tell func(playbook.Event)) (err error) {
	data, err := readPart(f.file, playbook.MaxFile+1)
	if err != nil {
		return qpq.Wrap(qpq.NotFound, "no-file", fmt.Sprintf("%v: name the file of a playbook with --run", err), err)
	}
	book, err := playbook.Load(f.file, data)
	if err != nil {
		return err
	}
	values, err := assignments(f.set)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "qpq-playbook-")
	if err != nil {
		return qpq.Wrap(qpq.Unavailable, "temp", fmt.Sprintf("a folder for temporary profiles cannot be made: %v: set TMPDIR to one that can be written", err), err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	scratch := filepath.Join(temp, "files")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return err
	}
	show := p.progressOfPlay()
	_, err = book.Play(ctx, playbook.Config{
		Open: func(ctx context.Context, of playbook.Profile) (playbook.Session, error) {
			return p.player(ctx, of, temp, serverGiven)
		},
		Read:   func(path string) ([]byte, error) { return readPart(path, maxSecret) },
		Lookup: p.lookup, Set: values, Temp: scratch,
		Report: func(e playbook.Event) {
			tell(e)
			show(e)
		},
	})
	return err
}

// progressOfPlay returns what shows what happens: in lines for people, or as JSON.
func (p *program) progressOfPlay() func(playbook.Event) {
	if p.settings.json {
		return func(e playbook.Event) { _ = p.printJSON(e) }
	}
	progress := &playbook.Progress{Out: p.stdout}
	if p.colors(os.Stdout) {
		progress.Paint = func(text, color string) string { return "\x1b[" + color + "m" + text + "\x1b[0m" }
	}
	return progress.Report
}

// player returns what runs the commands of a user.
func (p *program) player(ctx context.Context, of playbook.Profile, temp string, serverGiven bool) (playbook.Session, error) {
	own, settings := *p, *p.settings
	own.settings = &settings
	if of.Server != "" && !serverGiven {
		settings.server = of.Server
	}
	if of.Name == "" {
		settings.keyring = "off"
		settings.data, settings.log = filepath.Join(temp, "profiles", of.User), filepath.Join(temp, "profiles", of.User+".log")
	} else {
		settings.profile = of.Name
		settings.data, settings.log = filepath.Join(filepath.Dir(settings.data), of.Name), filepath.Join(filepath.Dir(settings.log), of.Name+".log")
	}
	if err := settings.check(); err != nil {
		return nil, err
	}
	k, err := own.keeper(context.WithoutCancel(ctx), func(n client.Notice) { of.Notice(n.Text) })
	if err != nil {
		return nil, err
	}
	return player{k}, nil
}

// player is a keeper whose profile a playbook uses.
type player struct{ *keeper }

// Call implements playbook.Session.
func (k player) Call(ctx context.Context, c *command.Command, args json.RawMessage, ui command.UI) (command.Output, error) {
	return k.call(ctx, c, args, ui)
}

// Close implements playbook.Session.
func (k player) Close() error { return k.close() }

// readPart returns what a file has, up to a size.
func readPart(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// assignments reads what --set says.
func assignments(list []string) (map[string]string, error) {
	values := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("--set %s: write --set NAME=VALUE", s))
		}
		values[name] = value
	}
	return values, nil
}
