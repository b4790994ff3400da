package tui

import (
	"math"
	"slices"
	"sort"

	"github.com/quicproquo/qpq/command"
)

// pageSize is how many entries are read together, and maxWindow how many are in memory at most.
const (
	pageSize  = 100
	maxWindow = 1000
)

// toBeRead stands for the newest entry as what is selected, until that is read.
const toBeRead = math.MaxInt64

// messages is the window onto the history of a conversation: some entries in a row, and what of them is on the screen. Older and newer ones
// are read when the person comes near.
type messages struct {
	conversation string
	thread       string             // id of the message that the thread began with; empty for all of the conversation
	root         *command.EntryJSON // that message
	entries      []command.EntryJSON
	first, last  bool // the window begins with the first entry there is, ends with the newest
	loaded       bool
	loading      bool // older or newer ones are being read
	stale        bool // something changed since entries were asked for

	// The lowest row on the screen is that many rows above the end of the entry at position. Where it follows it is the last one of the window.
	follow   bool
	position int64
	above    int

	selected int64 // position of the entry that keys are about; 0 for none
	fresh    int64 // entries after this position were new when the conversation was opened

	before, after stand // where the screen was before its size changed last, and after
	seen          bool  // before that, what is selected was on it
}

// key names what is shown, for drafts: those of threads are not stored.
func (m *messages) key() string {
	if m.thread != "" {
		return m.conversation + "/" + m.thread
	}
	return m.conversation
}

// index returns where the entry at a position is in the window, or where it would be.
func (m *messages) index(position int64) int {
	return sort.Search(len(m.entries), func(i int) bool { return m.entries[i].Position >= position })
}

// at returns the entry at a position, nil where it is not in the window.
func (m *messages) at(position int64) *command.EntryJSON {
	if i := m.index(position); i < len(m.entries) && m.entries[i].Position == position {
		return &m.entries[i]
	}
	return nil
}

// newest returns the position of the last entry of the window, 0 where there is none.
func (m *messages) newest() int64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[len(m.entries)-1].Position
}

// take puts entries into the window that were read for q.
func (m *messages) take(q query, list []command.EntryJSON) {
	m.loading = false
	if q.thread != "" { // all of it, but for the middle of one that is very long
		if over := len(list) - maxWindow; over > 0 {
			list = slices.Delete(list, 1, 1+over)
		}
		m.follow = m.follow || !m.loaded
		m.entries, m.loaded, m.first, m.last = list, true, true, true
		return
	}
	switch q.kind {
	case newestPage:
		m.entries, m.loaded, m.last, m.first = list, true, true, len(list) < q.limit
		m.follow = true
		if m.selected == toBeRead {
			m.selected = m.newest()
		}
	case olderPage:
		if len(m.entries) == 0 || m.entries[0].Position != q.from {
			return // the window moved meanwhile
		}
		m.first = len(list) < q.limit
		m.entries = append(list, m.entries...)
		if over := len(m.entries) - maxWindow; over > 0 && !m.follow {
			m.entries, m.last = m.entries[:maxWindow:maxWindow], false
		}
	case newerPage:
		if m.newest() != q.from {
			return
		}
		m.last = len(list) < q.limit
		m.entries = append(m.entries, list...)
		m.forget()
	case again:
		m.refresh(q, list)
	case fromFirst:
		m.entries, m.loaded, m.first, m.last, m.follow = list, true, true, len(list) < q.limit, false
		m.position, m.above = 0, 0
		if m.selected > 0 && len(list) > 0 {
			m.selected = list[0].Position
		}
	case around:
		m.entries, m.loaded, m.first, m.last, m.follow = list, true, false, false, false
		m.position, m.above, m.selected = q.target, 0, q.target
	}
}

// refresh replaces the window by the same entries as they are now, and what follows them.
func (m *messages) refresh(q query, list []command.EntryJSON) {
	if len(m.entries) == 0 && q.from > 0 || len(m.entries) > 0 && m.entries[0].Position != q.from+1 {
		return
	}
	was := len(m.entries)
	m.entries, m.last = list, len(list) < q.limit
	if !m.last && !m.follow {
		m.entries = m.entries[:min(len(list), max(was, pageSize))]
	}
	m.forget()
}

// forget drops the oldest entries where there are too many, if the person looks at others.
func (m *messages) forget() {
	keep := maxWindow
	if m.follow {
		keep = 3 * pageSize
	}
	over := len(m.entries) - keep
	if over > 0 && !m.follow {
		over = min(over, m.index(m.position)-pageSize)
	}
	if over > 0 {
		m.entries, m.first = slices.Clone(m.entries[over:]), false
	}
}

// queryKind says which entries are wanted.
type queryKind int

const (
	newestPage queryKind = iota
	olderPage            // before from
	newerPage            // after from
	again                // after from: those of the window, and what follows
	around               // so that target is among them
	fromFirst            // the very first
)

// query is a wish for entries of a conversation, or of a thread of it.
type query struct {
	kind         queryKind
	conversation string
	thread       string
	from         int64
	limit        int
	target       int64
}

// args are the arguments of the command history.
func (q query) args() map[string]any {
	if q.thread != "" {
		return map[string]any{"conversation": q.conversation, "message": q.thread, "offline": true}
	}
	args := map[string]any{"conversation": q.conversation, "limit": q.limit, "offline": true}
	switch q.kind {
	case olderPage, around:
		args["position"] = q.from
	case newerPage, again, fromFirst:
		args["after"] = q.from
	}
	return args
}

// want returns what has to be read now, if anything: with where the screen is in rows of the window.
func (m *messages) want(top, bottom int) (query, bool) {
	q := query{conversation: m.conversation, thread: m.thread, limit: pageSize}
	switch {
	case m.loading || m.conversation == "":
		return q, false
	case !m.loaded:
		q.kind = newestPage
	case m.stale && (len(m.entries) == 0 || m.follow && !m.last):
		q.kind = newestPage
	case m.stale:
		q.kind, q.from, q.limit = again, m.entries[0].Position-1, len(m.entries)+pageSize
	case !m.first && len(m.entries) > 0 && top < pageSize/4:
		q.kind, q.from = olderPage, m.entries[0].Position
	case !m.last && len(m.entries) > 0 && bottom > len(m.entries)-pageSize/4:
		q.kind, q.from = newerPage, m.newest()
	default:
		return q, false
	}
	m.loading, m.stale = true, false
	return q, true
}
