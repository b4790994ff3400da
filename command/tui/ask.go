package tui

import (
	"bytes"
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl/editor"
)

// question is what a command asks, while it waits for the answer.
type question struct {
	command.Question
	editor.Buffer
	first  []byte // what was typed first, of one that is asked twice
	again  bool
	note   string
	answer chan answer // has room for one
}

type answer struct {
	text []byte
	err  error
}

type askedMsg struct{ question *question }

var errGivenUp = qpq.E(qpq.Unavailable, "cancelled", "given up on request")

// asker is the UI of commands that the person called.
type asker struct {
	collector
	m    *Model
	a    *account
	show func(command.Output) // nil shows it in the line at the bottom

	endless bool // there is no end of results: the newest is shown alone
}

// Result implements command.UI.
func (u *asker) Result(o command.Output) error {
	if u.endless {
		u.Show(o)
		return nil
	}
	return u.collector.Result(o)
}

// asks returns the UI of a command that the person called.
func (m *Model) asks(a *account, show func(command.Output)) *asker {
	return &asker{m: m, a: a, show: show}
}

// shownMsg is something that a command shows on its way.
type shownMsg struct {
	of
	text string
}

// Show implements command.UI. What a command says of the connection is told by who stays connected.
func (u *asker) Show(o command.Output) {
	var notice struct{ Notice *struct{ Code string } }
	if decode(o.Value, &notice) == nil && notice.Notice != nil {
		return
	}
	if u.show != nil {
		u.show(o)
	} else {
		u.m.send(shownMsg{of{u.a}, o.Text})
	}
}

// Ask implements command.UI.
func (u *asker) Ask(ctx context.Context, q command.Question) ([]byte, error) {
	if u.m.cfg.Answer != nil {
		if b, ok, err := u.m.cfg.Answer(q.Name); ok {
			return b, err
		}
	}
	asked := &question{Question: q, answer: make(chan answer, 1)}
	u.m.send(askedMsg{asked})
	select {
	case a := <-asked.answer:
		return a.text, a.err
	case <-ctx.Done():
		return nil, errGivenUp
	}
}

// questionKey changes the answer that is typed, or gives it.
func (m *Model) questionKey(q *question, k tea.KeyPressMsg) {
	switch a := m.keys.action(writing, k.String()); {
	case a == "back" || a == "interrupt":
		m.answered(q, answer{err: errGivenUp})
	case a == "send":
		m.enterAnswer(q)
	case a == "delete-back":
		q.Cut(q.Left(), q.At)
	case a == "delete-all":
		q.Cut(0, len(q.Text))
	case a == "left" && !q.Secret:
		q.At = q.Left()
	case a == "right" && !q.Secret:
		q.At = q.Right()
	case k.Text != "":
		q.Insert(k.Text)
	}
}

// enterAnswer takes what was typed. What is asked twice has to be the same.
func (m *Model) enterAnswer(q *question) {
	typed := []byte(q.String())
	clear(q.Text)
	q.Set("")
	switch {
	case !q.Twice:
		m.answered(q, answer{text: typed})
	case !q.again:
		q.first, q.again, q.note = typed, true, ""
	case bytes.Equal(q.first, typed):
		clear(q.first)
		m.answered(q, answer{text: typed})
	default:
		clear(q.first)
		clear(typed)
		q.first, q.again, q.note = nil, false, "these differ; once more"
	}
}

// answered ends a question.
func (m *Model) answered(q *question, with answer) {
	m.asking = m.asking[1:]
	m.status = status{}
	q.answer <- with
}

// questionRows returns a question in rows of a width, and where the cursor is: the last row is the answer.
func (m *Model) questionRows(q *question, width int) (rows []row, x, y int) {
	prompt := q.Prompt
	if q.again {
		prompt = "Again: "
	}
	if q.note != "" {
		rows = append(rows, row{{style{role: alarm}, q.note}})
	}
	rows = append(rows, wrap([]span{{style{role: strong}, visible(strings.TrimRight(prompt, " "))}}, width, width)...)
	c := composer{Buffer: q.Buffer}
	if q.Secret {
		c = composer{}
	}
	typed, x, y := c.rows(max(width-2, 1))
	y += len(rows)
	for i, r := range typed {
		lead := "  "
		if i == 0 {
			lead = "› "
		}
		rows = append(rows, append(row{{style{role: faint}, lead}}, r...))
	}
	return rows, x + 2, y
}
