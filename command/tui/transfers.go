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
	what                     string // of a transfer: which file
	done, total              int64  // of a transfer, in bytes
	rate                     float64
	left                     time.Duration
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
		j.what, j.done, j.total, j.rate, j.left = oneLine(p.Name), p.Done, p.Total, p.Rate, 0
		if p.Left != nil {
			j.left = time.Duration(*p.Left * float64(time.Second))
		}
	}
	if m.at == a && j.text != "" {
		m.say(j.text)
	}
	return nil
}

func (a *account) forgetJob(j *job) {
	a.jobs = slices.DeleteFunc(a.jobs, func(other *job) bool { return other == j })
}

// row shows a job: what it is, a bar where its size is known, and what it said last.
func (j *job) row(width int) row {
	name := "/" + j.name
	if j.what != "" {
		name = j.what
	}
	name = brief(name, max(width/4, 8))
	if j.total <= 0 {
		return row{{style{role: strong}, name + " "}, {text: brief(j.text, max(width-displaywidth.String(name)-1, 1))}}
	}
	bar := max(min(width/3, 30), 5)
	full := min(int(float64(bar)*float64(j.done)/float64(j.total)), bar)
	note := fmt.Sprintf(" %3d%%", int(100*float64(j.done)/float64(j.total)))
	if j.rate > 0 {
		note += " " + command.Bytes(int64(j.rate)) + "/s"
	}
	if j.left > 0 {
		note += ", " + j.left.Round(time.Second).String() + " left"
	}
	return row{{style{role: strong}, name + " "}, {style{role: good}, strings.Repeat("█", full)}, {style{role: faint}, strings.Repeat("░", bar-full)}, {text: note}}
}

// transfers lists what is under way.
func (m *Model) transfers() overlay {
	return &chooser{name: "Under way", help: "Enter gives one up", empty: "Nothing is under way.", fill: func(m *Model, width int) (items []item) {
		for _, j := range m.at.jobs {
			items = append(items, item{row: j.row(width), value: j})
		}
		return items
	}, choose: func(m *Model, i item) tea.Cmd {
		i.value.(*job).cancel()
		return nil
	}}
}
