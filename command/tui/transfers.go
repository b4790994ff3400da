package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq/command"
)

// job is a command under way.
type job struct {
	name, line, conversation string
	cancel                   context.CancelFunc
	text                     string // what it showed last
	transfer                 int64  // the number of the file that it moves; 0 for none
	moving
}

// moving is how far a file is.
type moving struct {
	what        string // which file
	done, total int64  // in bytes
	rate        float64
	left        time.Duration
}

// jobMsg is something that a command shows on its way.
type jobMsg struct {
	of
	job *job
	out command.Output
}

// progress takes what a command shows on its way.
func (m *Model) progress(a *account, msg jobMsg) tea.Cmd {
	j := msg.job
	j.text = oneLine(msg.out.Text)
	if p, ok := msg.out.Progress(); ok {
		j.transfer, j.moving = p.Transfer, moving{what: oneLine(p.Name), done: p.Done, total: p.Total, rate: p.Rate}
		if p.Left != nil {
			j.left = time.Duration(*p.Left * float64(time.Second))
		}
	}
	if m.at == a && j.text != "" {
		m.status = status{text: j.text, brief: true}
	}
	return nil
}

func (a *account) forgetJob(j *job) {
	a.jobs = slices.DeleteFunc(a.jobs, func(other *job) bool { return other == j })
}

// row shows a job: how far its file is, or what it said last.
func (j *job) row(width int) row {
	if j.total > 0 {
		return j.moving.row("", width)
	}
	name := brief("/"+j.name, max(width/4, 8))
	return row{{style{role: strong}, name + " "}, {text: brief(j.text, max(width-displaywidth.String(name)-1, 1))}}
}

// row shows how far a file is: its name, a bar, and a note, or how fast it is where there is none. What there is no room for is left out.
func (v *moving) row(note string, width int) row {
	name, share := squeezed(v.what, max(width/4, 8)), 0.0
	if v.total > 0 {
		share = min(float64(v.done)/float64(v.total), 1)
	}
	if note == "" && v.rate > 0 {
		note = command.Bytes(int64(v.rate)) + "/s"
		if v.left > 0 {
			note += ", " + v.left.Round(time.Second).String() + " left"
		}
	}
	if note != "" {
		note = ", " + note
	}
	const least = 5
	room := width - displaywidth.String(name) - 1 - least
	text := fmt.Sprintf("  %3d%%", int(100*share))
	if whole := text + " of " + command.Bytes(v.total) + note; displaywidth.String(whole) <= room {
		text = whole
	} else {
		text += note
	}
	bar := min(least+max(room-displaywidth.String(text), 0), 30)
	full := int(float64(bar) * share)
	return row{{style{role: strong}, name + " "}, {style{role: good}, strings.Repeat("█", full)}, {style{role: faint}, strings.Repeat("░", bar-full)}, {text: text}}
}

// transferJSON is what the command transfers says of one.
type transferJSON struct {
	ID             int64
	Conversation   string
	Upload         bool
	Name           string
	Done, Total    int64
	State, Problem string
}

// transferList lists files on their way, whoever began them, and other commands under way.
type transferList struct {
	chooser
	account *account
	list    []transferJSON
	since   map[int64]seenAt // when files were seen here first
	asked   bool
	asking  bool
}

// seenAt is how far a file was at a time.
type seenAt struct {
	at   time.Time
	done int64
}

// askAgain is how often it is asked how far files are, while somebody looks.
const askAgain = 500 * time.Millisecond

// transfers lists what is under way.
func (m *Model) transfers() overlay {
	t := &transferList{account: m.at, since: map[int64]seenAt{}}
	t.chooser = chooser{name: "Under way", help: m.keys.first("choose") + " says what may be done with one", fill: t.lines, choose: t.chosen}
	return t
}

// tend implements overlay.
func (t *transferList) tend(m *Model) tea.Cmd {
	if t.asking {
		return nil
	}
	first := !t.asked
	t.asked, t.asking = true, true
	return m.command(func(ctx context.Context) tea.Msg {
		if !first {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(askAgain):
			}
		}
		var list []transferJSON
		out, err := t.account.call(ctx, "transfers", nil, &collector{})
		if err == nil {
			err = decode(out.Value, &list)
		}
		if err != nil {
			return overlayMsg{of{t.account}, t, err}
		}
		return overlayMsg{of{t.account}, t, list}
	})
}

// take implements overlay.
func (t *transferList) take(_ *Model, value any) {
	t.asking = false
	if err, failed := value.(error); failed {
		t.empty = "What is under way cannot be had: " + oneLine(err.Error())
		return
	}
	t.list, t.empty = value.([]transferJSON), "Nothing is under way."
	for _, v := range t.list {
		if _, known := t.since[v.ID]; !known {
			t.since[v.ID] = seenAt{time.Now(), v.Done}
		}
	}
}

// lines shows the transfers, in the order in which they were begun, and then what else is under way.
func (t *transferList) lines(_ *Model, width int) (items []item) {
	for _, v := range t.list {
		items = append(items, item{t.line(&v, width-2), v})
	}
	for _, j := range t.account.jobs {
		if !slices.ContainsFunc(t.list, func(v transferJSON) bool { return v.ID == j.transfer }) {
			items = append(items, item{j.row(width - 2), j})
		}
	}
	return items
}

// line shows a transfer. Who waits for it here knows more of it than the list.
func (t *transferList) line(v *transferJSON, width int) row {
	move := moving{what: oneLine(v.Name), done: v.Done, total: v.Total}
	if first := t.since[v.ID]; v.Done > first.done {
		move.rate = float64(v.Done-first.done) / max(time.Since(first.at).Seconds(), 0.1)
		move.left = time.Duration(float64(v.Total-v.Done) / move.rate * float64(time.Second))
	}
	for _, j := range t.account.jobs {
		if j.transfer == v.ID && j.done >= move.done {
			move = j.moving
		}
	}
	note := ""
	switch {
	case v.State == "stopped":
		note = "stopped: " + oneLine(v.Problem)
	case move.rate == 0:
		note = "waits"
	}
	way := "from "
	if v.Upload {
		way = "to "
	}
	lead := row{{style{role: faint}, way + squeezed(t.account.nameOf(v.Conversation), max(width/6, 6)) + " "}}
	return append(lead, move.row(note, width-lead.width())...)
}

// nameOf returns the name of a conversation, or the beginning of its id where there is none.
func (a *account) nameOf(id string) string {
	for _, v := range a.list {
		if v.ID == id {
			return short(a.self, v.Name)
		}
	}
	return id[:min(len(id), 8)]
}

// chosen gives up a command, and asks what is to be done with a file.
func (t *transferList) chosen(m *Model, i item) tea.Cmd {
	v, is := i.value.(transferJSON)
	if !is {
		i.value.(*job).cancel()
		return nil
	}
	m.above = &chooser{name: brief(v.Name, 40), help: m.keys.first("choose") + " takes it", fill: func(*Model, int) []item {
		items := []item{{row{{text: "let it be"}}, ""}}
		if v.State == "stopped" {
			items = append(items, item{row{{text: "go on with it"}}, "transfers resume"})
		}
		return append(items, item{row{{style{role: alarm}, "give it up"}}, "transfers cancel"})
	}, choose: func(m *Model, i item) tea.Cmd {
		name := i.value.(string)
		if name == "" {
			m.above = m.transfers()
			return nil
		}
		return m.run(t.account, name, map[string]any{"id": fmt.Sprint(v.ID)}, "")
	}}
	return nil
}
