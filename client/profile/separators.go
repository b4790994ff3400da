package profile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// FTS5 keeps terms in order on pages, and in the table words_idx for each page the beginning of the term that was its first: what separates it from
// the page before. Of a term that is removed, option secure-delete leaves that. Here it goes too.

// separator is a row of words_idx.
type separator struct {
	segment int64
	term    []byte
	page    int64 // twice its number, and a bit that does not matter here
}

// forgetTerms removes from the index what is left of terms that a message had, unless others have them. The caller removed the message.
func (p *Profile) forgetTerms(terms string) error {
	if err := p.exec(`INSERT INTO words (words) VALUES ('flush')`); err != nil {
		return err
	}
	segments, err := p.segments()
	if err != nil {
		return err
	}
	var found []separator
	find, err := p.bind(`SELECT term, pgno FROM words_idx WHERE segid = ? AND term <= ? ORDER BY term DESC LIMIT 1`, nil)
	if err != nil {
		return err
	}
	for _, term := range slices.Compact(slices.Sorted(strings.FieldsSeq(terms))) {
		term = "0" + term // as FTS5 has them where an index has no others of their beginnings
		for _, segment := range segments {
			if err := errors.Join(find.BindInt64(1, segment), find.BindBlob(2, []byte(term))); err != nil {
				return errors.Join(err, find.Close())
			}
			if find.Step() && strings.HasPrefix(term, string(find.ColumnRawBlob(0))) && len(find.ColumnRawBlob(0)) > 1 {
				found = append(found, separator{segment, find.ColumnBlob(0, nil), find.ColumnInt64(1)})
			}
			if err := find.Reset(); err != nil {
				return errors.Join(err, find.Close())
			}
		}
	}
	err = find.Close()
	for _, s := range found {
		err = errors.Join(err, p.separate(s))
	}
	return err
}

func (p *Profile) segments() (list []int64, err error) {
	err = p.query(`WITH RECURSIVE s (id) AS (SELECT min(segid) FROM words_idx UNION ALL SELECT (SELECT min(segid) FROM words_idx WHERE segid > id) FROM s WHERE id IS NOT NULL)
		SELECT id FROM s WHERE id IS NOT NULL`, func(s *sqlite3.Stmt) error {
		list = append(list, s.ColumnInt64(0))
		return nil
	})
	return list, err
}

// separate has a page begin with a term that it has, if it does not.
func (p *Profile) separate(s separator) error {
	var first []byte
	err := p.query(`SELECT block FROM words_data WHERE id = ?`, func(q *sqlite3.Stmt) error {
		first = firstTerm(q.ColumnRawBlob(0))
		return nil
	}, s.segment<<37|s.page>>1)
	if err != nil || first == nil || bytes.HasPrefix(first, s.term) {
		return err
	}
	return p.exec(`UPDATE words_idx SET term = ? WHERE segid = ? AND term = ?`, first, s.segment, s.term)
}

// firstTerm returns the first term of a page, nil where it has none: after a header of four bytes, whose last two say where a list of places of terms
// begins, the first of which is a number of bytes with those bytes.
func firstTerm(page []byte) []byte {
	if len(page) < 4 {
		return nil
	}
	places := int(binary.BigEndian.Uint16(page[2:]))
	if places >= len(page) {
		return nil
	}
	at, n := varint(page[places:])
	if n == 0 || at >= places {
		return nil
	}
	size, n := varint(page[at:])
	if n == 0 || at+n+size > places {
		return nil
	}
	return bytes.Clone(page[at+n : at+n+size])
}

// varint reads a number as SQLite writes those below 2^14, and returns it with how many bytes it has: 0 for larger ones.
func varint(b []byte) (value, size int) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return int(b[0]), 1
	case len(b) > 1 && b[1] < 0x80:
		return int(b[0]&0x7F)<<7 | int(b[1]), 2
	}
	return 0, 0
}
