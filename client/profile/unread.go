package profile

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

// How many entries of each conversation are new. They are counted as they come and as they are read, not whenever somebody looks at a list of
// conversations: whatever has isNew say something else of an entry keeps the numbers in line with it.

// isNew is a condition for messages of others that were read on no device of the account, neither with their conversation nor with their thread.
const isNew = ` state = 1 AND kind <= 15 AND gone = 0 AND sender <> coalesce((SELECT user FROM owner), '')
	AND position > coalesce((SELECT c.seen FROM channels c WHERE c.id = entries.channel), 0)
	AND (root = 0 OR position > coalesce((SELECT t.read FROM thread_reads t WHERE t.root = entries.root), 0)) `

// came counts the entry at a position, which was just added.
func (t *Tx) came(position int64) error {
	return t.p.exec(`INSERT INTO unread SELECT channel, 1 FROM entries WHERE position = ? AND`+isNew+`ON CONFLICT DO UPDATE SET number = number + 1`, position)
}

// passes counts entries no longer, which are about to be read or wiped. The arguments are those of the condition.
func (t *Tx) passes(those string, args ...any) error {
	return t.p.exec(`UPDATE unread SET number = number - passing.entries
		FROM (SELECT channel, count(*) AS entries FROM entries WHERE `+those+` AND`+isNew+`GROUP BY channel) passing WHERE passing.channel = unread.channel`, args...)
}

// Summary is what a list of conversations shows of the entries of one.
type Summary struct {
	Newest time.Time // zero where there is none
	Unread int       // messages of others that were read on no device of the account
}

const summary = `SELECT c.id, coalesce((SELECT e.time FROM entries e WHERE e.channel = c.id ORDER BY e.position DESC LIMIT 1), 0),
	coalesce((SELECT u.number FROM unread u WHERE u.channel = c.id), 0) FROM channels c `

// Summary sums up the entries of a conversation.
func (p *Profile) Summary(id qpq.ChannelID) (Summary, error) {
	found, err := p.summaries(summary+`WHERE c.id = ?`, id[:])
	return found[id], err
}

// Summaries sums up the entries of each conversation.
func (p *Profile) Summaries() (map[qpq.ChannelID]Summary, error) { return p.summaries(summary) }

func (p *Profile) summaries(query string, args ...any) (map[qpq.ChannelID]Summary, error) {
	found := map[qpq.ChannelID]Summary{}
	err := p.read(query, func(s *sqlite3.Stmt) error {
		sum := Summary{Unread: s.ColumnInt(2)}
		if at := s.ColumnInt64(1); at != 0 {
			sum.Newest = time.UnixMilli(at)
		}
		found[qpq.ChannelID(s.ColumnRawBlob(0))] = sum
		return nil
	}, args...)
	return found, err
}
