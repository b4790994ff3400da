package command

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// screen keeps what is shown.
type screen struct{ shown []Output }

func (s *screen) Show(o Output)                                 { s.shown = append(s.shown, o) }
func (s *screen) Result(Output) error                           { return nil }
func (s *screen) Ask(context.Context, Question) ([]byte, error) { return nil, errCancelled }

// TestMeter: a file of 100 MiB at 2 MiB a second, told of every tenth of a second.
func TestMeter(t *testing.T) {
	m := newMeter(&screen{}, 7, "film.mp4")
	begin := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	const total = 100 << 20
	var last Output
	told := 0
	for i := range 501 {
		o, ok := m.at(begin.Add(time.Duration(i)*100*time.Millisecond), int64(i)*total/500, total)
		if ok {
			told++
			last = o
		}
		if want := "film.mp4 [##########----------]  50%  50.4 MiB of 100.0 MiB, 2.0 MiB/s, 25s left"; i == 252 && o.Text != want {
			t.Errorf("%q", o.Text)
		}
	}
	if told > 502/3+2 {
		t.Errorf("told %d times within 50 seconds", told)
	}
	p, ok := last.Progress()
	if want := "film.mp4 [####################] 100%  100.0 MiB of 100.0 MiB, 2.0 MiB/s"; !ok || p.Done != total || p.Transfer != 7 || last.Text != want {
		t.Errorf("%+v, %q", p, last.Text)
	}
	raw, err := json.Marshal(last.Value)
	if err != nil {
		t.Fatal(err)
	}
	if again, ok := (Output{Value: json.RawMessage(raw)}).Progress(); !ok || again.Done != p.Done || again.Name != p.Name { // as another process has it
		t.Errorf("%s is read as %+v", raw, again)
	}
	for _, o := range []Output{{}, {Value: "progress"}, {Value: json.RawMessage(`{"progress":null}`)}, {Value: json.RawMessage(`[1]`)}} {
		if _, ok := o.Progress(); ok {
			t.Errorf("%v says how far something is", o.Value)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 1536: "1.5 KiB", 1 << 40: "1.0 TiB", 1 << 52: "4096.0 TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
}

// TestBar: what another process says is shown, whatever it says.
func TestBar(t *testing.T) {
	for done, want := range map[int64]string{-1: "--------------------]   0%", 150: "####################] 100%", 50: "##########----------]  50%"} {
		if got := (&ProgressJSON{Name: "film.mp4", Done: done, Total: 100}).text(); !strings.Contains(got, want) {
			t.Errorf("%d of 100 is %q, not %q", done, got, want)
		}
	}
}
