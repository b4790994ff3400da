package tui

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
