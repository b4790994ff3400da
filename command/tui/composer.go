package tui

import (
	"strings"

	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl/editor"
)

// composer is where somebody writes.
type composer struct {
	editor.Buffer
	history   editor.History
	killed    []rune
	completed *completion
	about     *about // what is written answers or changes a message; nil where it is a message of its own
}

// about says what is done with a message when what is written is sent.
type about struct {
	command string // "reply" or "edit"
	entry   command.EntryJSON
	draft   string // what was written before
}

// maxComposer is how many rows the composer takes at most.
const maxComposer = 6

// edit changes the text as an action says. It reports whether the action is one that does.
func (c *composer) edit(a Action) bool {
	kill := func(from, to int) {
		if killed := c.Cut(from, to); len(killed) > 0 {
			c.killed = killed
		}
	}
	switch a {
	case "newline":
		c.Insert("\n")
	case "left":
		c.At = c.Left()
	case "right":
		c.At = c.Right()
	case "word-left":
		c.At = c.WordLeft()
	case "word-right":
		c.At = c.WordRight()
	case "line-start":
		c.At = c.lineStart(c.At)
	case "line-end":
		c.At = c.lineEnd(c.At)
	case "delete-back":
		c.Cut(c.Left(), c.At)
	case "delete":
		c.Cut(c.At, c.Right())
	case "delete-word":
		kill(c.WordLeft(), c.At)
	case "delete-to-end":
		kill(c.At, c.lineEnd(c.At))
	case "delete-all":
		kill(0, len(c.Text))
	case "yank":
		c.Insert(string(c.killed))
	default:
		return false
	}
	c.completed = nil
	return true
}

func (c *composer) lineStart(at int) int {
	for at > 0 && c.Text[at-1] != '\n' {
		at--
	}
	return at
}

func (c *composer) lineEnd(at int) int {
	for at < len(c.Text) && c.Text[at] != '\n' {
		at++
	}
	return at
}

// line moves the cursor a line up or down, or, where there is none, through what was sent before.
func (c *composer) line(up bool) {
	c.completed = nil
	start, end := c.lineStart(c.At), c.lineEnd(c.At)
	column := c.At - start
	switch {
	case up && start > 0:
		before := c.lineStart(start - 1)
		c.At = min(before+column, start-1)
	case !up && end < len(c.Text):
		c.At = min(end+1+column, c.lineEnd(end+1))
	case up:
		c.history.Move(1, &c.Buffer)
	default:
		c.history.Move(-1, &c.Buffer)
	}
}

// cell is a character of the composer as it is shown.
type cell struct {
	text  string
	width int
}

// shownCells calls f with each character: where it is in the text, how it is shown, and how wide that is.
func (c *composer) shownCells(f func(at int, shown cell)) {
	at := 0
	for g := displaywidth.StringGraphemes(c.String()); g.Next(); {
		text := g.Value()
		shown := cell{"\n", 0}
		if !strings.HasSuffix(text, "\n") {
			shown.text = strings.ReplaceAll(qpq.Visible(text), "\t", "    ")
			shown.width = displaywidth.String(shown.text)
		}
		f(at, shown)
		at += len([]rune(text))
	}
}

// rows returns what is written in rows of a width, and where the cursor is.
func (c *composer) rows(width int) (rows []row, x, y int) {
	var b strings.Builder
	used, placed := 0, false
	feed := func() {
		rows = append(rows, row{{text: b.String()}})
		b.Reset()
		used = 0
	}
	here := func() {
		if used >= width {
			feed()
		}
		x, y, placed = used, len(rows), true
	}
	c.shownCells(func(at int, shown cell) {
		if !placed && at >= c.At {
			here()
		}
		if shown.text == "\n" {
			feed()
			return
		}
		if used+shown.width > width {
			feed()
			if x >= width {
				x, y = 0, len(rows)
			}
		}
		b.WriteString(shown.text)
		used += shown.width
	})
	if !placed {
		here()
	}
	feed()
	return rows, x, y
}
