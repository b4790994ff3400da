//go:build linux

package loadtest

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestScenarios runs each scenario against a real server, encrypted and opaque, with a rate and without.
func TestScenarios(t *testing.T) {
	s := start(t, wide...)
	local := Local{State: t.TempDir(), Metrics: s.metrics}
	for _, c := range []struct {
		plan   Plan
		series []string // that have something
		others int64    // to how many each message goes, 0 where it is not the same for all
	}{
		{s.short("dm", 6), []string{seriesAccepted, seriesDelivered, seriesAcknowledged}, 1},
		{s.short("group", 10), []string{seriesAccepted, seriesDelivered, seriesAcknowledged}, 4},
		{s.short("file", 4), []string{seriesUploaded, seriesAccepted, seriesDelivered, seriesDownloaded}, 1},
		{s.short("mixed", 10), []string{seriesAccepted, seriesDelivered}, 0},
		{s.short("connect", 20), []string{seriesConnected}, 0},
		{s.short("login", 3), []string{seriesLogin}, 0},
		{s.short("reconnect-storm", 20), []string{seriesBack}, 0},
	} {
		for _, opaque := range []bool{false, true} {
			for _, rate := range []float64{0, 40} {
				if opaque && !slices.Contains(c.series, seriesAccepted) {
					continue // there are no messages
				}
				p := c.plan
				p.Opaque, p.Rate = opaque, rate
				name := p.Scenario + map[bool]string{true: " opaque"}[opaque] + map[bool]string{true: " at a rate"}[rate > 0]
				t.Run(name, func(t *testing.T) {
					r := run(t, p, local)
					for _, series := range c.series {
						if r.count(series) == 0 {
							t.Errorf("nothing was %s: %+v", series, r.Series)
						}
					}
					if accepted, delivered := r.count(seriesAccepted), r.count(seriesDelivered); c.others > 0 && delivered != accepted*c.others {
						t.Errorf("%d messages were accepted, and delivered %d times", accepted, delivered)
					}
					if up, down := r.count(seriesUploaded), r.count(seriesDownloaded); up != down {
						t.Errorf("%d files were uploaded, and %d downloaded", up, down)
					}
					if due := int64(rate * p.Duration.Seconds()); rate > 0 && (p.Scenario == "dm" || p.Scenario == "group") && r.count(seriesAccepted) != due {
						t.Errorf("%d messages were accepted, and %d were due", r.count(seriesAccepted), due)
					}
					if r.Usage == nil || r.Usage.Memory == 0 {
						t.Error("nothing is known of the server")
					}
					parses(t, r)
				})
			}
		}
	}
}

// parses writes a report in all forms, and reads it again.
func parses(t *testing.T, r *Report) {
	t.Helper()
	dir := t.TempDir()
	if err := r.WriteJSON(filepath.Join(dir, "r.json")); err != nil {
		t.Fatal(err)
	}
	again, err := ReadReport(filepath.Join(dir, "r.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range again.Series {
		h, err := s.Histogram()
		if err != nil || h.TotalCount() != r.Series[i].Count {
			t.Errorf("%s: its latencies do not come back: %v", s.Name, err)
		}
		counted := int64(0)
		for _, p := range s.Points {
			counted += p.Count
		}
		if counted != s.Count {
			t.Errorf("%s: its slices have %d of %d", s.Name, counted, s.Count)
		}
	}
	if err := r.WriteHTML(filepath.Join(dir, "r.html")); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "r.html"))
	if err != nil || !strings.Contains(string(page), "<svg") || strings.Contains(string(page), "<script") || strings.Contains(string(page), "ZgotmplZ") {
		t.Errorf("the page is not one that needs nothing else: %v", err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), r.Series[0].Name) {
		t.Errorf("%v: %s", err, text.String())
	}
}

// TestAccountsAreKept: a second run signs nobody up, and takes the opaque conversations of the first.
func TestAccountsAreKept(t *testing.T) {
	s := start(t, wide...)
	local := Local{State: t.TempDir()}
	p := s.short("dm", 4)
	p.Opaque = true
	if r := run(t, p, local); r.Setup.Registered != 4 || r.Setup.Reused != 0 {
		t.Errorf("%+v", r.Setup)
	}
	files, err := filepath.Glob(filepath.Join(local.State, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	before, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the accounts: %v %v", info.Mode(), err)
	}
	if err := os.WriteFile(files[0], append(before, `{"name":"load9","pass`...), 0o600); err != nil { // what a run leaves that was killed
		t.Fatal(err)
	}
	if r := run(t, p, local); r.Setup.Registered != 0 || r.Setup.Reused != 4 {
		t.Errorf("%+v", r.Setup)
	}
	after, err := os.ReadFile(files[0])
	if err != nil || string(before) != string(after) {
		t.Errorf("the second run made something anew: %v\n%s\n%s", err, before, after)
	}
	p.Opaque = false // the pairs have direct conversations already, whose groups nobody has
	if r := run(t, p, local); r.Setup.Reused != 4 || r.count(seriesDelivered) == 0 {
		t.Errorf("%+v", r.Setup)
	}
	p.Prefix = "other"
	if r := run(t, p, local); r.Setup.Registered != 4 {
		t.Errorf("%+v", r.Setup)
	}
	if err := os.WriteFile(files[0], []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Prefix = ""
	if _, err := Run(t.Context(), p, local); err == nil || !strings.Contains(err.Error(), "line 1 is damaged") {
		t.Error(err)
	}
}

// calls returns how often a method was called at a server.
func (s *server) calls(t *testing.T, method string) int64 {
	t.Helper()
	return s.gauge(t, `qpq_calls_total{kind="0",method="`+method+`"}`)
}

// gauge returns what a server's metrics have of a name, 0 where they have nothing.
func (s *server) gauge(t *testing.T, name string) (n int64) {
	t.Helper()
	reply, err := http.Get(s.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	found := false
	lines := bufio.NewScanner(reply.Body)
	for lines.Scan() {
		if count, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			if n, err = strconv.ParseInt(count, 10, 64); err != nil {
				t.Fatal(err)
			}
			found = true
		}
	}
	if !found {
		t.Fatalf("there is no %s", name)
	}
	return n
}

// TestClientsTakeWhatIsPushed, as qpq does: they neither fetch nor acknowledge each message by itself.
func TestClientsTakeWhatIsPushed(t *testing.T) {
	s := start(t, wide...)
	p := s.short("group", 10)
	p.GroupSize, p.Opaque, p.Rate, p.Duration = 10, true, 50, 2*time.Second
	r := run(t, p, Local{})
	sent, fetched, acknowledged := s.calls(t, "send"), s.calls(t, "inboxFetch"), s.calls(t, "inboxAck")
	if sent != r.count(seriesAccepted) || 9*sent != r.count(seriesDelivered) || 9*sent != r.count(seriesAcknowledged) || sent != 100 {
		t.Errorf("%d messages were sent, %d accepted, %d delivered, %d acknowledged", sent, r.count(seriesAccepted), r.count(seriesDelivered), r.count(seriesAcknowledged))
	}
	// Who sends learns the number of the row by the reply, which others' pushes may overtake: then it fetches.
	if fetched > 2*sent || acknowledged > 2*sent {
		t.Errorf("%d messages to 9 others took %d fetches and %d acknowledgements", sent, fetched, acknowledged)
	}
}
