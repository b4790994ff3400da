package profile

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

// TransferState says what becomes of a transfer.
type TransferState int64

// The values of TransferState.
const (
	TransferWaiting TransferState = 1 // it goes on by itself
	TransferStopped TransferState = 2 // it goes on when somebody says so: Problem says why
	TransferDone    TransferState = 3 // of a download: the file is at Path
)

// Transfer is a file on its way.
type Transfer struct {
	ID       int64
	Channel  qpq.ChannelID
	Upload   bool
	Position int64  // of a download: of the entry of its message
	Path     string // where the file is read from, or goes to
	Part     string // of a download: where the file is until it is whole
	Content  []byte // of an upload: the wire.Message that is sent once the file is at the hub
	Pieces   []byte // of an upload: SHA-256 of each chunk in the clear
	Total    int64  // bytes of the file
	State    TransferState
	Problem  string
	Begun    time.Time // to the millisecond
}

const transferColumns = `id, channel, upload, position, path, part, content, pieces, total, state, problem, begun`

// AddTransfer keeps a transfer and gives it an id, which is never used twice.
func (t *Tx) AddTransfer(f *Transfer) error {
	return t.p.query(`INSERT INTO transfers (channel, upload, position, path, part, content, pieces, total, state, problem, begun)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, func(s *sqlite3.Stmt) error {
		f.ID = s.ColumnInt64(0)
		return nil
	}, f.Channel[:], f.Upload, f.Position, f.Path, f.Part, some(f.Content), some(f.Pieces), f.Total, int64(f.State), f.Problem, f.Begun.UnixMilli())
}

// SetTransfer notes what became of a transfer, and, of a download, where the file is.
func (t *Tx) SetTransfer(f Transfer) error {
	return t.p.exec(`UPDATE transfers SET state = ?2, problem = ?3, path = ?4, part = ?5 WHERE id = ?1`, f.ID, int64(f.State), f.Problem, f.Path, f.Part)
}

// DropTransfer forgets a transfer.
func (t *Tx) DropTransfer(id int64) error {
	return t.p.exec(`DELETE FROM transfers WHERE id = ?`, id)
}

// Transfers returns all transfers that are not done, in the order in which they were begun.
func (p *Profile) Transfers() ([]Transfer, error) {
	return p.transfers(`SELECT `+transferColumns+` FROM transfers WHERE state <> ? ORDER BY id`, int64(TransferDone))
}

// Transfer returns a transfer, nil where there is none.
func (p *Profile) Transfer(id int64) (*Transfer, error) {
	return firstTransfer(p.transfers(`SELECT `+transferColumns+` FROM transfers WHERE id = ?`, id))
}

// Download returns the newest download of the message at a position, nil where there is none.
func (p *Profile) Download(position int64) (*Transfer, error) {
	return firstTransfer(p.transfers(`SELECT `+transferColumns+` FROM transfers WHERE position = ? AND upload = 0 ORDER BY id DESC LIMIT 1`, position))
}

func firstTransfer(list []Transfer, err error) (*Transfer, error) {
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (p *Profile) transfers(query string, args ...any) (list []Transfer, err error) {
	err = p.read(query, func(s *sqlite3.Stmt) error {
		f := Transfer{ID: s.ColumnInt64(0), Upload: s.ColumnBool(2), Position: s.ColumnInt64(3), Path: s.ColumnText(4), Part: s.ColumnText(5),
			Content: s.ColumnBlob(6, nil), Pieces: s.ColumnBlob(7, nil), Total: s.ColumnInt64(8), State: TransferState(s.ColumnInt64(9)), Problem: s.ColumnText(10),
			Begun: time.UnixMilli(s.ColumnInt64(11))}
		copy(f.Channel[:], s.ColumnRawBlob(1))
		list = append(list, f)
		return nil
	}, args...)
	return list, err
}

// Files returns up to limit messages of a conversation that are files, the newest first.
func (p *Profile) Files(id qpq.ChannelID, limit int) ([]Entry, error) {
	return p.entries(`SELECT `+entryColumns+` FROM entries WHERE channel = ? AND kind IN (3, 4) ORDER BY position DESC LIMIT ?`,
		id[:], int64(limit))
}
