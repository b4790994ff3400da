package main

import (
	"fmt"
	"slices"
	"strings"
)

// targets writes what is expected of quicproquo beside the others, and what came of it.
func (r *run) targets(b *strings.Builder) {
	t := &tally{run: r, out: b}
	b.WriteString("\n## Targets\n\n| | expected | measured | |\n|---|---|---|---|\n")
	t.cpu()
	t.rates()
	t.latencies()
	t.memory()
	t.group()
	fmt.Fprintln(b, "| 5 | enqueue p99 at 1 million users and queued messages at most 1.5 times that at 10 thousand | not by this command, because filling a store takes minutes: `DELIVERY='-grow 10000,1000000 growth' bench/run delivery` | |")
	t.storm()
	if p := r.parts; p != nil {
		fmt.Fprintf(b, "\nThe parts alone, in µs of CPU: a call on a lane %.1f at both ends; a durable insert among 256 callers %.1f; a push %.1f at both ends, %.0f pushes a second. "+
			"A delivered message is one of each, %.1f, and its share of an acknowledgement.\n", p.echo, p.insert, p.push, p.pushes, p.once())
	}
}

// once is one of each, as a message that is delivered has them.
func (p *parts) once() float64 { return p.echo + p.insert + p.push }

// tally writes the lines of the table of targets.
type tally struct {
	*run
	out *strings.Builder
}

// find returns a peer that was measured, nil if it was not.
func (t *tally) find(name string) *subject {
	for _, s := range t.subjects {
		if s.name == name && !s.broken {
			return s
		}
	}
	return nil
}

// among returns those of the names that were measured.
func (t *tally) among(names ...string) (list []*subject) {
	for _, name := range names {
		if s := t.find(name); s != nil {
			list = append(list, s)
		}
	}
	return list
}

// most writes a target that is held if a value is at most so many times another.
func (t *tally) most(n, expected string, value, base, factor float64, what string) {
	t.judge(n, expected, value, base, value/base, factor, value <= factor*base, what)
}

// least writes a target that is held if a value is at least so many times another.
func (t *tally) least(n, expected string, value, base, factor float64, what string) {
	t.judge(n, expected, value, base, value/base, factor, value >= factor*base, what)
}

func (t *tally) judge(n, expected string, value, base, ratio, factor float64, holds bool, what string) {
	if value == 0 || base == 0 {
		t.unmeasured(n, expected)
		return
	}
	verdict := "holds"
	if !holds {
		verdict = fmt.Sprintf("**missed** by a factor of %.2f", max(ratio/factor, factor/ratio))
	}
	fmt.Fprintf(t.out, "| %s | %s | %s: %s to %s, ratio %.3f | %s |\n", n, expected, what, number(value), number(base), ratio, verdict)
}

func (t *tally) unmeasured(n, expected string) {
	fmt.Fprintf(t.out, "| %s | %s | not measured in this run | |\n", n, expected)
}

// best returns the smallest of a figure over peers, 0 if there is none.
func best(list []*subject, f func(*subject) float64) (least float64) {
	for _, s := range list {
		if v := f(s); v > 0 && (least == 0 || v < least) {
			least = v
		}
	}
	return least
}

// greatest returns the greatest.
func greatest(list []*subject, f func(*subject) float64) (most float64) {
	for _, s := range list {
		most = max(most, f(s))
	}
	return most
}

func value(s *subject, f func(*subject) float64) float64 {
	if s == nil {
		return 0
	}
	return f(s)
}

func (t *tally) cpu() {
	n := t.pairs[len(t.pairs)-1]
	cpu := func(s *subject) float64 { return s.cpu(n) }
	own := value(t.find("qpq"), cpu)
	t.most("1", "server CPU a durable message at most 1/5 of the best of ejabberd and prosody", own, best(t.among("ejabberd-pg", "ejabberd-sqlite", "prosody"), cpu), 1.0/5,
		fmt.Sprintf("µs at %s", plural(n, "pair")))
	const once = "at most 1.5 times a call, an insert and a push measured alone"
	if t.parts == nil {
		t.unmeasured("1", once)
		return
	}
	t.most("1", once, own, t.parts.once(), 1.5, "µs")
}

func (t *tally) rates() {
	n := t.pairs[len(t.pairs)-1]
	rate := func(s *subject) float64 { return s.rate(n) }
	ejabberd := greatest(t.among("ejabberd-pg", "ejabberd-sqlite"), rate)
	own := value(t.find("qpq"), rate)
	what := fmt.Sprintf("a second at %s", plural(n, "pair"))
	t.least("2", "delivered at least 4 times ejabberd's best, opaque payloads", own, ejabberd, 4, what)
	t.least("2", "at least twice ejabberd's best, MLS in the clients", value(t.find("qpq-mls"), rate), ejabberd, 2, what)
	t.least("2", "above JetStream that syncs always", own, value(t.find("nats"), rate), 1, what)
}

func (t *tally) latencies() {
	alone := func(s *subject) float64 { return at(s.found.closed[t.pairs[0]], wasDelivered, .5) }
	equal := func(s *subject) float64 { return at(s.found.equal, wasDelivered, .99) }
	own, ejabberd := t.find("qpq"), t.among("ejabberd-pg", "ejabberd-sqlite")
	t.most("2", "one pair alone: p50 at most ejabberd's best", value(own, alone), best(ejabberd, alone), 1, "ms until delivered")
	t.most("2", fmt.Sprintf("p99 at %.0f a second at most half of ejabberd's best", t.equal), value(own, equal), best(ejabberd, equal), .5, "ms until delivered")
}

// kilobytes is what an idle client may take.
const kilobytes = 60

func (t *tally) memory() {
	expected := fmt.Sprintf("at most %d KB an idle client after a collection", kilobytes)
	s := t.find("qpq")
	if s == nil || len(s.found.idle) == 0 {
		t.unmeasured("3", expected)
		return
	}
	last := s.found.idle[len(s.found.idle)-1] // of those that could be measured
	t.most("3", expected, float64(last.collected.rss)/1000, kilobytes, 1, fmt.Sprintf("KB with %d", last.clients))
}

func (t *tally) group() {
	const expected = "a message to a group of 1,000 devices is with all in at most 4 times what 1,000 bare pushes take"
	s := t.find("qpq")
	if s == nil || s.found.fan == nil || t.parts == nil {
		t.unmeasured("4", expected)
		return
	}
	f := s.found.fan
	bare := 1000 * float64(f.devices) / t.parts.pushes
	t.most("4", expected, median(slices.Clone(f.took)), bare, 4, fmt.Sprintf("ms until all of %d have it (median of %d)", f.devices, len(f.took)))
}

func (t *tally) storm() {
	const expected = "10,000 clients reconnect at once, one UDP socket on each side, and none is refused for good"
	s := t.find("qpq")
	if s == nil || s.found.storm == nil {
		t.unmeasured("6", expected)
		return
	}
	m, verdict := s.found.storm, "holds"
	switch {
	case m.refused > 0:
		verdict = fmt.Sprintf("**missed** by %d", m.refused)
	case m.late > 0:
		verdict = fmt.Sprintf("**not shown**: %d were still trying after %v", m.late, stormTime)
	}
	detail := ""
	if m.first != nil {
		detail = fmt.Sprintf(" (the first said: %v)", m.first)
	}
	fmt.Fprintf(t.out, "| 6 | %s | %d of %d clients connected and authenticated again after %.1f s, %d attempts had to be repeated%s, %d refused for good | %s |\n",
		expected, m.clients-m.refused-m.late, m.clients, m.took.Seconds(), m.again, detail, m.refused, verdict)
}
