package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStanzas cuts what servers send into stanzas, in a buffer that is smaller than some of them.
func TestStanzas(t *testing.T) {
	stream := "<?xml version='1.0'?><stream:stream id='1' xmlns='jabber:client'><stream:features><bind xmlns='b'/><sm><optional/></sm></stream:features>" +
		"<r xmlns='urn:xmpp:sm:3'/>\n<a h=\"17\" xmlns='urn:xmpp:sm:3'/><message from='a' type='chat'><body>" + string(stamp(42).payload()) + "</body></message></stream:stream>"
	c := &xmppClient{in: bufio.NewReaderSize(strings.NewReader(stream), 64)}
	var names []string
	var last []byte
	for {
		stanza, err := c.stanza()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names, last = append(names, nameOf(stanza)), stanza
		if nameOf(stanza) == "a" && attribute(stanza, "h") != "17" {
			t.Errorf("%s has h %q", stanza, attribute(stanza, "h"))
		}
	}
	if want := []string{"stream:stream", "stream:features", "r", "a", "message"}; !slices.Equal(names, want) {
		t.Errorf("stanzas %v, want %v", names, want)
	}
	if s, err := stampOf(between(last, "<body>", "</body>")); err != nil || s != 42 {
		t.Errorf("stamp %d, %v", s, err)
	}
}

func TestPayload(t *testing.T) {
	if n := len(stamp(1 << 62).payload()); n != payloadSize {
		t.Errorf("a payload has %d bytes", n)
	}
	if s, err := stampOf(envelope(newChannelID(), stamp(1<<62).payload())[envelopeHead:]); err != nil || s != 1<<62 {
		t.Errorf("stamp %d of an envelope, %v", s, err)
	}
	if _, err := stampOf([]byte("short")); err == nil {
		t.Error("a short message has a stamp")
	}
}

// TestSyncs reads what strace writes of calls that others cut in two, that failed, and that were not over.
func TestSyncs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strace")
	text := "12 100.500000 fdatasync(7)  = 0 <0.250000>\n13 101.000000 fsync(8 <unfinished ...>\n12 101.100000 fdatasync(7)         = 0 <0.100000>\n" +
		"13 101.500000 <... fsync resumed>)       = 0 <0.500000>\n14 102.000000 fsync(9 <unfinished ...>\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSyncs(path)
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	want := []span{{at(100500), at(100750)}, {at(101100), at(101200)}, {at(101000), at(101500)}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// TestTargets judges figures of which it is known what they are worth.
func TestTargets(t *testing.T) {
	made := func(name string, rate int, cpu, took time.Duration) *subject {
		f := figures{messages: rate, took: time.Second, server: time.Duration(rate) * cpu, delivered: []time.Duration{took}, accepted: []time.Duration{took}}
		return &subject{peer: peer{name: name}, found: findings{closed: map[int][]figures{1: {f}, 100: {f}}, equal: []figures{f}}}
	}
	r := &run{options: options{pairs: []int{1, 100}, equal: 200}, subjects: []*subject{
		made("qpq", 8000, 100*time.Microsecond, time.Millisecond), made("qpq-mls", 3000, 0, time.Millisecond),
		made("ejabberd-pg", 2000, 700*time.Microsecond, 2*time.Millisecond), made("ejabberd-sqlite", 300, 0, 5*time.Millisecond),
		made("prosody", 600, 500*time.Microsecond, time.Millisecond), made("nats", 9000, 0, time.Millisecond)}}
	b := &strings.Builder{}
	r.targets(b)
	for expected, verdict := range map[string]string{
		"at most 1/5 of the best of ejabberd and prosody |": "ratio 0.200 | holds |",
		"opaque payloads |":                   "ratio 4.000 | holds |",
		"MLS in the clients |":                "ratio 1.500 | **missed** by a factor of 1.33 |",
		"above JetStream that syncs always |": "ratio 0.889 | **missed** by a factor of 1.12 |",
		"p50 at most ejabberd's best |":       "ratio 0.500 | holds |",
		"at most half of ejabberd's best |":   "ratio 0.500 | holds |",
		"after a collection |":                "not measured in this run",
	} {
		found := false
		for line := range strings.Lines(b.String()) {
			found = found || strings.Contains(line, expected) && strings.Contains(line, verdict)
		}
		if !found {
			t.Errorf("%q is not judged with %q:\n%s", expected, verdict, b)
		}
	}
}

// TestVoids: what could not be measured is said where it is missing, with why, and takes nothing else with it.
func TestVoids(t *testing.T) {
	f := figures{messages: 1000, took: time.Second, server: 100 * time.Millisecond, delivered: []time.Duration{time.Millisecond}, accepted: []time.Duration{time.Millisecond}}
	own := &subject{peer: peer{name: "qpq", version: func(string) string { return "1" }}, server: &quicproquo{}, found: findings{closed: map[int][]figures{1: {f}}, equal: []figures{f},
		idle: []idle{{clients: 10, perClient: memory{70_000, 71_000}, collected: &memory{50_000, 51_000}}}, crash: &crash{acknowledged: 9}}}
	own.void(idleStage(100), errors.New("client 42 of 100 could not connect"))
	own.void(idleStage(1000), errNotTried)
	own.void("syncs", errUntraced)
	other := &subject{peer: peer{name: "prosody", version: func(string) string { return "2" }}, server: &prosody{}, broken: true}
	other.void("prepare", errors.New("no disk"))
	r := &run{options: options{pairs: []int{1}, idle: []int{10, 100, 1000}, equal: 200}, subjects: []*subject{own, other}}
	text := r.report()
	for name, want := range map[string]string{
		"delivered a second, 1 pair":                               "| 1000 | failed |",
		"memory an idle client, 10 of them: RSS / PSS, KB":         "| 70.0 / 71.0 | failed |",
		"memory an idle client, 100 of them: RSS / PSS, KB":        "| failed | failed |",
		"memory an idle client, 1000 of them: RSS / PSS, KB":       "| failed | failed |",
		"syncs a message, one at a time":                           "| failed | failed |",
		"acknowledged messages lost when all processes are killed": "| 0 of 9 | failed |",
		"one pair alone: delivered p50 / p99, ms":                  "| 1.00 / 1.00 | failed |",
		"half of its maximum: messages a second":                   "| – | failed |",
	} {
		if got := row(t, text, name); !strings.HasSuffix(strings.TrimSpace(got), want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, want := range []string{"- qpq, 100 idle clients: `client 42 of 100 could not connect`", "- qpq, 1000 idle clients: `not tried", "- prosody, prepare: `no disk`",
		"KB with 10: 50.0 to 60.0, ratio 0.833 | holds |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
}

func TestMiddle(t *testing.T) {
	if m := median([]float64{5, 1, 3}); m != 3 {
		t.Errorf("median %v", m)
	}
	if m := median([]float64{4, 1}); m != 2.5 {
		t.Errorf("median %v", m)
	}
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(100-i)*time.Millisecond)
	}
	if p := percentile(all, .99); p != 100 {
		t.Errorf("p99 %v", p)
	}
	if p := percentile(all, .5); p != 51 {
		t.Errorf("p50 %v", p)
	}
}
