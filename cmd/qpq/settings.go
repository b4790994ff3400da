package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command/tui"
	"github.com/quicproquo/qpq/config"
)

// settings are what a person can choose.
type settings struct {
	config, server, profile, fingerprint, keyring string
	logLevel, color                               string
	json, plain                                   bool
	theme, keySet, notify                         string
	keys                                          []tui.Rebinding

	file string // where the settings file is, whether or not it exists
	data string // the folder of the profile
	log  string // the log file
}

func newSettings() *settings {
	return &settings{profile: "default", keyring: "auto", logLevel: "info", color: "auto", theme: "auto", keySet: "default", notify: "names"}
}

func (s *settings) table() *config.Table {
	return &config.Table{Prefix: "QPQ", Listed: "qpq config", Groups: []config.Group{{Name: "keys", Help: "keys of the screen, by what they do (docs/tui.md lists that): search = \"ctrl+s\"", Set: s.rebind}}, Settings: []config.Setting{
		{Name: "config", Value: config.File(&s.config), Help: "read settings from this TOML `FILE`", NoFile: true},
		{Name: "server", Value: config.Text(&s.server), Help: "reach the server at `ADDR`: host, host:port or [v6]:port; as a rule the domain of your account"},
		{Name: "profile", Value: config.Text(&s.profile), Help: "use the profile `NAME`, one for each account"},
		{Name: "json", Value: config.Bool(&s.json), Help: "print JSON"},
		{Name: "fingerprint", Value: config.Text(&s.fingerprint), Help: "accept the server whose key has this `FINGERPRINT`, SHA256:…, and no other", NoFile: true},
		{Name: "keyring", Value: config.OneOf(&s.keyring, "auto", "off"), Help: "keep the key of new profiles in the system's keyring if there is one (auto), or in a file (off)"},
		{Name: "color", Value: config.OneOf(&s.color, "auto", "never"), Help: "show colours if the terminal can (auto), or never"},
		{Name: "theme", Value: config.OneOf(&s.theme, "auto", "light", "dark"), Help: "use colours that suit a light or a dark terminal, or ask the terminal (auto)"},
		{Name: "key-set", Value: config.OneOf(&s.keySet, "default", "vim"), Help: "use these keys in the full screen"},
		{Name: "notify", Value: config.OneOf(&s.notify, "names", "text", "off"), Help: "while the terminal is not looked at, have the desktop tell who wrote (names), and what (text), or nothing (off)"},
		{Name: "plain", Value: config.Bool(&s.plain), Help: "read and write lines instead of filling the screen, for screen readers and simple terminals"},
		{Name: "log-level", Value: config.OneOf(&s.logLevel, "debug", "info", "warn", "error"), Help: "log what is of this `LEVEL` or above"},
	}}
}

// check refuses what cannot be.
func (s *settings) check() error {
	if s.server != "" {
		if _, err := client.FullAddress(s.server); err != nil {
			return err
		}
	}
	if strings.Trim(s.profile, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") != "" || strings.HasPrefix(s.profile, ".") || s.profile == "" {
		return qpq.E(qpq.Invalid, "bad-profile", fmt.Sprintf("%q is no name of a profile: it takes letters, digits and . _ - @", s.profile))
	}
	return nil
}

// rebind takes a line of the keys.
func (s *settings) rebind(action, keys string, line int) error {
	s.keys = append(s.keys, tui.Rebinding{Action: action, Keys: keys, Line: line})
	return nil
}

// load takes the settings together and finds the folders (XDG Base Directory Specification).
func (s *settings) load(flags *pflag.FlagSet, t *config.Table, lookup func(string) (string, bool)) error {
	home := func(variable, fallback string) (string, error) {
		if dir, ok := lookup(variable); ok && filepath.IsAbs(dir) {
			return filepath.Join(dir, "qpq"), nil
		}
		dir, err := os.UserHomeDir()
		if err != nil {
			return "", qpq.Wrap(qpq.Invalid, "no-home", fmt.Sprintf("there is no home folder: set %s to where files may be kept", variable), err)
		}
		return filepath.Join(dir, fallback, "qpq"), nil
	}
	s.keys = nil
	folder, err := home("XDG_CONFIG_HOME", ".config")
	if err != nil {
		return err
	}
	s.file = filepath.Join(folder, "config.toml")
	given := t.File(flags, lookup)
	if given != "" {
		s.file = given
	} else if _, err := os.Stat(s.file); err == nil {
		given = s.file
	}
	if err := t.Load(flags, lookup, given); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if _, err := tui.NewKeys(s.keySet, s.keys); err != nil {
		return qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), fmt.Sprintf("the configuration file %s cannot be used: %v", s.file, err), err)
	}
	if folder, err = home("XDG_DATA_HOME", filepath.Join(".local", "share")); err != nil {
		return err
	}
	s.data = filepath.Join(folder, s.profile)
	if folder, err = home("XDG_STATE_HOME", filepath.Join(".local", "state")); err != nil {
		return err
	}
	s.log = filepath.Join(folder, s.profile+".log")
	return nil
}
