package playbook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/playbook"
)

// changing are what differs in each run: made-up names, and ids.
var changing = []struct {
	is *regexp.Regexp
	as string
}{{regexp.MustCompile(`\b(alice|bob|member)-[a-z2-7]{8}\b`), "$1-RUN"}, {regexp.MustCompile(`"[0-9a-f]{32}"|"short":"\w+"`), "ID"}}

// transcript is what happened, without times.
func (p *played) transcript() string {
	var b strings.Builder
	for i := range p.events { // those that are done at the same time end in any order
		for j := i; j > 0 && p.events[j].Group != "" && p.events[j-1].Group == p.events[j].Group && p.events[j-1].Line > p.events[j].Line; j-- {
			p.events[j-1], p.events[j] = p.events[j], p.events[j-1]
		}
	}
	for _, e := range p.events {
		if e.Event == "note" || e.Event == "begin" {
			continue
		}
		if e.Event == "end" {
			fmt.Fprintf(&b, "end %d passed, %d failed, %d skipped\n", e.Summary.Passed, e.Summary.Failed, e.Summary.Skipped)
			continue
		}
		fmt.Fprintf(&b, "%s %d %s %s [%s] %s\n", e.Event, e.Line, e.Status, e.As, e.Group, e.Step)
		if e.Error != nil {
			fmt.Fprintf(&b, "    %s (%s): %s\n", e.Error.Code, e.Error.Kind, strings.ReplaceAll(e.Error.Text, "\n", "\n    "))
		}
	}
	if p.err != nil {
		fmt.Fprintf(&b, "%v\n", p.err)
	}
	text := b.String()
	for _, c := range changing {
		text = c.is.ReplaceAllString(text, c.as)
	}
	return text
}

// TestStories plays every file of testdata/play with a real server, and compares what happened.
func TestStories(t *testing.T) {
	s := newServer(t)
	list, err := filepath.Glob("testdata/play/*.yaml")
	check(t, err)
	if len(list) == 0 {
		t.Fatal("there are none")
	}
	for _, path := range list {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			check(t, err)
			p := s.play(t.Context(), filepath.Base(path), string(data), nil)
			same(t, strings.TrimSuffix(path, ".yaml")+".txt", p.transcript())
			_, err = p.junit.Document()
			check(t, err)
		})
	}
}

func TestFailureKeepsKindAndCode(t *testing.T) {
	s := newServer(t)
	p := s.play(t.Context(), "x.yaml", "users: {alice: }\nsteps:\n  - run: whoami\n", nil)
	if qpq.KindOf(p.err) != qpq.NotFound || qpq.CodeOf(p.err) != "not-signed-in" || !strings.HasPrefix(p.err.Error(), "x.yaml:3:5: alice: whoami: ") {
		t.Error(p.err)
	}
	p = s.play(t.Context(), "x.yaml", "users: {alice: }\nsteps:\n  - {run: whoami, expect: {fails: denied}}\n", nil)
	if qpq.CodeOf(p.err) != playbook.CodeExpectation {
		t.Error(p.err)
	}
}

func TestVariablesAreGiven(t *testing.T) {
	s := newServer(t)
	const text = `
vars:
  a: file
  b: {value: file}
  c: {file: c.txt}
  d: {secret: true}
  e: [x, y]
users: {alice: }
steps:
  - {set: {all: "${a} ${b} ${c} ${e}", list: "${e}"}}
  - {run: whoami, if: "${all} == set env read [\"x\",\"y\"]", expect: {fails: not-signed-in}}
  - {run: "send ${d} ${list}", expect: {fails: no}}
`
	env := map[string]string{"QPQ_VAR_a": "env", "QPQ_VAR_b": "env", "QPQ_VAR_d": "hush hush"}
	p := s.play(t.Context(), "x.yaml", text, func(c *playbook.Config) {
		c.Set = map[string]string{"a": "set"}
		c.Lookup = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
		c.Read = func(path string) ([]byte, error) { return []byte("read\nmore"), nil }
	})
	if len(p.steps(playbook.Passed)) != 2 || p.summary.Skipped != 0 {
		t.Errorf("%s", p.transcript())
	}
	for name, c := range map[string]struct {
		set  map[string]string
		env  string
		says string
	}{
		"unknown": {map[string]string{"aa": "1"}, "", `x.yaml has no variable of this name: there are a, b, c, d and e`},
		"secret":  {map[string]string{"d": "1"}, "", "--set gives a secret, which others can see"},
		"none":    {nil, "", "it has no value: give it with --set d=VALUE, or put it into the environment as QPQ_VAR_d"},
		"short":   {nil, "abc", "the secret d is shorter than 4 bytes"},
	} {
		p := s.play(t.Context(), "x.yaml", text, func(p *playbook.Config) {
			p.Set = c.set
			p.Lookup = func(v string) (string, bool) { return c.env, c.env != "" && v == "QPQ_VAR_d" }
			p.Read = func(path string) ([]byte, error) { return []byte("read"), nil }
		})
		if qpq.KindOf(p.err) != qpq.Invalid || !strings.Contains(p.err.Error(), c.says) || len(p.events) > 0 {
			t.Errorf("%s: %v", name, p.err)
		}
	}
}

// TestSecretsStaySecret: wherever a secret turns up, its name stands in its place.
func TestSecretsStaySecret(t *testing.T) {
	s := newServer(t)
	secrets := []string{`hu"sh \ hush`, "a-password-of-alice", "hidden-name"}
	p := s.play(t.Context(), "x.yaml", `
name: secrets
vars:
  text: {value: 'hu"sh \ hush', secret: true}
  name: {value: hidden-name, secret: true}
users:
  alice: {register: true, account: "alice-${run}", password: a-password-of-alice}
  hidden-name: {}
steps:
  - as: alice
    run: dm ${user.alice} ${text}
    name: "says ${text}"
  - as: alice
    run: passwd --recovery-code
    answers: {new-password: another-password}
    capture: {code: {path: shown.recovery_code, secret: true}}
  - as: alice
    run: history ${user.alice}
    expect: {path: ".[0].text", equals: "${text}"}
  - as: hidden-name
    run: whoami
    expect: {fails: not found}
  - as: alice
    run: history ${user.alice}
    expect: {path: ".[].text", contains: "no ${text} ${code} a-password-of-alice"}
`, nil)
	if qpq.CodeOf(p.err) != playbook.CodeExpectation {
		t.Fatal(p.transcript())
	}
	var all bytes.Buffer
	progress := playbook.Progress{Out: &all, Long: true}
	for _, e := range p.events {
		progress.Report(e)
		b, err := json.Marshal(e)
		check(t, err)
		all.Write(b)
	}
	document, err := p.junit.Document()
	check(t, err)
	all.Write(document)
	all.WriteString(p.err.Error())
	for _, s := range secrets {
		quoted, err := json.Marshal(s)
		check(t, err)
		var escaped bytes.Buffer
		check(t, xml.EscapeText(&escaped, []byte(s)))
		for _, form := range []string{s, string(quoted[1 : len(quoted)-1]), escaped.String(), fmt.Sprintf("%q", s)} {
			if strings.Contains(all.String(), form) {
				t.Errorf("%s is in\n%s", form, &all)
			}
		}
	}
	if got := all.String(); !strings.Contains(got, "says [text]") || !strings.Contains(got, "[code]") || regexp.MustCompile(`[A-Z2-9]{4,5}-[A-Z2-9]{4,5}-`).MatchString(got) {
		t.Error(got)
	}
}

// TestInterrupt: who gives up has the cleanup done all the same.
func TestInterrupt(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := s.play(ctx, "x.yaml", `
users: {alice: {register: true, account: "alice-${run}"}}
steps:
  - run: whoami
  - {run: watch, name: goes on}
  - run: list
always:
  - run: whoami
  - {run: members nobody, name: fails}
  - run: list
`, func(c *playbook.Config) {
		report := c.Report
		c.Report = func(e playbook.Event) {
			report(e)
			if e.Step == "whoami" {
				cancel()
			}
		}
	})
	if qpq.CodeOf(p.err) != "cancelled" || len(p.steps(playbook.Passed)) != 3 || p.summary.Failed < 1 {
		t.Errorf("%v\n%s", p.err, p.transcript())
	}
}

// TestLoad: all that is to begin at a rate does, and what came of it is told.
func TestLoad(t *testing.T) {
	s := newServer(t)
	p := s.play(t.Context(), "x.yaml", `
users:
  alice: {register: true, account: "alice-${run}"}
steps:
  - run: dm ${user.alice}
  - name: many
    rate: 200/s
    for: 200ms
    limit: 4
    run: send ${user.alice} number ${n}
  - run: history ${user.alice} --limit 100
    expect: {path: ".[kind=text]", count: 40}
  - name: all fail
    rate: 100/s
    for: 100ms
    run: members nobody
`, nil)
	passed, failed := p.steps(playbook.Passed), p.steps(playbook.Failed)
	if len(passed) != 3 || len(failed) != 1 {
		t.Fatal(p.transcript())
	}
	l := passed[1].Load
	if l == nil || l.Begun != 40 || l.Failed != 0 || l.Wanted != 200 || l.P50 <= 0 || l.P90 < l.P50 || l.P99 < l.P90 || l.Max < l.P99 {
		t.Errorf("%+v", l)
	}
	if l := failed[0].Load; l.Begun != 10 || l.Failed != 10 || l.Max != 0 || qpq.KindOf(p.err) != qpq.NotFound {
		t.Errorf("%+v %v", l, p.err)
	}
}

// recorded notes which commands go on in a session.
type recorded struct {
	playbook.Session
	mu      sync.Mutex
	calls   []string
	running int
}

func (r *recorded) Call(ctx context.Context, c *command.Command, args json.RawMessage, ui command.UI) (command.Output, error) {
	r.mu.Lock()
	r.calls = append(r.calls, c.Name)
	r.running++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.running--
		r.mu.Unlock()
	}()
	return r.Session.Call(ctx, c, args, ui)
}

// TestWaitingWatches: a step that waits is told what comes, and what tells it ends with the step.
func TestWaitingWatches(t *testing.T) {
	s := newServer(t)
	var bob *recorded
	p := s.play(t.Context(), "x.yaml", `
users:
  alice: {register: true, account: "alice-${run}"}
  bob: {register: true, account: "bob-${run}"}
steps:
  - {as: bob, run: whoami}
  - parallel:
      - {as: bob, run: recv, within: 1m, expect: {path: ".[].text", contains: at last}, capture: {heard: ".[kind=text][].text"}}
      - as: alice
        steps:
          - {run: recv, within: 200ms, expect: {count: 0}}
          - {run: "dm ${user.bob} not yet"}
          - {run: "history ${user.bob}", within: 1m, expect: {path: ".[].text", contains: not yet}}
          - {run: "dm ${user.bob} at last"}
  - {if: "${heard} == [\"not yet\",\"at last\"]", as: bob, run: list}
`, func(c *playbook.Config) {
		open := c.Open
		c.Open = func(ctx context.Context, of playbook.Profile) (playbook.Session, error) {
			session, err := open(ctx, of)
			if of.User == "bob" {
				bob = &recorded{Session: session}
				return bob, err
			}
			return session, err
		}
	})
	if p.err != nil || p.summary.Skipped > 0 || !slices.Contains(bob.calls, "watch") || bob.running != 0 {
		t.Errorf("%v\n%s", bob.calls, p.transcript())
	}
}

// TestReports: all of them have every step.
func TestReports(t *testing.T) {
	s := newServer(t)
	p := s.play(t.Context(), "x.yaml", `
name: "reports"
users: {alice: {register: true, account: "alice-${run}"}}
steps:
  - {run: whoami, name: "control \e[31m"}
  - {name: inner, steps: [{run: list}, {run: list, if: a == b}]}
  - {run: list, expect: {count: 3}}
  - {run: list}
`, nil)
	document, err := p.junit.Document()
	check(t, err)
	var suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Class   string `xml:"classname,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	check(t, xml.Unmarshal(document, &suite))
	if suite.Name != "reports" || suite.Tests != 5 || suite.Failures != 1 || suite.Errors != 0 || suite.Skipped != 2 || len(suite.Cases) != 5 ||
		suite.Cases[1].Class != "reports.inner.alice" || suite.Cases[3].Failure == nil || suite.Cases[3].Failure.Message != `expected the result to have 3, and it is []` {
		t.Errorf("%+v\n%s", suite, document)
	}
	var text bytes.Buffer
	progress := playbook.Progress{Out: &text}
	for _, e := range p.events {
		progress.Report(e)
	}
	if got := text.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "reports: failed, 2 steps passed, 1 failed, 2 skipped, in ") || strings.Count(got, "\n") < 6 {
		t.Error(got)
	}
}

// TestProgressOfHostileFiles: whatever a playbook calls things, a terminal is told nothing by it, and no line looks like another one.
func TestProgressOfHostileFiles(t *testing.T) {
	const bad = "\x1b[2J\x1b]0;title\x07\nok      1  alice: pay (1 ms)\u009b5n\u202e"
	var text bytes.Buffer
	progress := playbook.Progress{Out: &text, Long: true, Paint: func(text, _ string) string { return "<" + text + ">" }}
	for _, e := range []playbook.Event{
		{Event: "begin", Name: bad, File: bad},
		{Event: "note", Text: bad},
		{Event: "step", Step: bad, Group: bad, As: bad, Status: playbook.Passed},
		{Event: "step", Step: bad, Group: bad, Status: playbook.Skipped},
		{Event: "step", Group: bad, Status: playbook.Failed, Error: &playbook.EventError{Text: bad}},
		{Event: "end", Name: bad, Summary: &playbook.Summary{Name: bad}},
	} {
		progress.Report(e)
	}
	for _, line := range strings.Split(text.String(), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.HasPrefix(line, "ok ") {
			t.Errorf("a line is %q", line)
		}
	}
	if n := strings.Count(text.String(), "\n"); n != 8 { // a failure has a line for its step, and as many as its text has
		t.Errorf("%d lines: %q", n, text.String())
	}
}
