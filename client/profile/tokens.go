package profile

import (
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

// registerIndex makes FTS5 known to a connection, with the tokenizer of the table words: its terms are what stands between spaces.
func registerIndex(db *sqlite3.Conn) error {
	return fts5.RegisterCustom(db, func(a *fts5.API) error {
		return a.CreateTokenizer("qpq", func([]string) (fts5.Tokenizer, error) { return spaced{}, nil })
	})
}

type spaced struct{}

// Tokenize implements fts5.Tokenizer.
func (spaced) Tokenize(_ fts5.TokenizeFlag, text, _ string, each fts5.TokenCallback) error {
	for at := 0; at < len(text); {
		end := at + len(text[at:])
		if i := strings.IndexByte(text[at:], ' '); i >= 0 {
			end = at + i
		}
		if end > at {
			if err := each(0, "", at, end); err != nil {
				return err
			}
		}
		at = end + 1
	}
	return nil
}
