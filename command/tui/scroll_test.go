package tui

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/command"
)

// paper is all rows of a history, as somebody would see them who unrolled it: what the window is compared with.
type paper struct{ of []int64 }

// TestScrolling: whatever somebody does, the screen is a piece of the whole history, full if that is long enough, and moves as far as it is told.
func TestScrolling(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := &messages{conversation: "c", first: true, last: true, loaded: true, follow: true}
		sizes, p := map[int64]int{}, paper{}
		for i := range int64(1 + r.IntN(40)) {
			position := i*3 + 1
			sizes[position] = 1 + r.IntN(6)
			s.entries = append(s.entries, command.EntryJSON{Position: position})
			for range sizes[position] {
				p.of = append(p.of, position)
			}
		}
		rows := func(i int) (list []row) {
			for j := range sizes[s.entries[i].Position] {
				list = append(list, row{{text: fmt.Sprint(s.entries[i].Position, "/", j)}})
			}
			return list
		}
		height := 1 + r.IntN(30)
		top := max(len(p.of)-height, 0)
		for step := range 60 {
			what := ""
			switch by := r.IntN(50) - 25; r.IntN(4) {
			case 0:
				height = 1 + r.IntN(30)
				what = fmt.Sprint("resize to ", height)
				s.scroll(0, height, rows)
				shown, _, _ := s.onScreen(height, rows)
				top = p.find(shown)
			case 1:
				i := r.IntN(len(s.entries))
				what = fmt.Sprint("reveal ", s.entries[i].Position)
				s.reveal(s.entries[i].Position, height, rows)
				shown, _, _ := s.onScreen(height, rows)
				if top = p.find(shown); !slices.ContainsFunc(shown, func(r shownRow) bool { return r.position == s.entries[i].Position }) {
					t.Fatalf("seed %d, step %d: %s is not shown", seed, step, what)
				}
			default:
				what = fmt.Sprint("scroll by ", by)
				s.scroll(by, height, rows)
				top = max(0, min(top-by, len(p.of)-height))
			}
			shown, _, _ := s.onScreen(height, rows)
			if got := p.find(shown); got != top || len(shown) != min(height, len(p.of)) {
				t.Fatalf("seed %d, step %d, %s: the screen begins with row %d of %d, and not %d; %d rows on a screen of %d", seed, step, what, got, len(p.of), top, len(shown), height)
			}
		}
	}
}

// TestSizesChange: whatever sizes come between, the size that was there shows what it showed; what is selected stays on the screen, and pages take
// it along.
func TestSizesChange(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		s := &messages{conversation: "c", first: true, last: true, loaded: true, follow: true}
		for i := range int64(1 + r.IntN(40)) {
			s.entries = append(s.entries, command.EntryJSON{Position: i*3 + 1})
		}
		lengths := make([]int, len(s.entries))
		for i := range lengths {
			lengths[i] = 1 + r.IntN(200)
		}
		width, height := 30, 1+r.IntN(30)
		rows := func(i int) (list []row) {
			for j := range 1 + lengths[i]/width {
				list = append(list, row{{text: fmt.Sprint(s.entries[i].Position, "/", j)}})
			}
			return list
		}
		for step := range 20 {
			switch r.IntN(3) {
			case 0:
				s.turn(r.IntN(50)-25, height, rows)
			case 1:
				s.step(1-2*r.IntN(2), height, rows)
			default:
				s.turn(height*(1-2*r.IntN(2)), height, rows)
			}
			if s.selected > 0 && !s.sees(s.selected, height, rows) {
				t.Fatalf("seed %d, step %d: %d is selected, and not on the screen", seed, step, s.selected)
			}
			was, wide, high := fmt.Sprint(s.onScreen(height, rows)), width, height
			for range r.IntN(4) {
				s.resized(func() int { width, height = 5+r.IntN(60), r.IntN(40); return height }, height, rows)
				if s.selected > 0 && height > 0 && !s.sees(s.selected, height, rows) {
					t.Fatalf("seed %d, step %d: %d is not on a screen of %d by %d any more", seed, step, s.selected, width, height)
				}
			}
			s.resized(func() int { width, height = wide, high; return height }, height, rows)
			if shown := fmt.Sprint(s.onScreen(height, rows)); shown != was {
				t.Fatalf("seed %d, step %d: before there was\n%s\nand now\n%s", seed, step, was, shown)
			}
		}
	}
}

// find returns where a screen is on the paper, -1 where it is no piece of it.
func (p paper) find(shown []shownRow) int {
	if len(shown) == 0 {
		return 0
	}
	for at := range p.of {
		if at+len(shown) > len(p.of) {
			break
		}
		same := true
		for i, r := range shown {
			j := at + i
			first := slices.Index(p.of, p.of[j])
			same = same && r.position == p.of[j] && r.row[0].text == fmt.Sprint(p.of[j], "/", j-first)
		}
		if same {
			return at
		}
	}
	return -1
}

// store is a history that pages are read from, as the command history does.
type store struct{ list []command.EntryJSON }

func (st *store) read(q query) (list []command.EntryJSON) {
	for _, e := range st.list {
		switch {
		case (q.kind == olderPage || q.kind == around) && e.Position >= q.from, (q.kind == newerPage || q.kind == again || q.kind == fromFirst) && e.Position <= q.from:
		default:
			list = append(list, e)
		}
	}
	if q.kind == newerPage || q.kind == again || q.kind == fromFirst {
		return slices.Clone(list[:min(q.limit, len(list))])
	}
	return slices.Clone(list[max(0, len(list)-q.limit):])
}

// TestPages: however one scrolls through a long history that grows meanwhile, what is in memory is a piece of it without a gap, and bounded; the first
// message and the newest are reached.
func TestPages(t *testing.T) {
	st := &store{}
	add := func(n int) {
		for range n {
			st.list = append(st.list, command.EntryJSON{Position: int64(len(st.list)*2 + 1)})
		}
	}
	add(5000)
	one := func(i int) []row { return []row{{{text: "x"}}} }
	const height = 20
	s := &messages{conversation: "c", follow: true}
	settle := func() {
		for range 100 {
			_, top, bottom := s.onScreen(height, one)
			q, wanted := s.want(top, bottom)
			if !wanted {
				break
			}
			s.take(q, st.read(q))
		}
		if len(s.entries) > maxWindow+pageSize {
			t.Fatalf("%d entries are in memory", len(s.entries))
		}
		at := slices.IndexFunc(st.list, func(e command.EntryJSON) bool { return e.Position == s.entries[0].Position })
		for i, e := range s.entries {
			if st.list[at+i].Position != e.Position {
				t.Fatalf("after %d comes %d", st.list[at+i-1].Position, e.Position)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	settle()
	for range 600 {
		s.scroll(height-1, height, one)
		if r.IntN(20) == 0 {
			add(1 + r.IntN(3))
			s.stale = true
		}
		settle()
	}
	if shown, _, _ := s.onScreen(height, one); !s.first || shown[0].position != 1 {
		t.Errorf("the first on the screen is %d", shown[0].position)
	}
	for range 600 {
		s.scroll(-(height - 1), height, one)
		settle()
	}
	if shown, _, _ := s.onScreen(height, one); !s.follow || shown[height-1].position != st.list[len(st.list)-1].Position {
		t.Errorf("the last on the screen is %d", shown[height-1].position)
	}
	add(1000) // at once, while the end is looked at
	s.stale = true
	settle()
	if shown, _, _ := s.onScreen(height, one); shown[height-1].position != st.list[len(st.list)-1].Position {
		t.Errorf("the last on the screen is %d after many came", shown[height-1].position)
	}
	s.loading = true
	s.take(query{kind: fromFirst, limit: pageSize}, st.read(query{kind: fromFirst, limit: pageSize}))
	settle()
	if shown, _, _ := s.onScreen(height, one); shown[0].position != 1 {
		t.Errorf("the first on the screen is %d after going there at once", shown[0].position)
	}
}
