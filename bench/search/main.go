// Command search measures how long messages take to look up in a profile that has many. bench/REPORT.md tells how to read what it prints.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/internal/history"
)

func main() {
	log.SetFlags(0)
	n := flag.Int("n", 1_000_000, "messages")
	each := flag.Int("queries", 100, "of each kind")
	dir := flag.String("dir", "", "`folder` for the profile, which is used again if it is there; empty makes one and removes it")
	seed := flag.Int64("seed", 1, "of what messages say")
	flag.Parse()
	if err := run(*dir, *n, *each, *seed); err != nil {
		log.Fatal(err)
	}
}

const (
	conversations = 40
	people        = 60
)

var key = slices.Repeat([]byte{7}, profile.KeySize)

func run(dir string, n, each int, seed int64) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "search"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	path := filepath.Join(dir, "profile.db")
	if _, err := os.Stat(path); err != nil {
		if err := prepare(path, n, seed); err != nil {
			return err
		}
	}
	p, err := profile.Open(profile.Config{Path: path, Key: key})
	if err != nil {
		return err
	}
	c := client.New(client.Config{Profile: p})
	defer func() { err = errors.Join(err, c.Close(), p.Close()) }()
	begin := time.Now()
	if _, _, err := c.Search(context.Background(), client.Query{Text: "tomorrow"}); err != nil {
		return err
	}
	fmt.Printf("- the first search after the profile was opened: %.1f ms\n\n", ms(time.Since(begin)))
	if err := queries(c, each, seed); err != nil {
		return err
	}
	return wiping(p, c)
}

// prepare makes the profile, and tells what that took.
func prepare(path string, n int, seed int64) error {
	begin := time.Now()
	p, err := profile.Open(profile.Config{Path: path, Key: key})
	if err != nil {
		return err
	}
	bytes, err := history.Fill(p, history.Config{Messages: n, Conversations: conversations, People: people, Unread: n / 10, Seed: seed})
	if err := errors.Join(err, p.Close()); err != nil {
		return err
	}
	fmt.Printf("- %d messages of %.0f bytes of text on average, received 100 at a time: %.1f µs for each, with the index\n", n, float64(bytes)/float64(n), us(time.Since(begin))/float64(n))
	if err := unindex(path); err != nil {
		return err
	}
	if p, err = profile.Open(profile.Config{Path: path, Key: key}); err != nil {
		return err
	}
	begin = time.Now()
	for {
		left, err := p.Unindexed()
		if err != nil {
			return errors.Join(err, p.Close())
		}
		if left == 0 {
			break
		}
		if err := p.Index(); err != nil {
			return errors.Join(err, p.Close())
		}
	}
	took := time.Since(begin)
	if err := p.Close(); err != nil {
		return err
	}
	file, index, err := sizes(path)
	fmt.Printf("- all of them taken into the index of an older profile: %.0f s, %.1f µs for each\n- %.0f bytes of the file for each, %.0f of them the index\n",
		took.Seconds(), us(took)/float64(n), float64(file)/float64(n), float64(index)/float64(n))
	return err
}

// raw opens the database beneath a profile.
func raw(path string) (*sqlite3.Conn, error) {
	db, err := sqlite3.Open("file:" + path + "?vfs=adiantum")
	if err != nil {
		return nil, err
	}
	return db, db.Exec(`PRAGMA hexkey = '` + hex.EncodeToString(key) + `'; PRAGMA locking_mode = EXCLUSIVE`)
}

// unindex makes a profile what an older release left: with messages, and nothing in the index.
func unindex(path string) error {
	db, err := raw(path)
	if err != nil {
		return err
	}
	err = fts5.RegisterCustom(db, func(a *fts5.API) error {
		return a.CreateTokenizer("qpq", func([]string) (fts5.Tokenizer, error) { return nothing{}, nil })
	})
	return errors.Join(err, db.Exec(`INSERT INTO words (words) VALUES ('delete-all'); UPDATE indexed SET position = 0; DELETE FROM blocks`), db.Close())
}

// nothing stands for the tokenizer of the profile, where nothing is put in.
type nothing struct{}

func (nothing) Tokenize(fts5.TokenizeFlag, string, string, fts5.TokenCallback) error { return nil }

// sizes returns how large the file is, and the index in it.
func sizes(path string) (file, index int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	db, err := raw(path)
	if err != nil {
		return 0, 0, err
	}
	s, _, err := db.Prepare(`SELECT (SELECT sum(length(block)) FROM words_data) + (SELECT sum(length(term) + 8) FROM words_idx)`)
	if err == nil && s.Step() {
		index = s.ColumnInt64(0)
	}
	return info.Size(), index, errors.Join(err, s.Close(), db.Close())
}

// wiping tells what it takes to remove a message from the profile, of those in the middle of it: the newest are not in the index yet.
func wiping(p *profile.Profile, c *client.Client) error {
	newest, err := p.Newest()
	if err != nil {
		return err
	}
	const many = 30
	hits, _, err := c.Search(context.Background(), client.Query{Text: "the", Limit: 2 * many, Before: newest / 2})
	if err != nil {
		return err
	}
	wipe := func(hits []client.Hit) (used time.Duration, err error) {
		used = -cpu()
		err = p.Change(func(tx *profile.Tx) error {
			for _, h := range hits {
				if err := tx.Wipe(h.Entry.Position, profile.Deleted); err != nil {
					return err
				}
			}
			return nil
		})
		return used + cpu(), err
	}
	var alone time.Duration
	n := len(hits) / 2
	for i := range n {
		used, err := wipe(hits[i : i+1])
		if err != nil {
			return err
		}
		alone += used
	}
	together, err := wipe(hits[n:])
	fmt.Printf("\n- CPU time to wipe a message: %.1f ms alone, %.1f ms for each of %d together\n", ms(alone)/float64(n), ms(together)/float64(len(hits)-n), len(hits)-n)
	return err
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
func us(d time.Duration) float64 { return float64(d) / 1e3 }
