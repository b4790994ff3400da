//go:build linux

package loadtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// TestLimitIsFound: a server that takes so many connections is found to take just as many.
func TestLimitIsFound(t *testing.T) {
	const most = 30
	s := start(t, append([]string{"--max-connections", "30"}, wide...)...)
	p := s.short("connect", 1000)
	p.FindLimit, p.Rate, p.Duration = true, 200, time.Minute
	r := run(t, p, Local{PID: s.cmd.Process.Pid})
	if l := r.Limit; l == nil || !l.Reached || l.Connections != most || l.Alive != most || !strings.Contains(l.Why, "no room") {
		t.Errorf("%+v", r.Limit)
	}
	for deadline := time.Now().Add(time.Minute); s.gauge(t, "qpq_connections") > 0; { // the server may count for long those that have ended
		if time.Now().After(deadline) {
			t.Fatal("the server counts connections that have ended")
		}
	}
	p.Clients = 10
	if l := run(t, p, Local{}).Limit; l == nil || l.Reached || l.Connections != 10 || l.Alive != 10 {
		t.Errorf("%+v", l)
	}
}

// TestErrorsAreCounted: what a server refuses is counted by its kind, with what to do about it.
func TestErrorsAreCounted(t *testing.T) {
	s := start(t, "--address-rate", "1000000", "--account-rate", "3")
	p := s.short("dm", 2)
	p.Rate = 1000 // flat out, a slow machine would not do more than is saved up
	r, err := Run(t.Context(), p, Local{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Errors, func(e ErrorCount) bool { return e.Kind == "rate-limited" && e.During == "send" })
	if i < 0 || r.Errors[i].Count == 0 || r.Errors[i].Example == "" || r.Failed() < r.Errors[i].Count {
		t.Errorf("%+v", r.Errors)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "--account-rate") }) {
		t.Errorf("nothing says what to do: %q", r.Notes)
	}
	parses(t, r)
}

// TestServerIsKilled: what is under way fails, is counted, and the report comes.
func TestServerIsKilled(t *testing.T) {
	s := start(t, wide...)
	p := s.short("dm", 4)
	p.Duration, p.Patience, p.Rate = 4*time.Second, 2*time.Second, 50
	var once sync.Once
	r, err := Run(t.Context(), p, Local{Metrics: s.metrics, Progress: func(p Progress) {
		if slices.ContainsFunc(p.Series, func(r Rate) bool { return r.Name == seriesAccepted }) {
			once.Do(func() { _ = s.cmd.Process.Kill() })
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() == 0 || r.count(seriesAccepted) == 0 || r.Usage.Missed == 0 {
		t.Errorf("%d accepted, errors %+v", r.count(seriesAccepted), r.Errors)
	}
}

// TestInterrupted: what was measured until then is reported.
func TestInterrupted(t *testing.T) {
	s := start(t, wide...)
	p := s.short("dm", 4)
	p.Duration = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := Run(ctx, p, Local{Progress: func(p Progress) {
		if p.Doing == "" {
			stop()
		}
	}})
	if err != nil || !r.Interrupted || r.count(seriesAccepted) == 0 || r.Failed() > 0 {
		t.Errorf("%v %+v", err, r)
	}
	parses(t, r)
	ctx, stop = context.WithCancel(t.Context())
	r, err = Run(ctx, p, Local{Progress: func(Progress) { stop() }}) // before anything is measured
	if err != nil || !r.Interrupted || len(r.Series) > 0 {
		t.Errorf("%v %+v", err, r)
	}
}

// TestRefused: what cannot be done is said in a sentence.
func TestRefused(t *testing.T) {
	s := start(t, append([]string{"--registration", "token"}, wide...)...)
	wrong := make([]byte, 32)
	for name, c := range map[string]struct {
		change func(*Plan)
		local  Local
		kind   qpq.Kind
		says   string
	}{
		"scenario":  {func(p *Plan) { p.Scenario = "x" }, Local{}, qpq.Invalid, "choose one of [connect dm"},
		"clients":   {func(p *Plan) { p.Clients = 1 }, Local{}, qpq.Invalid, "raise --clients"},
		"group":     {func(p *Plan) { p.GroupSize = 1001 }, Local{}, qpq.Invalid, "change --group-size"},
		"payload":   {func(p *Plan) { p.Payload = 15 }, Local{}, qpq.Invalid, "change --payload"},
		"opaque":    {func(p *Plan) { p.Opaque, p.Payload = true, 63 }, Local{}, qpq.Invalid, "change --payload"},
		"limit":     {func(p *Plan) { p.FindLimit = true }, Local{}, qpq.Invalid, "--scenario connect"},
		"duration":  {func(p *Plan) { p.Duration = 0 }, Local{}, qpq.Invalid, "--duration"},
		"rate":      {func(p *Plan) { p.Rate = -1 }, Local{}, qpq.Invalid, "--rate"},
		"token":     {func(p *Plan) {}, Local{}, qpq.Denied, "--token-file"},
		"bad token": {func(p *Plan) {}, Local{Token: wire.NewSecret("nonsense")}, qpq.Denied, "cannot sign up"},
		"other":     {func(p *Plan) { p.Fingerprint = wrong }, Local{}, qpq.Denied, "check --fingerprint"},
		"nobody":    {func(p *Plan) { p.Server, p.Patience = "127.0.0.1:1", time.Second }, Local{}, qpq.Unavailable, "check --server"},
		"process":   {func(p *Plan) {}, Local{PID: 1 << 30}, qpq.NotFound, "--server-pid"},
		"metrics":   {func(p *Plan) {}, Local{Metrics: "http://127.0.0.1:1/metrics"}, qpq.NotFound, "--server-metrics"},
	} {
		p := s.short("dm", 2)
		c.change(&p)
		if _, err := Run(t.Context(), p, c.local); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
