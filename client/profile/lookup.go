package profile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Lookup says which messages may be what somebody looks for: all of them are found, and others besides.
type Lookup struct {
	Words  []string   // terms of package search; each is in the message
	Marks  [][]string // of each group one (TermChannel, TermSender, TermFile, …)
	Since  time.Time  // zero for no limit
	Until  time.Time  // before it; zero for no limit
	Before int64      // position; 0 for no limit

	chosen bool     // Words are those that help most
	others []string // further words
}

// Texts returns up to limit messages that may be meant, the newest first, and the position before which there may be more, 0 for none.
// Those that are not in the index yet are among them whatever they say. Of many words it chooses those that help most, for the calls that follow too (Narrow).
func (p *Profile) Texts(l *Lookup, limit int) (list []Said, next int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, next, err = p.texts(l, limit)
	return list, next, kinded(err)
}

func (p *Profile) texts(l *Lookup, limit int) ([]Said, int64, error) {
	at, err := p.indexed()
	if err != nil {
		return nil, 0, err
	}
	before := cmp.Or(l.Before, 1<<62)
	if before > at+1 { // newest first: what the index does not have yet
		list, err := p.said(`SELECT `+saidColumns+` FROM entries e`+withEdit+` WHERE`+areSaid+`AND e.position > ? AND e.position < ? ORDER BY e.position DESC LIMIT ?`, at, before, int64(limit))
		if err != nil {
			return nil, 0, err
		}
		if len(list) == limit {
			return list, list[limit-1].Position, nil
		}
		return list, at + 1, nil
	}
	from, to, err := p.between(l.Since, l.Until, before)
	if err != nil || from >= to {
		return nil, 0, err
	}
	list, err := p.candidates(l, from, to, limit)
	if err == nil && len(list) == limit {
		from = list[limit-1].Position
	}
	return list, from, err
}

func (p *Profile) candidates(l *Lookup, from, to int64, limit int) ([]Said, error) {
	if !l.chosen {
		words, err := p.rarest(l.Words, to)
		if err != nil {
			return nil, err
		}
		few := min(fewTerms, len(words))
		l.Words, l.others, l.chosen = words[:few:few], words[few:], true
	}
	match := matching(l.Words, l.Marks)
	if match == "" {
		return p.said(`SELECT `+saidColumns+` FROM entries e`+withEdit+` WHERE`+areSaid+`AND e.position >= ? AND e.position < ? ORDER BY e.position DESC LIMIT ?`, from, to, int64(limit))
	}
	return p.said(`SELECT `+saidColumns+` FROM words w CROSS JOIN entries e ON e.position = w.rowid`+withEdit+`
		WHERE words MATCH ? AND w.rowid >= ? AND w.rowid < ? AND`+areSaid+`ORDER BY w.rowid DESC LIMIT ?`, match, from, to, int64(limit))
}

// matching is a query of FTS5 for all words, and of each group of marks one.
func matching(words []string, marks [][]string) string {
	quoted := func(list []string) []string {
		q := make([]string, len(list))
		for i, s := range list {
			q[i] = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
		return q
	}
	all := quoted(words)
	for _, group := range marks {
		all = append(all, "("+strings.Join(quoted(group), " OR ")+")")
	}
	return strings.Join(all, " AND ")
}

const (
	fewTerms   = 4    // to begin with: Narrow adds those that help
	sampleSize = 8192 // positions that are looked at
	sampleMost = 2048 // messages with a term that are counted
)

// rarest returns terms in an order that has those first, where they are many, that the fewest messages have, judging by the last ones before a position.
func (p *Profile) rarest(terms []string, to int64) ([]string, error) {
	terms = slices.Compact(slices.Sorted(slices.Values(terms)))
	if len(terms) <= fewTerms {
		return terms, nil
	}
	newest, err := p.indexed()
	if err != nil {
		return nil, err
	}
	to = min(to, newest+1)
	count := map[string]int64{}
	for _, term := range terms {
		err := p.query(`SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? AND rowid >= ? AND rowid < ? LIMIT ?)`, func(s *sqlite3.Stmt) error {
			count[term] = s.ColumnInt64(0)
			return nil
		}, matching([]string{term}, nil), to-sampleSize, to, int64(sampleMost))
		if err != nil {
			return nil, fmt.Errorf("count %q: %w", term, err)
		}
	}
	slices.SortStableFunc(terms, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
	return terms, nil
}

const (
	missedMost = 64 // messages by which it is judged whether a further word helps
	missedHelp = 4  // it does if one in so many does not have it
)

// Narrow has later calls of Texts look for further words too, where those help: where many have them not of the messages that were found and did not
// say what is looked for.
func (l *Lookup) Narrow(missed []Said) {
	if len(l.others) == 0 || len(missed) < missedMost/4 {
		return
	}
	var said []map[string]bool
	for _, v := range missed[:min(len(missed), missedMost)] {
		has := map[string]bool{}
		for term := range strings.FieldsSeq(v.terms()) {
			has[term] = true
		}
		if !slices.ContainsFunc(l.Words, func(w string) bool { return !has[w] }) { // or it was found because it is not in the index
			said = append(said, has)
		}
	}
	for len(l.others) > 0 {
		lack := func(word string) (n int) {
			for _, has := range said {
				if !has[word] {
					n++
				}
			}
			return n
		}
		best := slices.MaxFunc(l.others, func(a, b string) int { return cmp.Compare(lack(a), lack(b)) })
		if n := lack(best); n == 0 || n*missedHelp < len(said) {
			return
		}
		l.Words = append(l.Words, best)
		l.others = slices.DeleteFunc(l.others, func(w string) bool { return w == best })
		said = slices.DeleteFunc(said, func(has map[string]bool) bool { return !has[best] })
	}
}

// between returns from and to which positions before one messages of a time may be, of the newest blocks in a row that have such. Positions grow
// with time, but for what came late or from a clock that is wrong: the blocks know.
func (p *Profile) between(since, until time.Time, before int64) (from, to int64, err error) {
	if since.IsZero() && until.IsZero() {
		return 0, before, nil
	}
	earliest, latest := int64(math.MinInt64), int64(math.MaxInt64)
	if !since.IsZero() {
		earliest = since.UnixMilli()
	}
	if !until.IsZero() {
		latest = until.UnixMilli()
	}
	const has = `newest >= ?1 AND oldest < ?2`
	err = p.query(`WITH top (block) AS (SELECT max(block) FROM blocks WHERE `+has+` AND block <= ?3)
		SELECT block, (SELECT coalesce(max(b.block), -1) + 1 FROM blocks b WHERE NOT (`+has+`) AND b.block < top.block) FROM top WHERE block IS NOT NULL`, func(s *sqlite3.Stmt) error {
		from, to = s.ColumnInt64(1)<<blockBits, min(before, (s.ColumnInt64(0)+1)<<blockBits)
		return nil
	}, earliest, latest, (before-1)>>blockBits)
	return from, to, err
}

// Allows reports whether a message has the marks, and is of the time, that are looked for. What it says is not looked at.
func (l *Lookup) Allows(v *Said) bool {
	at := time.UnixMilli(v.Time)
	if at.Before(l.Since) || !l.Until.IsZero() && !at.Before(l.Until) {
		return false
	}
	has := v.marks()
	for _, group := range l.Marks {
		if !slices.ContainsFunc(group, func(m string) bool { return slices.Contains(has, m) }) {
			return false
		}
	}
	return true
}
