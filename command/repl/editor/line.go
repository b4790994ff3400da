package editor

import "unicode"

// key changes the line as a key says. It reports what the person did, if anything. The caller holds mu.
func (e *Editor) key(k key) (Event, bool) {
	switch k.code {
	case keyEnter:
		return e.enter()
	case keyInterrupt:
		return e.interrupt()
	case keyEOF:
		if len(e.line.Text) > 0 {
			e.line.Cut(e.line.At, e.line.Right())
			return Event{}, false
		}
		if e.asking != nil {
			e.answered(nil)
			return Event{}, false
		}
		return Event{Kind: End}, true
	case keyTab:
		if e.asking == nil {
			e.complete()
		}
	case keyUp, keyDown:
		step := 1
		if k.code == keyDown {
			step = -1
		}
		if e.asking == nil {
			e.history.Move(step, &e.line)
		}
	case keyClear:
		e.write("\x1b[H\x1b[2J")
		e.drawn = drawing{}
	default:
		e.edit(k)
	}
	return Event{}, false
}

func (e *Editor) enter() (Event, bool) {
	if q := e.asking; q != nil {
		shown := q.prompt.Text
		if !q.secret {
			shown += e.line.String()
		}
		e.above(e.clean(shown))
		answer := e.line.Text
		if answer == nil {
			answer = []rune{}
		}
		e.answered(answer)
		return Event{}, false
	}
	text := e.line.String()
	e.history.Add(text)
	e.line = Buffer{}
	return Event{Kind: Line, Text: text}, true
}

func (e *Editor) interrupt() (Event, bool) {
	empty := len(e.line.Text) == 0
	if e.asking != nil {
		clear(e.line.Text)
		e.answered(nil)
		return Event{}, false
	}
	e.line = Buffer{}
	e.history.back = 0
	return Event{Kind: Interrupt, Empty: empty, Again: e.interrupted}, true
}

// edit changes the line.
func (e *Editor) edit(k key) {
	l := &e.line
	kill := func(from, to int) {
		if killed := l.Cut(from, to); len(killed) > 0 && (e.asking == nil || !e.asking.secret) {
			e.killed = killed
		}
	}
	switch k.code {
	case keyText:
		l.Insert(k.text)
	case keyNewline:
		l.Insert("\n")
	case keyBackspace:
		l.Cut(l.Left(), l.At)
	case keyDelete:
		l.Cut(l.At, l.Right())
	case keyLeft:
		l.At = l.Left()
	case keyRight:
		l.At = l.Right()
	case keyWordLeft:
		l.At = l.WordLeft()
	case keyWordRight:
		l.At = l.WordRight()
	case keyHome:
		l.At = 0
	case keyEnd:
		l.At = len(l.Text)
	case keyKillEnd:
		kill(l.At, len(l.Text))
	case keyKillStart:
		kill(0, l.At)
	case keyKillWordLeft:
		kill(l.WordLeft(), l.At)
	case keyKillWordRight:
		kill(l.At, l.WordRight())
	case keyYank:
		l.Insert(string(e.killed))
	}
}

// complete extends the word at the cursor as far as there is one way, and shows the ways where there are several.
func (e *Editor) complete() {
	if e.cfg.Complete == nil {
		return
	}
	before := string(e.line.Text[:e.line.At])
	from, candidates := e.cfg.Complete(before)
	if len(candidates) == 0 {
		return
	}
	common := candidates[0]
	for _, c := range candidates[1:] {
		common = commonPrefix(common, c)
	}
	if len(candidates) == 1 {
		common += " "
	}
	if word := before[from:]; len(candidates) > 1 && len(common) <= len(word) {
		e.above(e.columns(candidates))
		return
	}
	e.line.Cut(len([]rune(before[:from])), e.line.At)
	e.line.Insert(common)
}

// commonPrefix returns how two candidates begin, whatever the case of their letters.
func commonPrefix(a, b string) string {
	x, y := []rune(a), []rune(b)
	n := 0
	for n < len(x) && n < len(y) && unicode.ToLower(x[n]) == unicode.ToLower(y[n]) {
		n++
	}
	return string(x[:n])
}
