package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/command"
)

// job is a command under way.
type job struct {
	name, line, conversation string
	cancel                   context.CancelFunc
	text                     string // what it showed last
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

// progressJSON is how commands tell how far a transfer is.
type progressJSON struct {
	Progress *struct {
		Done, Total int64
		Rate        float64 // bytes a second
		Left        float64 // seconds
	}
}

// progress takes what a command shows on its way.
func (m *Model) progress(a *account, msg jobMsg) tea.Cmd {
	j := msg.job
	j.text = oneLine(msg.out.Text)
	var p progressJSON
	if decode(msg.out.Value, &p) == nil && p.Progress != nil {
		j.done, j.total, j.rate, j.left = p.Progress.Done, p.Progress.Total, p.Progress.Rate, time.Duration(p.Progress.Left*float64(time.Second))
	}
	if m.at == a && j.text != "" {
		m.say(j.text)
	}
	return nil
}

func (a *account) forgetJob(j *job) {
	a.jobs = slices.DeleteFunc(a.jobs, func(other *job) bool { return other == j })
}

// rows shows a job: what it is, a bar where its size is known, and what it said last.
func (j *job) row(width int) row {
	name := brief("/"+j.name, 14)
	if j.total <= 0 {
		return row{{style{role: strong}, name + " "}, {text: brief(j.text, max(width-len(name)-1, 1))}}
	}
	bar := max(min(width/3, 30), 5)
	full := min(int(int64(bar)*j.done/j.total), bar)
	note := fmt.Sprintf(" %3d%%", 100*j.done/j.total)
	if j.rate > 0 {
		note += " " + amount(int64(j.rate)) + "/s"
	}
	if j.left > 0 {
		note += ", " + j.left.Round(time.Second).String() + " left"
	}
	return row{{style{role: strong}, name + " "}, {style{role: good}, strings.Repeat("█", full)}, {style{role: faint}, strings.Repeat("░", bar-full)}, {text: note}}
}

// amount returns a number of bytes as people read it.
func amount(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
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
