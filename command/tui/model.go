package tui

import (
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"
)

// focus says where keys go while nothing lies above the conversation.
type focus int

const (
	onComposer focus = iota
	onMessages
)

// Model is the state of the screen.
type Model struct {
	calls
	cfg   Config
	keys  *Keys
	theme *theme

	width, height int
	away          bool // the terminal is not looked at
	focus         focus
	accounts      map[string]*account // by profile
	at            *account            // the one on the screen
	above         overlay             // what lies above the conversation; nil for nothing
	asking        []*question         // what commands ask, the first of them now
	status        status
	quitting      bool // ctrl+c was pressed, once
	drawn         geometry
	fatal         error // why the screen is left
}

// status is the line at the bottom: what was done last, or why not.
type status struct {
	text  string
	bad   bool
	brief bool // it changes often, and takes one row whatever is cut off
}

func newModel(ctx context.Context, c Config) (*Model, error) {
	m := &Model{calls: calls{ctx: ctx}, cfg: c, keys: c.Keys, width: 80, height: 24, accounts: map[string]*account{}}
	if m.keys == nil {
		var err error
		if m.keys, err = NewKeys("default", nil); err != nil {
			return nil, err
		}
	}
	m.theme = newTheme(c.Theme != Light, c.ASCII)
	m.send = func(tea.Msg) {}
	if m.keys.modal {
		m.focus = onMessages
	}
	return m, nil
}

// close keeps what is written, and ends all sessions.
func (m *Model) close() (err error) {
	for _, a := range m.accounts {
		if a.session != nil {
			err = errors.Join(err, a.keepAll(context.Background()))
			err = errors.Join(err, a.session.Close())
		}
	}
	return err
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.enter(m.cfg.Profile)}
	if m.cfg.Theme == Auto {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	return tea.Batch(cmds...)
}

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := m.update(msg)
	return m, tea.Batch(cmd, m.settle())
}

func (m *Model) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case tea.BackgroundColorMsg:
		m.theme = newTheme(msg.IsDark(), m.cfg.ASCII)
	case tea.FocusMsg:
		m.away = false
	case tea.BlurMsg:
		m.away = true
	case tea.KeyPressMsg:
		return m.key(msg)
	case tea.PasteMsg:
		m.paste(msg.Content)
	case tea.MouseMsg:
		return m.mouse(msg)
	case askedMsg:
		m.asking = append(m.asking, msg.question)
	case failedMsg:
		m.report(msg.err)
	case accountMsg:
		if m.accounts[msg.account().profile] == msg.account() {
			return m.news(msg)
		}
	}
	return nil
}

func (m *Model) resize(width, height int) {
	if m.at == nil {
		m.width, m.height = width, height
		return
	}
	rows := func(i int) []row { return m.at.entryRows(i, m.rightWidth()) } // of the size as it is then
	m.at.messages.resized(func() int {
		m.width, m.height = width, height
		return m.bodyHeight()
	}, m.bodyHeight(), rows)
}

// settle begins what the state asks for: entries to be read, a list to be read anew, a draft to be kept.
func (m *Model) settle() tea.Cmd {
	var cmds []tea.Cmd
	for _, a := range m.accounts {
		cmds = append(cmds, m.tend(a, a == m.at))
	}
	if m.above != nil {
		cmds = append(cmds, m.above.tend(m))
	}
	return tea.Batch(cmds...)
}

// report shows why something failed.
func (m *Model) report(err error) {
	if err != nil && m.ctx.Err() == nil {
		m.status = status{text: oneLine(err.Error()), bad: true}
	}
}

// say shows what was done.
func (m *Model) say(text string) { m.status = status{text: oneLine(text)} }
