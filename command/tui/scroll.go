package tui

import "slices"

// shownRow is a row of the message view, with the entry that it belongs to.
type shownRow struct {
	row
	position int64
}

// anchor returns the entry on the lowest row, and how many of its rows are below the screen.
func (m *messages) anchor() (i, above int) {
	if m.follow || len(m.entries) == 0 {
		return len(m.entries) - 1, 0
	}
	i = m.index(m.position)
	if i >= len(m.entries) {
		return len(m.entries) - 1, 0
	}
	if m.entries[i].Position != m.position {
		return i, 0
	}
	return i, m.above
}

// onScreen returns the rows on a screen of some height, and which entries the first and the last of them belong to. rowsOf returns the rows of an
// entry.
func (m *messages) onScreen(height int, rowsOf func(i int) []row) (rows []shownRow, top, bottom int) {
	i, above := m.anchor()
	if i < 0 || height < 1 {
		return nil, 0, 0
	}
	top, bottom = i, i
	for above := above; i >= 0 && len(rows) < height; i, above = i-1, 0 {
		of := rowsOf(i)
		of = of[:max(len(of)-above, 0)]
		rows, top = append(m.shown(i, of), rows...), i
	}
	if over := len(rows) - height; over > 0 {
		rows = rows[over:]
	}
	for i := bottom; i < len(m.entries) && len(rows) < height; i++ { // what is above does not fill the screen
		of := rowsOf(i)
		if i == bottom {
			of = of[max(len(of)-above, 0):]
		}
		rows, bottom = append(rows, m.shown(i, of)...), i
	}
	return rows[:min(len(rows), height)], top, bottom
}

func (m *messages) shown(i int, rows []row) (list []shownRow) {
	for _, r := range rows {
		list = append(list, shownRow{r, m.entries[i].Position})
	}
	return list
}

// scroll moves the screen by rows: back where by is above 0, else forth.
func (m *messages) scroll(by, height int, rowsOf func(i int) []row) {
	i, above := m.anchor()
	if i < 0 {
		return
	}
	i, above = m.filled(i, above, height, rowsOf)
	above += by
	for above < 0 && i < len(m.entries)-1 {
		i++
		above += len(rowsOf(i))
	}
	above = max(above, 0)
	for i > 0 && above >= len(rowsOf(i)) {
		above -= len(rowsOf(i))
		i--
	}
	i, above = m.filled(i, above, height, rowsOf)
	m.position, m.above = m.entries[i].Position, above
	m.follow = m.last && i == len(m.entries)-1 && above == 0
}

// filled moves an anchor down until the screen is full, or as far as there is something.
func (m *messages) filled(i, above, height int, rowsOf func(i int) []row) (int, int) {
	rows := len(rowsOf(i)) - above
	for j := i - 1; j >= 0 && rows < height; j-- {
		rows += len(rowsOf(j))
	}
	for missing := height - rows; missing > 0; {
		if above >= missing {
			return i, above - missing
		}
		missing -= above
		if i == len(m.entries)-1 {
			return i, 0
		}
		i++
		above = len(rowsOf(i))
	}
	return i, max(above, 0)
}

// reveal moves the screen so that an entry is on it.
func (m *messages) reveal(position int64, height int, rowsOf func(i int) []row) {
	at := m.index(position)
	if at >= len(m.entries) {
		return
	}
	rows, top, bottom := m.onScreen(height, rowsOf)
	whole := 0
	for _, r := range rows {
		if r.position == position {
			whole++
		}
	}
	need := min(len(rowsOf(at)), height)
	if whole >= need {
		return
	}
	if at <= top && !(at == bottom && at != top) { // it goes to the top of the screen
		i, above := at, len(rowsOf(at))-need
		i, above = m.filled(i, above, height, rowsOf)
		m.position, m.above, m.follow = m.entries[i].Position, above, m.last && i == len(m.entries)-1 && above == 0
		return
	}
	m.position, m.above = position, 0
	m.follow = m.last && at == len(m.entries)-1
}

// stand is where the screen is in the window, and what is selected.
type stand struct {
	follow             bool
	position, selected int64
	above              int
}

// stands returns that.
func (m *messages) stands() stand { return stand{m.follow, m.position, m.selected, m.above} }

// resized carries out a change of the size of the screen. What was the lowest row stays that, so that a size that comes back brings back what was
// seen; an entry that is selected stays on the screen, if it was there.
func (m *messages) resized(change func() (height int), height int, rowsOf func(i int) []row) {
	if now := m.stands(); now != m.after { // somebody moved since the size changed last
		m.before, m.seen = now, m.sees(m.selected, height, rowsOf)
	}
	m.follow, m.position, m.above = m.before.follow, m.before.position, m.before.above
	if height = change(); m.seen && height > 0 && !m.sees(m.selected, height, rowsOf) {
		m.reveal(m.selected, height, rowsOf)
	}
	m.after = m.stands()
}

// sees reports whether an entry is on the screen, in part at least.
func (m *messages) sees(position int64, height int, rowsOf func(i int) []row) bool {
	rows, _, _ := m.onScreen(height, rowsOf)
	return slices.ContainsFunc(rows, func(r shownRow) bool { return r.position == position })
}

// turn scrolls, and takes along what is selected: it stays on the screen. At the end of the history it goes to the last entry there is.
func (m *messages) turn(by, height int, rowsOf func(i int) []row) {
	was := m.stands()
	m.scroll(by, height, rowsOf)
	if m.selected == 0 || len(m.entries) == 0 {
		return
	}
	first, last := m.whole(height, rowsOf)
	switch i := m.index(m.selected); {
	case m.stands() == was && by > 0, i < first:
		m.selected = m.entries[first].Position
	case m.stands() == was && by < 0, i > last:
		m.selected = m.entries[last].Position
	}
}

// whole returns the first and the last entry of which all rows are on the screen, or what is there where none is whole.
func (m *messages) whole(height int, rowsOf func(i int) []row) (first, last int) {
	rows, first, last := m.onScreen(height, rowsOf)
	shown := map[int64]int{}
	for _, r := range rows {
		shown[r.position]++
	}
	for first < last && shown[m.entries[first].Position] < len(rowsOf(first)) {
		first++
	}
	for last > first && shown[m.entries[last].Position] < len(rowsOf(last)) {
		last--
	}
	return first, last
}

// step selects the entry after the one selected, or before it with a negative step. Where none is, it begins with the lowest on the screen.
func (m *messages) step(by, height int, rowsOf func(i int) []row) {
	if len(m.entries) == 0 {
		return
	}
	i := m.index(m.selected)
	if m.selected == 0 || i >= len(m.entries) {
		_, _, i = m.onScreen(height, rowsOf)
	} else {
		i = max(0, min(len(m.entries)-1, i+by))
	}
	m.selected = m.entries[i].Position
	m.reveal(m.selected, height, rowsOf)
}
