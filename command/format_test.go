package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/markdown"
)

// reader is a person at a terminal that has styles.
type reader struct {
	person
	styled []string
}

func (r *reader) ResultStyled(o command.Output, spans []markdown.Span) error {
	text := ""
	for _, s := range spans {
		text += markdown.SGR(s)
	}
	r.styled = append(r.styled, text)
	return r.Result(o)
}

func TestFormat(t *testing.T) {
	s := newServer(t)
	d := s.registered("alice")
	d.run("dm", "user", "alice", "text", "**a**\n> b [c](https://d.e/)")
	d.run("send", "conversation", "alice", "text", "plain")
	show := func() (*reader, string) {
		t.Helper()
		r := &reader{}
		_, err := find(t, "history").Run(t.Context(), &command.Env{Client: d.client, UI: r}, json.RawMessage(`{"conversation": "alice"}`))
		check(t, err)
		values := ""
		for _, o := range r.results {
			b, err := json.Marshal(o.Value)
			check(t, err)
			values += string(b)
		}
		return r, values
	}
	on, _ := show()
	if len(on.styled) != 1 || !strings.Contains(on.styled[0], ": \x1b[1ma\x1b[m\n    > b \x1b[4mc\x1b[m\x1b[4m <https://d.e/>\x1b[m") {
		t.Errorf("with format on it is shown as %q", on.styled)
	}
	if v := d.run("format"); v["format"] != "on" {
		t.Errorf("format is %v", v)
	}
	short := on.results[0].Value.(command.EntryJSON).Short
	d.run("react", "conversation", "alice", "message", short, "emoji", "👍")
	d.run("edit", "conversation", "alice", "message", short, "text", "*e*")
	if changed, _ := show(); len(changed.styled) != 1 || !strings.HasSuffix(changed.styled[0], " (edited) [👍 1]: \x1b[3me\x1b[m") {
		t.Errorf("what was edited is shown as %q", changed.styled)
	}
	d.run("edit", "conversation", "alice", "message", short, "text", "**a**\n> b [c](https://d.e/)")
	on, values := show()
	d.run("format", "switch", "off")
	off, same := show()
	if len(off.styled) != 0 || len(off.results) != len(on.results) || same != values || !strings.Contains(values, `**a**\n`) {
		t.Errorf("with format off it is shown as %q, and programs get %s and not %s", off.styled, same, values)
	}
	if v := d.run("format"); v["format"] != "off" {
		t.Errorf("format is %v", v)
	}
	if _, err := d.try(t.Context(), "format", "switch", "maybe"); !errors.Is(err, qpq.Invalid) {
		t.Errorf("format maybe: %v", err)
	}

	// What the holder of a profile shows to another process has its styles too, and a UI that has none gets the text.
	d.run("format", "switch", "on")
	handed := &reader{}
	handOver(t, d, handed)
	if len(handed.styled) != 1 || handed.styled[0] != on.styled[0] {
		t.Errorf("handed over it is shown as %q", handed.styled)
	}
	plain := &person{}
	handOver(t, d, plain)
	if len(plain.results) != len(on.results) {
		t.Errorf("without styles %d entries are shown, and not %d", len(plain.results), len(on.results))
	}
}

// handOver has the holder of a device's profile show its history.
func handOver(t *testing.T, d *device, ui command.UI) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	check(t, err)
	h := &command.Holder{Client: d.client, Release: "x"}
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), l) }()
	conn, err := net.Dial("unix", l.Addr().String())
	check(t, err)
	_, err = command.Handover(t.Context(), conn, command.Request{Release: "x", Command: "history", Args: json.RawMessage(`{"conversation": "alice"}`)}, ui)
	check(t, errors.Join(err, l.Close(), <-served))
}
