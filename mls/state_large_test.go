package mls_test

import (
	"strings"
	"testing"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/mls/mlstest"
)

// kinds counts records by what comes before the first slash of their keys, and their bytes.
func kinds(list []mls.Record) (count map[string]int, bytes int) {
	count = map[string]int{}
	for _, r := range list {
		kind, _, _ := strings.Cut(r.Key, "/")
		count[kind]++
		bytes += len(r.Value)
	}
	return count, bytes
}

// TestRecordsOfALargeGroup counts what is stored for one message and for one commit in a group of a thousand.
func TestRecordsOfALargeGroup(t *testing.T) {
	const n = 1000 // the tree has 11 levels
	cast, err := mlstest.FullCrowd(mls.Config{Credentials: mlstest.Anyone{}}, 1, n)
	if err != nil {
		t.Fatal(err)
	}
	a, c := cast.A, cast.C
	if _, all := kinds(a.Records()); all < 250*n {
		t.Fatalf("the whole state is only %d bytes", all)
	}
	check := func(what string, list []mls.Record, most int, want map[string]int) {
		t.Helper()
		count, bytes := kinds(list)
		t.Logf("%s: %d bytes in %v", what, bytes, count)
		if bytes > most {
			t.Errorf("%s stores %d bytes, at most %d are fine", what, bytes, most)
		}
		for kind, got := range count {
			if got > want[kind] {
				t.Errorf("%s stores %d records %s, at most %d are fine", what, got, kind, want[kind])
			}
		}
	}
	for i, most := range []int{600, 100, 100} {
		out, err := a.Encrypt([]byte("text"), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"ratchet": 1}
		if i == 0 {
			want["secrets"] = 1 // the way down the secret tree
		}
		check("to send", out.Records, most, want)
		r, err := c.Process(out.Message)
		if err != nil {
			t.Fatal(err)
		}
		check("to receive", r.(*mls.ApplicationMessage).Records, most, want)
	}
	p, err := a.Commit(mls.CommitOptions{Proposals: []mls.Proposal{&message.Remove{Removed: cast.B.OwnIndex()}}})
	if err != nil {
		t.Fatal(err)
	}
	check("to commit", p.Records, 8_000, map[string]int{"pending": 1, "ratchet": 1})
	r, err := c.Process(p.Message)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := r.(*mls.StagedCommit).Merge()
	if err != nil {
		t.Fatal(err)
	}
	applied, err := p.Apply()
	if err != nil {
		t.Fatal(err)
	}
	// Two leaves next to each other change, and the nodes above them: one part of the tree for each four levels.
	for what, list := range map[string][]mls.Record{"to apply": applied, "to merge": merged} {
		check(what, list, 8_000, map[string]int{"group": 1, "tree": 4, "secrets": 1, "epoch": 1, "pending": 1})
	}
}
