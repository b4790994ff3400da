package playbook

import (
	"cmp"
	"errors"
	"time"

	"github.com/quicproquo/qpq"
)

// Event is something that happened in a run. It holds no secrets.
type Event struct {
	Event    string      `json:"event"` // "begin", "user" (somebody signed in), "step", "note" or "end"
	Name     string      `json:"name,omitempty"`
	File     string      `json:"file,omitempty"`
	Line     int         `json:"line,omitempty"`
	Group    string      `json:"group,omitempty"` // the names of the steps that it is within
	Step     string      `json:"step,omitempty"`
	As       string      `json:"as,omitempty"`
	Status   string      `json:"status,omitempty"` // "passed", "failed" or "skipped"
	Seconds  float64     `json:"seconds,omitempty"`
	Attempts int         `json:"attempts,omitempty"`
	Load     *Figures    `json:"load,omitempty"`
	Error    *EventError `json:"error,omitempty"`
	Text     string      `json:"text,omitempty"` // of a note
	Summary  *Summary    `json:"summary,omitempty"`
}

// EventError is why a step failed.
type EventError struct {
	Kind string `json:"kind"`
	Code string `json:"code"`
	Text string `json:"text"`
}

// The values of Event.Status.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped"
)

// Summary is what a run came to.
type Summary struct {
	Name    string  `json:"name"`
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped"`
	Seconds float64 `json:"seconds"`
}

func seconds(d time.Duration) float64 { return d.Round(10 * time.Microsecond).Seconds() }

func statusOf(err error) string {
	if err != nil {
		return Failed
	}
	return Passed
}

// eventError returns an error for programs, nil for nil.
func (r *run) eventError(err error) *EventError {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		err = f.Err
	}
	return &EventError{qpq.KindOf(err).String(), qpq.CodeOf(err), r.variables.redact(err.Error())}
}

// report tells of something that happened, and counts steps.
func (r *run) report(e Event) {
	e.Step, e.Name, e.Text, e.Group, e.As = r.variables.redact(e.Step), r.variables.redact(e.Name), r.variables.redact(e.Text), r.variables.redact(e.Group), r.variables.redact(e.As)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Event == "step" {
		switch e.Status {
		case Passed:
			r.summary.Passed++
		case Failed:
			r.summary.Failed++
		case Skipped:
			r.summary.Skipped++
		}
	}
	if r.cfg.Report != nil {
		r.cfg.Report(e)
	}
}

// title says what a step is, as it is written.
func (s *Step) title() string {
	switch {
	case s.Name.given:
		return s.Name.source()
	case s.Run != nil:
		return s.Run.text
	case s.Command != "":
		return s.Command
	}
	return cmp.Or(append(s.has(), "step")...)
}

// called returns what a step is called, with the values of variables in its name.
func (s *Step) called(sc *scope) string {
	if s.Name.given {
		if name, err := s.Name.text(sc); err == nil {
			return name
		}
	}
	return s.title()
}

// ended reports a step that came to its end, and returns its failure.
func (r *run) ended(s *Step, at place, began time.Time, attempts int, err error) error {
	return r.outcome(s, at, began, Event{Attempts: attempts}, err)
}

func (r *run) outcome(s *Step, at place, began time.Time, e Event, err error) error {
	e.Event, e.Line, e.Group, e.Step, e.Status = "step", s.At.Line, at.group, s.called(at.scope), statusOf(err)
	e.Seconds, e.Error = seconds(time.Since(began)), r.eventError(err)
	if s.has()[0] == "run" || s.has()[0] == "command" {
		if e.As = at.as; e.As == "" {
			e.As = r.Users[0].Name
		}
	}
	if !at.quiet {
		r.report(e)
	}
	if err == nil {
		return nil
	}
	step := e.Step
	if e.As != "" {
		step = e.As + ": " + step
	}
	return r.failure(s.At, step, err)
}

// skipped reports a step that is not done.
func (r *run) skipped(s *Step, at place) {
	if !at.quiet {
		r.report(Event{Event: "step", Line: s.At.Line, Group: at.group, Step: s.called(at.scope), As: cmp.Or(s.As.source(), at.as), Status: Skipped})
	}
}
