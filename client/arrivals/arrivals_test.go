package arrivals_test

import (
	"testing"

	"github.com/quicproquo/qpq/client/arrivals"
	"github.com/quicproquo/qpq/wire"
)

// TestArrivals: rows are taken where they follow what was read, in whatever order they came and however often; whatever else may be there is fetched.
func TestArrivals(t *testing.T) {
	row := func(n uint64) wire.InboxPush { return wire.InboxPush{Sequence: n, Row: &wire.InboxRow{Sequence: n}} }
	many := make([]wire.InboxPush, arrivals.Most+1)
	for i := range many {
		many[i] = row(uint64(i) + 6)
	}
	for name, v := range map[string]struct {
		pushed []wire.InboxPush
		rows   int // after row 5
		whole  bool
	}{
		"nothing":          {nil, 0, true},
		"in order":         {[]wire.InboxPush{row(6), row(7)}, 2, true},
		"out of order":     {[]wire.InboxPush{row(7), row(6), row(8)}, 3, true},
		"twice":            {[]wire.InboxPush{row(6), row(6), row(7)}, 2, true},
		"read already":     {[]wire.InboxPush{row(4), row(5), row(6)}, 1, true},
		"one is missing":   {[]wire.InboxPush{row(6), row(8)}, 0, false},
		"begins too late":  {[]wire.InboxPush{row(7)}, 0, false},
		"without a row":    {[]wire.InboxPush{row(6), {Sequence: 7}, row(8)}, 0, false},
		"left out":         {[]wire.InboxPush{row(6), {}}, 0, false},
		"under two names":  {[]wire.InboxPush{{Sequence: 6, Row: &wire.InboxRow{Sequence: 7}}}, 0, false},
		"more than can be": {many, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var a arrivals.Queue
			a.Add(row(6))
			if _, whole := a.Take(5); whole {
				t.Error("nothing is fetched before the first look")
			}
			for _, p := range v.pushed {
				a.Add(p)
			}
			rows, whole := a.Take(5)
			if whole != v.whole || whole && len(rows) != v.rows {
				t.Errorf("%d rows, whole: %t", len(rows), whole)
			}
			for i, r := range rows {
				if whole && r.Sequence != uint64(i)+6 {
					t.Errorf("row %d has number %d", i, r.Sequence)
				}
			}
			if rows, whole := a.Take(5); len(rows) > 0 || !whole {
				t.Error("what was fetched or taken is there still")
			}
		})
	}
}
