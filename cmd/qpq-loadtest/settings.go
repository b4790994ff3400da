package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/loadtest"
	"github.com/quicproquo/qpq/wire"
)

// settings are what can be chosen.
type settings struct {
	config, server, fingerprint, scenario string
	clients, groupSize, payload, fileSize int
	window                                int
	rate                                  string
	duration, patience, slice             time.Duration
	opaque, stretch, findLimit            bool
	prefix, state, tokenFile              string
	serverPID                             int
	metrics                               string
	maxErrors                             int
	coordinator, worker, secretFile       string
	workers                               int
	json, html, compare                   string
}

func newSettings() *settings {
	return &settings{server: "127.0.0.1:" + wire.StandardPort, scenario: "dm", clients: 100, groupSize: 10, fileSize: 1024, window: 1, workers: 1, rate: "max",
		duration: 30 * time.Second, patience: 30 * time.Second, slice: time.Second}
}

// table is where flags, environment, file, help and the manual come from.
func (s *settings) table() *config.Table {
	return &config.Table{Prefix: "QPQ_LOADTEST", Settings: []config.Setting{
		{Name: "config", Value: config.File(&s.config), Help: "read settings from this TOML `FILE`", NoFile: true},
		{Name: "server", Value: config.Address(&s.server, wire.StandardPort, false), Help: "load the server at `ADDR`, host:port, by QUIC"},
		{Name: "fingerprint", Value: config.Text(&s.fingerprint), Help: "refuse a server whose `FINGERPRINT` is another than this one, as the server prints it; without it any is taken, and the report says which it was"},
		{Name: "scenario", Value: config.OneOf(&s.scenario, loadtest.Scenarios()...), Help: "do this `WORD`: " + loadtest.Describe()},
		{Name: "clients", Value: config.Int(&s.clients, 1, 1_000_000), Help: "be `N` clients, each an account with one device and a connection"},
		{Name: "rate", Value: rate{&s.rate}, Help: "do `R` of it a second in all, whether or not what came before has ended; 0 or max is as fast as it goes, one after the other"},
		{Name: "duration", Value: config.Duration(&s.duration), Help: "measure for this `TIME`"},
		{Name: "opaque-payload", Value: config.Bool(&s.opaque), Help: "send random bytes that nobody encrypts or decrypts, which loads the server alone"},
		{Name: "group-size", Value: config.Int(&s.groupSize, 2, 1000), Help: "let `N` people be in a conversation of several"},
		{Name: "payload", Value: config.Int(&s.payload, 0, 1<<20), Help: "send messages of `N` bytes: texts before they are encrypted, opaque ones in all; 0 is 100 and 512"},
		{Name: "file-size", Value: config.Int(&s.fileSize, 1, 1<<20), Help: "send files of `N` KiB"},
		{Name: "window", Value: config.Int(&s.window, 1, 1000), Help: "without a rate, have `N` messages under way in each conversation"},
		{Name: "find-limit", Value: config.Bool(&s.findLimit), Help: "with --scenario connect, connect until the server takes no more or --clients are connected, and tell how many and why"},
		{Name: "patience", Value: config.Duration(&s.patience), Help: "wait for an answer, and for what is still under way in the end, for this `TIME`"},
		{Name: "slice", Value: config.Duration(&s.slice), Help: "report in slices of this `TIME`, which --compare compares"},
		{Name: "prefix", Value: config.Text(&s.prefix), Help: "let names of accounts begin with `NAME`; empty is load, with something by chance where --state keeps nothing"},
		{Name: "state", Value: config.File(&s.state), Help: "keep accounts and conversations in the directory `DIR`, so that another run need not make them; they have secrets in them; empty keeps nothing"},
		{Name: "token-file", Value: config.File(&s.tokenFile), Help: "sign up with the registration token in this `FILE`"},
		{Name: "stretch-passwords", Value: config.Bool(&s.stretch), Help: "stretch passwords as qpq does, which costs the clients much and the server nothing; without it they are random keys, for which it adds nothing"},
		{Name: "server-pid", Value: config.Int(&s.serverPID, 0, math.MaxInt32), Help: "tell CPU and memory of the server, which is the process `PID` of this machine"},
		{Name: "server-metrics", Value: config.Text(&s.metrics), Help: "tell CPU, memory and commits of the server by its metrics at `URL`, which it prints with --metrics"},
		{Name: "max-errors", Value: config.Int(&s.maxErrors, 0, math.MaxInt32), Help: "end with exit code 8 where there are more than `N` errors"},
		{Name: "coordinator", Value: config.Address(&s.coordinator, "4443", true), Help: "have workers do the work, who connect to `ADDR`, where this program listens; it starts them at the same moment and makes one report"},
		{Name: "workers", Value: config.Int(&s.workers, 1, 1000), Help: "as coordinator, wait for `N` workers"},
		{Name: "worker", Value: config.Address(&s.worker, "4443", true), Help: "work for the coordinator at `ADDR`, which says what is to be done"},
		{Name: "secret-file", Value: config.File(&s.secretFile), Help: "prove to coordinator or workers the secret in this `FILE`, which is the same for all of them"},
		{Name: "json", Value: config.File(&s.json), Help: "write a report for programs to `FILE`"},
		{Name: "html", Value: config.File(&s.html), Help: "write a report with charts for people to `FILE`, which needs nothing else"},
		{Name: "compare", Value: config.File(&s.compare), Help: "measure nothing, but compare the report `OLD` with the one that is the argument", NoFile: true},
	}}
}

// rate is a number of something a second, as 50 or 50/s, or max.
type rate struct{ p *string }

func (r rate) String() string { return *r.p }
func (r rate) Type() string   { return "rate" }
func (r rate) Set(s string) error {
	s = strings.TrimSuffix(s, "/s")
	if s != "max" {
		if v, err := strconv.ParseFloat(s, 64); err != nil || v < 0 || v > 1e6 || math.IsNaN(v) {
			return fmt.Errorf("it is no rate: write a number up to 1000000, or max")
		}
	}
	*r.p = s
	return nil
}

// arguments refuses any but what --compare compares.
func (s *settings) arguments(args []string) error {
	switch {
	case s.compare != "" && len(args) != 1:
		return qpq.E(qpq.Invalid, "usage", "--compare takes two reports: qpq-loadtest --compare OLD.json NEW.json")
	case s.coordinator != "" && s.worker != "":
		return qpq.E(qpq.Invalid, "usage", "one program is either coordinator or worker: leave out --coordinator or --worker")
	case s.compare == "" && len(args) > 0:
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%q is one argument too many: qpq-loadtest --help tells what it takes", args[0]))
	}
	return nil
}

// plan returns what is to be done.
func (s *settings) plan() (loadtest.Plan, error) {
	p := loadtest.Plan{Server: s.server, Scenario: s.scenario, Clients: s.clients, Duration: s.duration, GroupSize: s.groupSize, Payload: s.payload,
		FileSize: s.fileSize << 10, Window: s.window, Opaque: s.opaque, Stretch: s.stretch, FindLimit: s.findLimit, Patience: s.patience, Slice: s.slice, Prefix: s.prefix}
	if s.rate != "max" {
		p.Rate, _ = strconv.ParseFloat(s.rate, 64) // was checked when it was set
	}
	if s.fingerprint != "" {
		sum, err := client.ParseFingerprint(s.fingerprint)
		if err != nil {
			return p, err
		}
		p.Fingerprint = sum
	}
	return p, p.Check()
}

// local returns what this process has of its own.
func (s *settings) local() (loadtest.Local, error) {
	l := loadtest.Local{State: s.state, PID: s.serverPID, Metrics: s.metrics}
	if s.tokenFile == "" {
		return l, nil
	}
	var err error
	l.Token, err = secretIn("token-file", "the registration token", s.tokenFile)
	return l, err
}

// secretIn reads a secret from a file that a flag names.
func secretIn(flag, what, path string) (wire.Secret, error) {
	if path == "" {
		return wire.Secret{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s is missing: name a file that has it with --%s", what, flag))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return wire.Secret{}, qpq.Wrap(qpq.NotFound, "no-secret", fmt.Sprintf("%s cannot be read: %v: check --%s", what, err, flag), err)
	}
	return wire.NewSecret(string(bytes.TrimSpace(b))), nil
}
