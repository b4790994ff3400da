package tui

import (
	"encoding/json"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command"
)

// account is a profile in use.
type account struct {
	profile string
	session Session
	ready   bool     // somebody is signed in
	self    string   // the own user; empty until it is known
	before  *account // where somebody was when this one began
	format  bool     // texts are shown as their marks say
	offline string   // why there is no connection; empty where there is one
	notices []string

	list     []conversation
	listed   bool
	relist   bool // the list has to be read anew
	listing  bool // it is being read
	messages messages
	beneath  *messages // the conversation, while a thread of it is shown
	composer composer
	drafts   map[string]string // as they are here, by conversation
	kept     map[string]string // as they are stored, or about to be
	storing  map[string]bool   // of which conversations it is not known that they are
	keeping  bool
	reading  map[string]int64 // up to where conversations were asked to be marked as read
	after    int64            // position of the newest entry that came
	jobs     []*job
	telling  map[string]bool // conversations whose others were told just now that somebody writes
}

// conversation is what the command list says of one.
type conversation struct {
	ID, Short, Name, Title, Role, Standing string
	Direct                                 bool
	Members                                []struct{ User, Role string }
	Unread                                 int
	Draft                                  string
	Last                                   *time.Time
	Typing                                 []string
}

func newAccount(profile string) *account {
	return &account{profile: profile, drafts: map[string]string{}, kept: map[string]string{}, storing: map[string]bool{}, reading: map[string]int64{}, telling: map[string]bool{}}
}

// accountMsg is news of an account.
type accountMsg interface{ account() *account }

// of names the account that a message is about.
type of struct{ a *account }

func (o of) account() *account { return o.a }

type (
	openedMsg struct { // a session begins
		of
		session Session
		err     error
	}
	signedMsg struct { // somebody is signed in, or gave up
		of
		out command.Output
		err error
	}
	listedMsg struct {
		of
		list []conversation
		err  error
	}
	entriesMsg struct {
		of
		query query
		list  []command.EntryJSON
		err   error
	}
	cameMsg struct { // an entry
		of
		entry command.EntryJSON
	}
	changedMsg struct{ of } // something that was there before
	noticeMsg  struct {
		of
		notice client.Notice
	}
	selfMsg struct {
		of
		user string
	}
	formatMsg struct {
		of
		on bool
	}
	endedMsg struct { // nothing comes any more
		of
		err error
	}
	keepMsg struct{ of } // drafts are to be stored
	keptMsg struct {
		of
		failed map[string]bool // conversations whose drafts could not be stored
		err    error
	}
	failedMsg struct{ err error }
)

// current returns the conversation on the screen, nil for none.
func (a *account) current() *conversation {
	i := slices.IndexFunc(a.list, func(v conversation) bool { return v.ID == a.messages.conversation })
	if i < 0 {
		return nil
	}
	return &a.list[i]
}

// unread returns how many messages are new.
func (a *account) unread() (n int) {
	for _, v := range a.list {
		n += v.Unread
	}
	return n
}

// draft notes what is written now.
func (a *account) draft() {
	if key := a.messages.key(); key != "" && a.composer.about == nil {
		a.drafts[key] = a.composer.String()
	}
}

// turn shows other messages, with what was begun to be written there.
func (a *account) turn(to messages) {
	a.leaveAbout()
	a.draft()
	a.messages = to
	history := a.composer.history
	a.composer = composer{history: history}
	a.composer.Set(a.drafts[to.key()])
}

// open shows another conversation. What is written stays as its draft.
func (a *account) open(id string) {
	if a.messages.conversation == id {
		a.leaveThread()
		return
	}
	a.turn(messages{conversation: id, follow: true})
	a.beneath = nil
}

// learn takes a list of conversations.
func (a *account) learn(list []conversation) {
	for _, v := range list {
		if _, ok := a.drafts[v.ID]; !ok {
			a.drafts[v.ID], a.kept[v.ID] = v.Draft, v.Draft
		}
	}
	a.list = list
	if a.current() == nil && len(list) > 0 {
		i := max(slices.IndexFunc(list, func(v conversation) bool { return v.Standing != "ended" }), 0)
		a.open(list[i].ID)
	}
}

// news takes what happened with an account.
func (m *Model) news(msg accountMsg) tea.Cmd {
	a := msg.account()
	switch msg := msg.(type) {
	case openedMsg:
		return m.opened(a, msg)
	case signedMsg:
		return m.signed(a, msg)
	case listedMsg:
		a.listing = false
		m.report(msg.err)
		if msg.err == nil {
			a.listed = true
			a.learn(msg.list)
		}
	case entriesMsg:
		if m.report(msg.err); msg.err == nil && msg.query.conversation == a.messages.conversation && msg.query.thread == a.messages.thread {
			a.took(msg.query, msg.list)
		}
	case cameMsg:
		return m.came(a, &msg.entry)
	case changedMsg:
		a.relist, a.messages.stale = true, true
	case noticeMsg:
		return m.notice(a, msg.notice)
	case selfMsg:
		a.self = msg.user
	case formatMsg:
		a.format = msg.on
	case endedMsg:
		m.fatal = msg.err
		return tea.Quit
	case keepMsg:
		return m.storeDrafts(a)
	case keptMsg:
		a.keeping, a.storing = false, msg.failed
		m.report(msg.err)
	case jobMsg:
		return m.progress(a, msg)
	case toldMsg:
		delete(a.telling, msg.conversation)
	case sentMsg:
		m.sent(a, msg)
	case ranMsg:
		return m.ran(a, msg)
	case shownMsg:
		if m.at == a {
			m.say(msg.text)
		}
	case overlayMsg:
		if m.above == msg.overlay && m.above != nil {
			m.above.take(m, msg.value)
		}
	}
	return nil
}

// took puts entries that were read into the window.
func (a *account) took(q query, list []command.EntryJSON) {
	first := !a.messages.loaded
	a.messages.take(q, list)
	for i := len(list) - 1; i >= 0 && a.self == ""; i-- {
		if list[i].Own {
			a.self = list[i].Sender
		}
	}
	v := a.current()
	if !first || v == nil || v.Unread == 0 {
		return
	}
	theirs := 0
	for i := len(list) - 1; i >= 0; i-- { // a line is drawn before the first that is new
		if list[i].Type == "message" && !list[i].Own {
			if theirs++; theirs == v.Unread {
				a.messages.fresh = max(list[i].Position-1, 1)
				return
			}
		}
	}
}

// came takes an entry as it comes.
func (m *Model) came(a *account, e *command.EntryJSON) tea.Cmd {
	a.after = max(a.after, e.Position)
	a.relist = true
	if e.Conversation == a.messages.conversation {
		a.messages.stale = true
	}
	return m.notify(a, e)
}

// notice takes what nobody asked for.
func (m *Model) notice(a *account, n client.Notice) tea.Cmd {
	switch n.Code {
	case "offline":
		a.offline = oneLine(n.Text)
	case "online":
		a.offline = ""
		if m.at == a && slices.Contains(a.notices, m.status.text) { // it is so no more
			m.status = status{}
		}
		return m.whoami(a)
	case "udp-blocked": // at each try
		if text := oneLine(n.Text); !slices.Contains(a.notices, text) {
			a.notices = append(a.notices, text)
			m.say(text)
		}
	default:
		m.say(n.Text)
	}
	return nil
}

// decode reads the value of an output, which may have come from another process.
func decode(value, into any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
