//go:build !js

package profile_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/search"
)

const killedVariable = "QPQ_TEST_INDEX" // the path of a profile: the test is the process that takes it into the index, and is killed

// indexFor takes a profile into the index, a batch for each line that it is given, and writes one after each.
func indexFor(t *testing.T, c profile.Config) {
	p := must(profile.Open(c))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		check(t, p.Index())
		fmt.Println("a batch")
	}
}

// kill has another process take the profile into the index, and kills it while it is at the batch after so many.
func kill(t *testing.T, c profile.Config, after int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), killedVariable+"="+c.Path)
	out := must(cmd.StdoutPipe())
	cmd.Stdin, cmd.Stderr = strings.NewReader(strings.Repeat("\n", after+1)), os.Stderr
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for n := 0; n < after && lines.Scan(); n++ {
		if lines.Text() != "a batch" {
			t.Fatalf("the process that indexes says %q", lines.Text())
		}
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

func TestAnIndexGoesOnAfterItWasKilled(t *testing.T) {
	c := profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)}
	if path := os.Getenv(killedVariable); path != "" {
		c.Path = path
		indexFor(t, c)
		return
	}
	p := must(profile.Open(c))
	const batches, batch = 12, 512
	for n := 0; n < batches*batch; n += batch {
		texts := make([]string, batch)
		for i := range texts {
			texts[i] = fmt.Sprintf("lunch number%d with word%d", n+i, (n+i)%97)
		}
		say(t, p, n, texts...)
	}
	check(t, profile.Undo(p, 8)) // whose upgrade has the index made anew
	check(t, p.Close())

	left := int64(batches * batch)
	for _, after := range []int{1, 2, 3} {
		kill(t, c, after)
		p = must(profile.Open(c))
		now := p.Backlog()
		if done := left - now; done < int64(after*batch) || now == 0 {
			t.Fatalf("after %d batches were told of, %d entries are left of %d", after, now, left)
		}
		left = now
		wordsAreFound(t, p, batches*batch) // though not all are in the index
		check(t, p.Close())
	}
	p = must(profile.Open(c))
	defer p.Close()
	catchUp(t, p)
	wordsAreFound(t, p, batches*batch)
	some, _ := must2(p.Texts(&profile.Lookup{Words: []string{"lun"}, Before: 100}, 10))
	for _, v := range some { // none was put in twice
		check(t, p.Change(func(tx *profile.Tx) error { return tx.Wipe(v.Position, profile.Deleted) }))
	}
	if n := len(lookedUp(p, profile.Lookup{Words: []string{"lun"}}, 1000)); n != batches*batch-10 {
		t.Errorf("after 10 were wiped %d are found", n)
	}
}

// wordsAreFound looks some words up that every 97th message has, and nothing else.
func wordsAreFound(t *testing.T, p *profile.Profile, messages int) {
	t.Helper()
	for _, n := range []int{0, 13, 96} {
		word := fmt.Sprintf("word%d", n)
		var got, want []int64
		for _, v := range lookedUp(p, profile.Lookup{Words: strings.Fields(string(search.Terms(word)))}, 100) {
			if strings.HasSuffix(v.Text, " "+word) {
				got = append(got, v.Position)
			}
		}
		for i := messages - 1; i >= 0; i-- {
			if i%97 == n {
				want = append(want, int64(i)+1)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is found %d times, and there %d times", word, len(got), len(want))
		}
	}
}
