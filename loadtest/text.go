package loadtest

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes a report for people, in lines.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d clients at %s (%s, %s)\n", r.Plan.Scenario, r.Plan.Clients, r.Plan.Server, r.Server.Software, r.Server.Fingerprint)
	fmt.Fprintf(&b, "%s%s\n", r.Loop, r.payloads())
	fmt.Fprintf(&b, "prepared in %s: %d accounts signed up, %d from before, %d conversations; then measured for %.1f s%s\n\n",
		r.Setup.Took.Round(100*time.Millisecond), r.Setup.Registered, r.Setup.Reused, r.Setup.Conversations, r.Seconds, map[bool]string{true: ", until it was interrupted"}[r.Interrupted])
	r.writeSeries(&b)
	r.writeUsage(&b)
	if l := r.Limit; l != nil {
		fmt.Fprintf(&b, "connections: %d at a time, of which %d still answered in the end; no more because %s\n", l.Connections, l.Alive, l.Why)
	}
	for i, s := range r.Storms {
		fmt.Fprintf(&b, "storm %d: of %d clients cut off at once %d were back in %.2f s, with %d tries; refused for good: %d\n", i+1, s.Clients, s.Back, s.Seconds, s.Tries, s.Refused)
	}
	for _, e := range r.Retried {
		fmt.Fprintf(&b, "tried again: %d × %s (%s)\n", e.Count, e.Kind, e.Example)
	}
	for _, k := range r.Workers {
		if k.Lost != "" {
			fmt.Fprintf(&b, "worker %s (%d clients) was lost: %s\n", k.Name, k.Clients, k.Lost)
		}
	}
	fmt.Fprintf(&b, "errors: %d\n", r.Failed())
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "  %d × %s: %s (%s)\n", e.Count, e.During, e.Kind, e.Example)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// payloads says what messages are.
func (r *Report) payloads() string {
	switch {
	case r.Setup.Conversations == 0:
		return ""
	case r.Plan.Opaque:
		return fmt.Sprintf("; messages are %d random bytes that nobody encrypts", r.Plan.Payload)
	}
	return fmt.Sprintf("; messages are texts of %d bytes, encrypted and decrypted by MLS groups", r.Plan.Payload)
}

func (r *Report) writeSeries(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcount\t/s\tp50\tp90\tp99\tp99.9\tmax ms\t")
	for _, s := range r.Series {
		l := s.Latency
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", s.Name, s.Count, s.PerSec, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	_ = t.Flush() // writes to memory
	for _, s := range r.Series {
		if s.Bytes > 0 && s.Count > 0 {
			fmt.Fprintf(w, "%s: %.1f MB, %.1f MB/s\n", s.Name, float64(s.Bytes)/1e6, float64(s.Bytes)/1e6*s.PerSec/float64(s.Count))
		}
	}
	fmt.Fprintln(w)
}

func (r *Report) writeUsage(w io.Writer) {
	fmt.Fprintf(w, "clients: %.1f s of CPU\n", r.ClientCPU)
	u := r.Usage
	if u == nil {
		return
	}
	fmt.Fprintf(w, "server (%s): %.1f s of CPU", u.From, u.CPU)
	if u.CPUPerItem > 0 {
		fmt.Fprintf(w, ", %.0f µs for each %s", 1000*u.CPUPerItem, r.Series[0].Name)
	}
	fmt.Fprintf(w, "; memory %.1f MB, at most %.1f, before it %.1f", float64(u.Memory)/1e6, float64(u.MostMemory)/1e6, float64(u.FirstBytes)/1e6)
	if u.Commits > 0 {
		fmt.Fprintf(w, "; %d commits, each durable", u.Commits)
	}
	fmt.Fprintln(w)
}
