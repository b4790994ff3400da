package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// key takes a key. What is asked comes first, then what lies above the conversation, then the conversation.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	interrupts := m.keys.action(everywhere, name) == "interrupt"
	if !interrupts {
		m.quitting = false
	}
	if m.at == nil {
		return tea.Quit
	}
	if len(m.asking) > 0 {
		m.questionKey(m.asking[0], k)
		return nil
	}
	m.status = status{}
	if interrupts {
		return m.interrupt()
	}
	if m.above != nil {
		return m.overlayKey(k)
	}
	where := writing
	if m.focus == onMessages {
		where = reading
	}
	action := m.keys.action(where, name)
	if cmd, done := m.anywhere(action); done {
		return cmd
	}
	if m.focus == onMessages {
		return m.messagesKey(action)
	}
	return m.composerKey(action, k)
}

// interrupt gives up what is under way. The second one in a row ends all.
func (m *Model) interrupt() tea.Cmd {
	if m.quitting {
		return tea.Quit
	}
	m.quitting = true
	for _, j := range m.at.jobs {
		j.cancel()
	}
	m.above = nil
	m.say(m.keys.first("interrupt") + " once more ends qpq; what you have begun to write is kept")
	return nil
}

// anywhere does what keys do wherever one is. It reports whether the action is one of those.
func (m *Model) anywhere(action Action) (tea.Cmd, bool) {
	s, height := &m.at.messages, m.bodyHeight()
	rows := m.rows(m.at)
	switch action {
	case "help", "show-keys":
		m.above = &page{name: "Keys", text: m.helpText(), hang: keyColumn}
	case "quit":
		return tea.Quit, true
	case "back":
		m.back()
	case "next-conversation", "vim-next":
		return m.goBy(1, false), true
	case "previous-conversation", "vim-previous":
		return m.goBy(-1, false), true
	case "next-unread":
		return m.goBy(1, true), true
	case "go":
		m.above = m.conversationChooser()
	case "search", "search-here":
		m.above = m.searcher()
	case "threads":
		return m.openThreads(), true
	case "devices":
		return m.openDevices(), true
	case "transfers":
		m.above = m.transfers()
	case "profiles":
		m.above = m.profileChooser()
	case "page-up":
		s.turn(max(height-1, 1), height, rows)
	case "page-down":
		s.turn(-max(height-1, 1), height, rows)
	case "first", "first-message":
		return m.first(), true
	case "last", "last-message":
		m.last()
	case "redraw":
		return tea.ClearScreen, true
	default:
		return nil, false
	}
	return nil, true
}

// back leaves what is open, one thing at a time. What is written stays.
func (m *Model) back() {
	a := m.at
	switch {
	case a.composer.completed != nil:
		a.composer.completed = nil
	case a.composer.about != nil:
		a.leaveAbout()
	case a.beneath != nil && (m.focus == onMessages || !m.keys.modal):
		a.leaveThread()
	case m.focus == onComposer:
		m.focus = onMessages
	case m.keys.modal:
		a.messages.selected = 0
	default:
		m.focus, a.messages.selected = onComposer, 0
	}
}

// first goes to the very first message of the conversation.
func (m *Model) first() tea.Cmd {
	s := &m.at.messages
	if s.conversation == "" || s.loading && !s.loaded {
		return nil
	}
	if m.focus == onMessages && len(s.entries) > 0 && s.first {
		s.selected = s.entries[0].Position
	}
	if s.first {
		s.scroll(len(s.entries)*1000, m.bodyHeight(), m.rows(m.at))
		return nil
	}
	s.loading = true
	return m.query(m.at, query{kind: fromFirst, conversation: s.conversation, thread: s.thread, limit: pageSize})
}

// last goes to the newest message.
func (m *Model) last() {
	s := &m.at.messages
	s.follow, s.position, s.above = true, 0, 0
	if !s.last {
		s.loaded = false
	}
	if m.focus == onMessages {
		s.selected = s.newest()
		if !s.last {
			s.selected = toBeRead
		}
	}
}

// composerKey takes a key while somebody writes.
func (m *Model) composerKey(action Action, k tea.KeyPressMsg) tea.Cmd {
	c := &m.at.composer
	switch action {
	case "send":
		return m.enterText()
	case "complete":
		m.complete(1)
		return nil
	case "complete-back":
		m.complete(-1)
		return nil
	case "line-up":
		c.line(true)
		return nil
	case "line-down":
		c.line(false)
		return nil
	case "delete":
		if len(c.Text) == 0 && k.String() == "ctrl+d" {
			return tea.Quit
		}
	}
	if c.edit(action) {
		return m.typed()
	}
	if k.Text != "" {
		c.completed = nil
		c.Insert(k.Text)
		return m.typed()
	}
	return nil
}

// paste puts what was pasted where it is written.
func (m *Model) paste(text string) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	switch {
	case len(m.asking) > 0:
		m.asking[0].Insert(text)
	case m.above != nil:
		m.above.paste(m, text)
	case m.at != nil:
		m.focus = onComposer
		m.at.composer.completed = nil
		m.at.composer.Insert(text)
	}
}

// messagesKey takes what a key does among messages.
func (m *Model) messagesKey(action Action) tea.Cmd {
	s, height, rows := &m.at.messages, m.bodyHeight(), m.rows(m.at)
	switch action {
	case "up":
		s.step(-1, height, rows)
	case "down":
		s.step(1, height, rows)
	case "write":
		m.focus, s.selected = onComposer, 0
	case "command":
		m.focus, s.selected = onComposer, 0
		m.at.composer.completed = nil
		if len(m.at.composer.Text) == 0 {
			m.at.composer.Insert("/")
		}
	case "reply", "react", "edit", "delete-message", "thread", "fetch":
		return m.act(action)
	}
	return nil
}

// mouse takes what the mouse does.
func (m *Model) mouse(msg tea.MouseMsg) tea.Cmd {
	at := msg.Mouse()
	switch msg.(type) {
	case tea.MouseWheelMsg:
		by := 3
		if at.Button == tea.MouseWheelDown {
			by = -3
		}
		switch {
		case m.above != nil:
			m.above.wheel(-by)
		case at.X < m.drawn.left:
			return m.goBy(-by/3, false)
		case m.at != nil:
			m.at.messages.turn(by, m.bodyHeight(), m.rows(m.at))
		}
	case tea.MouseClickMsg:
		if at.Button == tea.MouseLeft && m.at != nil && len(m.asking) == 0 {
			return m.click(at.X, at.Y)
		}
	}
	return nil
}

// click takes a click: a conversation is shown, a message selected, and where text is written the cursor goes.
func (m *Model) click(x, y int) tea.Cmd {
	g := &m.drawn
	switch {
	case x < g.left:
		if i := g.listTop + y - 1; y > 0 && i < len(m.at.list) && y < m.height-len(m.bottom()) {
			return m.goTo(m.at.list[i].ID)
		}
	case y >= 1 && y <= g.body && m.above != nil:
		return m.above.click(m, y-1)
	case y >= 1 && y <= g.body:
		if i := y - 1; i < len(g.entries) && g.entries[i] > 0 {
			m.focus, m.at.messages.selected = onMessages, g.entries[i]
		}
	case y >= g.composer && y < m.height-len(m.bottom()):
		m.above, m.focus, m.at.messages.selected = nil, onComposer, 0
	}
	return nil
}
