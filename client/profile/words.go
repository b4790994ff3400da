package profile

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/search"
	"github.com/quicproquo/qpq/wire"
)

// The index of words. Its table has the terms of package search of every message up to a position, as the message stands now, and besides
// terms that say where it is and whose. What comes after that position is not in it yet: new messages are put into it many at a time, which costs
// a tenth, and a profile that an older release wrote is taken in step by step. Whatever changes or removes a message goes through Tx.altering.

const (
	indexBatch = 512 // messages that are put into the index together
	indexEvery = 64  // at each so many new entries, it is looked whether there are enough for a batch
	blockBits  = 10  // entries whose positions are the same but for so many bits are a block, of which the oldest and newest time are known
)

// Said is what a message says, as it stands now.
type Said struct {
	Position int64
	Time     int64 // in milliseconds
	Channel  qpq.ChannelID
	Sender   string
	Kind     Kind
	Text     string
	Name     string // of a file
}

// saidColumns are those of an entry e with its edit d.
const (
	saidColumns = `e.position, e.time, e.channel, e.sender, e.kind, e.content, d.content`
	withEdit    = ` LEFT JOIN entries d ON d.position = e.edit AND e.edit > 0`
	areSaid     = ` e.kind IN (1, 2, 3) AND e.gone = 0 ` // text, reply, file
)

// readSaid reads a row. Content that cannot be read says nothing: whoever shows it tells.
func readSaid(s *sqlite3.Stmt) Said {
	v := Said{Position: s.ColumnInt64(0), Time: s.ColumnInt64(1), Sender: s.ColumnText(3), Kind: Kind(s.ColumnInt64(4))}
	copy(v.Channel[:], s.ColumnRawBlob(2))
	for _, content := range [][]byte{s.ColumnRawBlob(5), s.ColumnRawBlob(6)} {
		if len(content) == 0 {
			continue
		}
		m, err := wire.Unmarshal[wire.Message](content)
		if err != nil {
			continue
		}
		switch b := m.Body.(type) {
		case wire.TextBody:
			v.Text = b.Text
		case wire.ReplyBody:
			v.Text = b.Text
		case wire.EditBody:
			v.Text = b.Text
		case wire.FileBody:
			v.Text, v.Name = b.Caption, b.Name
		}
	}
	return v
}

// said returns what messages say. The caller holds mu.
func (p *Profile) said(query string, args ...any) (list []Said, err error) {
	err = p.query(query, func(s *sqlite3.Stmt) error {
		list = append(list, readSaid(s))
		return nil
	}, args...)
	return list, err
}

// Terms for what is no word; those of words have no such characters.
const (
	TermFile  = ":file"
	TermReply = ":reply"
	TermLink  = ":link"
)

// TermChannel is the term that the messages of a conversation have.
func TermChannel(id qpq.ChannelID) string { return "#" + hex.EncodeToString(id[:]) }

// TermSender is the term that the messages of an account have.
func TermSender(u qpq.UserID) string { return "@" + u.String() }

// terms returns those of the index for a message.
func (v *Said) terms() string {
	b := search.Terms(v.Text)
	if v.Name != "" {
		b = append(b, search.Terms(v.Name)...)
	}
	return string(b) + strings.Join(v.marks(), " ")
}

// marks returns the terms that are no words.
func (v *Said) marks() []string {
	list := []string{TermChannel(v.Channel), "@" + v.Sender}
	if v.Kind == KindFile {
		list = append(list, TermFile)
	}
	if v.Kind == KindReply {
		list = append(list, TermReply)
	}
	if search.HasLink(v.Text) {
		list = append(list, TermLink)
	}
	return list
}

// indexed returns the position up to which messages are in the index. The caller holds mu.
func (p *Profile) indexed() (position int64, err error) {
	err = p.query(`SELECT position FROM indexed`, func(s *sqlite3.Stmt) error {
		position = s.ColumnInt64(0)
		return nil
	})
	return position, err
}

func (p *Profile) newest() (position int64, err error) {
	err = p.query(`SELECT coalesce(max(position), 0) FROM entries`, func(s *sqlite3.Stmt) error {
		position = s.ColumnInt64(0)
		return nil
	})
	return position, err
}

// backlog returns how many entries are not in the index yet. The caller holds mu.
func (p *Profile) backlog() (int64, error) {
	at, err := p.indexed()
	if err != nil {
		return 0, err
	}
	newest, err := p.newest()
	return max(0, newest-at), err
}

// Unindexed returns how many entries wait to be put into the index, where they are more than Lookup goes through one by one; otherwise 0.
func (p *Profile) Unindexed() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.backlog()
	if n < 2*indexBatch {
		n = 0
	}
	return n, kinded(err)
}

// Index puts the next entries into the index. It may be called until Unindexed returns 0; each call is durable by itself.
func (p *Profile) Index() error { return p.change(p.indexMore) }

// indexMore puts the next batch into the index. It runs in a transaction.
func (p *Profile) indexMore() error {
	at, err := p.indexed()
	if err != nil {
		return err
	}
	list, err := p.said(`SELECT `+saidColumns+` FROM entries e`+withEdit+` WHERE`+areSaid+`AND e.position > ? ORDER BY e.position LIMIT ?`, at, int64(indexBatch))
	if err != nil {
		return err
	}
	if len(list) == indexBatch {
		at = list[len(list)-1].Position
	} else if at, err = p.newest(); err != nil {
		return err
	}
	add, err := p.bind(`INSERT INTO words (rowid, terms) VALUES (?, ?)`, nil)
	if err != nil {
		return err
	}
	blocks := map[int64][2]int64{}
	for _, v := range list {
		if err := errors.Join(add.BindInt64(1, v.Position), add.BindText(2, v.terms()), add.Exec()); err != nil {
			return errors.Join(err, add.Close())
		}
		b, ok := blocks[v.Position>>blockBits]
		if !ok {
			b = [2]int64{v.Time, v.Time}
		}
		blocks[v.Position>>blockBits] = [2]int64{min(b[0], v.Time), max(b[1], v.Time)}
	}
	err = add.Close()
	for block, b := range blocks {
		err = errors.Join(err, p.exec(`INSERT INTO blocks VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET oldest = min(oldest, ?2), newest = max(newest, ?3)`, block, b[0], b[1]))
	}
	return errors.Join(err, p.exec(`UPDATE indexed SET position = ?`, at))
}

// added sees to the index after an entry was added.
func (t *Tx) added(position int64) error {
	if position == 0 || position%indexEvery != 0 {
		return nil
	}
	n, err := t.p.backlog()
	if err != nil || n < indexBatch {
		return err
	}
	return t.p.indexMore()
}

// altering runs change, which alters or removes what the message at a position says, and brings the index in line with it.
func (t *Tx) altering(position int64, change func() error) error {
	at, err := t.p.indexed()
	if err != nil {
		return err
	}
	if position > at {
		return change()
	}
	const one = `SELECT ` + saidColumns + ` FROM entries e` + withEdit + ` WHERE` + areSaid + `AND e.position = ?`
	before, err := t.p.said(one, position)
	if err != nil {
		return err
	}
	for _, v := range before {
		if err := t.p.exec(`INSERT INTO words (words, rowid, terms) VALUES ('delete', ?, ?)`, position, v.terms()); err != nil {
			return err
		}
		if err := t.p.forgetTerms(v.terms()); err != nil {
			return err
		}
	}
	if err := change(); err != nil {
		return err
	}
	after, err := t.p.said(one, position)
	for _, v := range after {
		err = errors.Join(err, t.p.exec(`INSERT INTO words (rowid, terms) VALUES (?, ?)`, position, v.terms()))
	}
	return err
}

// retimed notes that the message at a position has another time.
func (t *Tx) retimed(position, at int64) error {
	return t.p.exec(`UPDATE blocks SET oldest = min(oldest, ?2), newest = max(newest, ?2) WHERE block = ?1`, position>>blockBits, at)
}

// clearIndex empties the index, after all entries were removed.
func (p *Profile) clearIndex() error {
	return errors.Join(p.exec(`INSERT INTO words (words) VALUES ('delete-all')`), p.exec(`DELETE FROM blocks`))
}
