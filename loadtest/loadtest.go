// Package loadtest puts a server under the load of many clients and measures how it bears it: real accounts, real connections, real
// conversations, by default with real MLS groups at both ends.
//
// A Plan says what is to be done, Run does it and returns a Report, also where it was interrupted. With a rate, work is due at fixed
// times whether or not what came before has ended (an open loop), and latencies count from when it was due: a server that stalls cannot
// hide it. Without one, each sends the next message when the one before was accepted.
package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/wire"
)

// Plan is what a load test does. It is the same for all who take part in one.
type Plan struct {
	Server      string        `json:"server"` // host:port
	Fingerprint []byte        `json:"fingerprint,omitempty"`
	Scenario    string        `json:"scenario"`
	Clients     int           `json:"clients"`
	Rate        float64       `json:"rate"` // of what the scenario does, a second; 0 is as fast as it goes
	Duration    time.Duration `json:"duration"`
	GroupSize   int           `json:"groupSize"` // members of a conversation of several; 0 is 10
	Payload     int           `json:"payload"`   // bytes: of a text, or of all of an opaque message; 0 is 100 and 512
	FileSize    int           `json:"fileSize"`  // bytes; 0 is 1 MiB
	Window      int           `json:"window"`    // messages under way in each conversation where there is no rate; 0 is 1
	Opaque      bool          `json:"opaque"`    // messages are random bytes that nobody encrypts or decrypts
	Stretch     bool          `json:"stretch"`   // passwords are stretched as programs of people do it
	FindLimit   bool          `json:"findLimit"` // connect until the server takes no more
	Patience    time.Duration `json:"patience"`  // for one answer; 0 is 30 s
	Slice       time.Duration `json:"slice"`     // of which the report has a line each; 0 is a second
	Prefix      string        `json:"prefix"`    // of account names; empty is load, with something by chance where nothing is kept
	Part        int           `json:"part"`      // which worker's share it is, from 1; 0 is all of it
}

// Local is what each process that takes part has of its own.
type Local struct {
	State    string // folder in which accounts are kept for another time; empty keeps none
	Token    wire.Secret
	PID      int    // of a server on this machine, to be watched; 0 is none
	Metrics  string // URL of the server's metrics, to be watched; empty is none
	Progress func(Progress)
}

// withDefaults returns the plan with its zero values filled in.
func (p Plan) withDefaults() Plan {
	p.GroupSize = cmp.Or(p.GroupSize, 10)
	p.FileSize = cmp.Or(p.FileSize, 1<<20)
	p.Window = cmp.Or(p.Window, 1)
	p.Patience = cmp.Or(p.Patience, 30*time.Second)
	p.Slice = cmp.Or(p.Slice, time.Second)
	if p.FindLimit {
		p.Rate = cmp.Or(p.Rate, steadyRate)
	}
	if p.Payload == 0 {
		if p.Payload = 100; p.Opaque {
			p.Payload = 512
		}
	}
	return p
}

// Check fails with qpq.Invalid where a plan cannot be carried out, and says what to change.
func (p Plan) Check() error {
	p = p.withDefaults()
	s, known := scenarios[p.Scenario]
	bad := func(format string, args ...any) error {
		return qpq.E(qpq.Invalid, "bad-plan", fmt.Sprintf(format, args...))
	}
	switch {
	case !known:
		return bad("there is no scenario %q: choose one of %v", p.Scenario, Scenarios())
	case p.Clients < s.least(p):
		return bad("the scenario %s takes at least %d clients, and there are %d: raise --clients", p.Scenario, s.least(p), p.Clients)
	case p.GroupSize < 2 || p.GroupSize > 1000:
		return bad("conversations have 2 to 1000 members, and %d were asked for: change --group-size", p.GroupSize)
	case p.Opaque && (p.Payload < leastOpaque || p.Payload > 1<<20):
		return bad("an opaque message has %d to %d bytes, and %d were asked for: change --payload", leastOpaque, 1<<20, p.Payload)
	case !p.Opaque && (p.Payload < leastText || p.Payload > 60_000):
		return bad("a text has %d to 60000 bytes here, and %d were asked for: change --payload", leastText, p.Payload)
	case p.FindLimit && p.Scenario != "connect":
		return bad("--find-limit looks for how many connections there can be: it goes with --scenario connect")
	case p.Duration <= 0:
		return bad("a load test takes some time: give it with --duration, 30s for instance")
	case p.Rate < 0 || p.Rate > 1e6:
		return bad("the rate is from 0 to 1000000 a second, and it is %g: change --rate", p.Rate)
	}
	return nil
}

// Run carries out a plan, by clients in this process. The report is there even where err is not nil, with what was measured until then;
// that ctx ended is no error, but said in the report.
func Run(ctx context.Context, plan Plan, local Local) (*Report, error) {
	r, err := prepare(ctx, plan, local)
	if err == nil {
		err = r.measure(ctx)
	}
	r.close()
	report, failed := merge(r.plan, []share{r.share()}, nil)
	if ctx.Err() != nil {
		report.Interrupted, err = true, nil
	}
	return report, errors.Join(err, failed)
}

// runner is a load test on its way.
type runner struct {
	plan     Plan
	local    Local
	scenario scenario
	fleet    *fleet // nil until the server answered
	rooms    []*room
	record   *recorder
	watch    *watch
	setup    Setup
	began    time.Time // of what is measured; zero before
	ended    time.Time
	own      time.Duration // CPU time of this process in it
	limit    *Limit
	storms   []Storm
}

// prepare does all that is not measured. The runner is there whatever happens.
func prepare(ctx context.Context, plan Plan, local Local) (*runner, error) {
	r := &runner{plan: plan.withDefaults(), local: local, record: newRecorder()}
	if err := plan.Check(); err != nil {
		return r, err
	}
	r.scenario = scenarios[r.plan.Scenario]
	endpoint, err := quic.NewEndpoint(":0", quic.Config{})
	if err != nil {
		return r, err
	}
	r.fleet = &fleet{plan: r.plan, endpoint: endpoint, record: r.record, say: r.say}
	started := time.Now()
	if err := r.fleet.meet(ctx); err != nil {
		return r, err
	}
	if r.watch, err = newWatch(ctx, local); err != nil {
		return r, err
	}
	if r.scenario.accounts && !r.plan.FindLimit { // who looks for the limit of connections needs nobody behind them
		if err := r.enrol(ctx); err != nil {
			return r, err
		}
	}
	if r.scenario.prepare != nil {
		if err := r.scenario.prepare(ctx, r); err != nil {
			return r, err
		}
	}
	r.setup.Took = time.Since(started)
	return r, nil
}

// enrol gets all clients their accounts.
func (r *runner) enrol(ctx context.Context) error {
	book, err := openBook(r.local.State, r.plan, r.fleet.info)
	if err != nil {
		return err
	}
	r.fleet.book = book
	r.setup.Registered, err = r.fleet.enrol(ctx, r.plan.Clients, r.local.Token)
	r.setup.Reused = len(r.fleet.people) - r.setup.Registered
	return err
}

// measure runs the scenario until it has lasted long enough, or ctx ends.
func (r *runner) measure(ctx context.Context) error {
	r.began = time.Now()
	r.record.start(r.began, r.plan.Slice)
	own := usedCPU()
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); r.watch.follow(beside, r.began, r.tell) }()
	err := r.scenario.run(r, ctx)
	r.ended, r.own = time.Now(), usedCPU()-own
	stop()
	<-done
	r.record.finish(r.ended)
	return err
}

// end is when nothing more is due.
func (r *runner) end() time.Time { return r.began.Add(r.plan.Duration) }

// tell tells how the run goes.
func (r *runner) tell() {
	if r.local.Progress != nil {
		r.local.Progress(r.progress())
	}
}

// say tells of what is done before anything is measured.
func (r *runner) say(doing string, done, of int) {
	if r.local.Progress != nil {
		r.local.Progress(Progress{Doing: doing, Done: done, Of: of})
	}
}

func (r *runner) close() {
	if r.fleet != nil {
		r.fleet.close()
	}
}
