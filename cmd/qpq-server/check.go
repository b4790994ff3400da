package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/store"
)

// minDisk is how little free space makes a server fail its check, in bytes.
const minDisk = 64 << 20

func (e environment) checkCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "check configuration, certificate, store and clock",
		Long: "check looks at all that a server needs, whether or not it runs, and says what is wrong with it. It reads the " +
			"whole database. Like a start, it brings a database of an older release up to date, after copying it.",
		Args: config.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error { return e.check(c.Context(), s) },
	}
}

// findings are what a check has found so far.
type findings struct {
	e      environment
	failed error
}

func (f *findings) add(what string, err error) {
	if err == nil {
		fmt.Fprintf(f.e.stdout, "ok    %s\n", what)
		return
	}
	fmt.Fprintf(f.e.stdout, "FAIL  %s: %v\n", what, err)
	if f.failed == nil {
		f.failed = err
	}
}

func (e environment) check(ctx context.Context, s *settings) error {
	f := &findings{e: e}
	f.add("configuration", nil)
	if _, err := os.Stat(s.data); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(e.stdout, "note  %s does not exist: the first start makes it\n", s.data)
		f.add("clock", checkClock(nil, time.Now()))
		return f.result()
	}
	home, err := anyHome(s.data)
	if err != nil {
		f.add("data directory", err)
		return f.result()
	}
	f.add("data directory", nil)
	f.add("permissions", checkPermissions(home, s))
	f.add("disk", checkDisk(home))
	meta := e.checkStore(ctx, s, home, f)
	f.add("clock", checkClock(meta, time.Now()))
	if certificate := e.checkCertificate(s, home, f); certificate != nil {
		for _, risk := range risks(s, home, certificate, meta, time.Now()) {
			fmt.Fprintf(e.stdout, "warn  %s\n", risk)
		}
	}
	for _, sentence := range s.table().Misspelt(e.variables) {
		fmt.Fprintf(e.stdout, "warn  %s\n", sentence)
	}
	return errors.Join(f.result(), home.Close())
}

// checkCertificate returns the certificate, nil if there is none to use. It makes none: that is for a start.
func (e environment) checkCertificate(s *settings, home *node.Home, f *findings) *node.Certificate {
	if _, err := os.Stat(home.Database()); s.tlsCert == "" && errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(e.stdout, "note  there is no certificate in use: the first start makes it")
		return nil
	}
	certificate, err := home.Certificate(s.domain, s.tlsCert, s.tlsKey, time.Now())
	if err == nil && s.domain != "" { // no domain where the store cannot be read
		err = certificate.Check(s.domain, time.Now())
	}
	f.add("certificate", err)
	return certificate
}

// result says in one sentence what came of the check; the findings have told the rest.
func (f *findings) result() error {
	if f.failed == nil {
		return nil
	}
	return qpq.Wrap(qpq.KindOf(f.failed), "check-failed", "the check found what must be mended before the server can be relied on", f.failed)
}

// checkStore returns what the store says of itself, nil if it cannot be read.
func (e environment) checkStore(ctx context.Context, s *settings, home *node.Home, f *findings) *store.Meta {
	if _, err := os.Stat(home.Database()); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(e.stdout, "note  there is no database: the first start makes it")
		s.domain = cmp.Or(s.domain, "localhost")
		return nil
	}
	_, err := home.Passwords()
	if err == nil {
		_, err = home.SigningKey()
	}
	f.add("keys", err)
	st, engine, err := openStore(ctx, s, home)
	if err != nil {
		f.add("store", err)
		return nil
	}
	defer engine.Close()
	s.domain = st.Domain()
	meta, err := st.Meta(ctx)
	if err == nil {
		err = engine.Check(ctx)
	}
	f.add(fmt.Sprintf("store of %s, schema %d", s.domain, meta.Schema), err)
	return &meta
}

func checkPermissions(home *node.Home, s *settings) error {
	if exposed := home.Exposed(s.tlsKey); len(exposed) > 0 {
		return qpq.E(qpq.Denied, "exposed", fmt.Sprintf("others on this machine can read %s: chmod it to 600, or 700 for a directory", exposed[0]))
	}
	return nil
}

func checkDisk(home *node.Home) error {
	free, err := home.FreeDisk()
	if err == nil && free < minDisk {
		err = qpq.E(qpq.Exhausted, "disk-full", fmt.Sprintf("only %d MiB are free on the disk of %s: make room", free>>20, home.Dir()))
	}
	return err
}

// checkClock compares the clock with what it cannot be behind of.
func checkClock(meta *store.Meta, now time.Time) error {
	if now.Before(config.Built()) {
		return qpq.E(qpq.Invalid, "bad-clock", fmt.Sprintf("it shows %s, and this program was made later: set it", now.UTC().Format(time.DateTime)))
	}
	if meta != nil && now.Before(meta.Created) {
		return qpq.E(qpq.Invalid, "bad-clock", fmt.Sprintf("it shows %s, and the store was made at %s: set it", now.UTC().Format(time.DateTime), meta.Created.Format(time.DateTime)))
	}
	return nil
}
