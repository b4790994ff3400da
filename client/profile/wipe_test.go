//go:build !js

package profile_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/client/profile"
)

// inTheClear is a profile whose pages are in its file as SQLite has them, not encrypted.
func inTheClear(t *testing.T) profile.Config {
	return profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: bytes.Repeat([]byte{7}, profile.KeySize), VFS: "os"}
}

// secret makes text of letters that stand nowhere else, so that whatever is left of it is found.
func secret(r *rand.Rand) string {
	var b strings.Builder
	for range 3 + r.IntN(20) {
		for range 3 + r.IntN(9) {
			b.WriteRune('ა' + rune(r.IntN(33)))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

var georgian = []byte("ა")[:2] // each letter begins with these

// left returns how often letters of secrets are in the files of a profile, and where first.
func left(t *testing.T, c profile.Config) (n int, what string) {
	t.Helper()
	for _, name := range must(filepath.Glob(c.Path + "*")) {
		b := must(os.ReadFile(name))
		for i := 0; ; {
			at := bytes.Index(b[i:], georgian)
			if at < 0 {
				break
			}
			i += at
			if n++; n < 9 || n%1000 == 0 {
				what += fmt.Sprintf("\n%s, page %d at %d: %q", filepath.Base(name), i/4096+1, i%4096, b[max(0, i-20):min(len(b), i+60)])
			}
			i++
		}
	}
	return n, what
}

func TestWhatIsWipedIsNotInTheFile(t *testing.T) {
	c := inTheClear(t)
	p := must(profile.Open(c))
	defer p.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var secrets []int64
	n := 0
	for round := range 4 {
		check(t, p.Change(func(tx *profile.Tx) error {
			for range 500 {
				n++
				text := fmt.Sprintf("the weather in town %d is nice, says message %x", n%77, r.Uint64())
				if n%5 == 0 {
					text = secret(r)
				}
				position, err := tx.AddEntry(textEntry(n, text))
				if err != nil {
					return err
				}
				if n%5 == 0 {
					secrets = append(secrets, position)
				}
			}
			return nil
		}))
		if round%2 == 0 {
			catchUp(t, p)
		}
		for range 3 {
			check(t, p.Change(func(tx *profile.Tx) error {
				for range 10 {
					n++
					if _, err := edit(tx, n, secrets[r.IntN(len(secrets))], secret(r)); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	}
	if k, _ := left(t, c); k == 0 {
		t.Fatal("nothing of what is to be wiped is there")
	}
	r.Shuffle(len(secrets), func(i, j int) { secrets[i], secrets[j] = secrets[j], secrets[i] })
	for some := range slices.Chunk(secrets, 20) {
		check(t, p.Change(func(tx *profile.Tx) error {
			for _, position := range some {
				if err := tx.Wipe(position, profile.Deleted); err != nil {
					return err
				}
			}
			return nil
		}))
		n++
		say(t, p, n, "and life goes on")
	}
	if k, what := left(t, c); k > 0 {
		t.Errorf("%d letters are left:%s", k, what)
	}
}

func TestForgottenConversationsAreNotInTheFile(t *testing.T) {
	c := inTheClear(t)
	p := must(profile.Open(c))
	defer p.Close()
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 40 {
		say(t, p, n*100, slices.Collect(func(yield func(string) bool) {
			for range 100 {
				if !yield(secret(r)) {
					return
				}
			}
		})...)
	}
	catchUp(t, p)
	check(t, p.Forget())
	if k, what := left(t, c); k > 0 {
		t.Errorf("%d letters are left:%s", k, what)
	}
	if list, _ := must2(p.Texts(&profile.Lookup{}, 10)); len(list) > 0 {
		t.Errorf("found %v", list)
	}
	position := say(t, p, 5000, "a new beginning")
	catchUp(t, p)
	if got := found(p, "beginning"); !slices.Equal(got, []int64{position}) {
		t.Errorf("found %v, not %d", got, position)
	}
}
