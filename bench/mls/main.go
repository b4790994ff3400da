// Command mls measures groups of 2 to 10,000 members with package mls and with ts-mls 1.6.4, in turns, and prints the
// times side by side. REPORT.md tells how to read them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quicproquo/qpq/mls"
)

func main() {
	log.SetFlags(0)
	folder := flag.String("peer", "interop/mls", "folder of peer.mjs")
	limit := flag.Duration("limit", 10*time.Second, "leave out what is expected to take ts-mls longer for one run")
	members := flag.String("members", "2,10,100,1000,10000", "sizes of the groups")
	flag.Parse()
	var sizes []int
	for text := range strings.SplitSeq(*members, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			log.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	p, err := start(*folder)
	if err != nil {
		log.Fatal(err)
	}
	b := &bench{peer: p, limit: *limit, last: map[string]timed{}}
	err = b.run(sizes)
	if err := errors.Join(err, p.Close()); err != nil {
		log.Fatal(err)
	}
}

// bench is the table in the making.
type bench struct {
	peer  *peer
	limit time.Duration
	last  map[string]timed // by operation: what ts-mls took last
}

type timed struct {
	members int
	took    time.Duration
}

func (b *bench) run(sizes []int) error {
	out := tabwriter.NewWriter(os.Stdout, 14, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "members\toperation\tmls, hybrid\tmls\tts-mls\tts-mls / mls\t")
	for _, n := range sizes {
		log.Printf("%d members: make the groups", n)
		classic, err := newOurs(mls.X25519_AES128GCM_SHA256_Ed25519, n)
		if err != nil {
			return err
		}
		theirs, err := b.newTheirs(n)
		if err != nil {
			return err
		}
		hybrid, err := newOurs(mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519, n)
		if err != nil {
			return err
		}
		for _, op := range operations {
			if err := b.row(out, n, op, classic, hybrid, theirs); err != nil {
				return err
			}
		}
		fmt.Fprintln(out)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// row measures one operation in turns, and prints the best of each.
func (b *bench) row(out *tabwriter.Writer, n int, op string, classic, hybrid *ours, theirs *theirs) error {
	var mine, post, ts time.Duration
	log.Printf("%d members: %s", n, op)
	reason := theirs.missing[op]
	if l, ok := b.last[op]; ok && reason == "" {
		if expected := l.took * time.Duration(n/l.members); expected > b.limit {
			reason = fmt.Sprintf("not run: %s at %d", short(l.took), l.members)
		}
	}
	for range 3 {
		for g, best := range map[*ours]*time.Duration{classic: &mine, hybrid: &post} {
			took, err := g.measure(op)
			if err != nil {
				return fmt.Errorf("%s, %d members: %w", op, n, err)
			}
			*best = lesser(*best, took)
		}
		if reason == "" && ts < 5*time.Second {
			took, err := theirs.measure(op)
			if err != nil {
				reason = failed(err)
				continue
			}
			ts = lesser(ts, took)
		}
	}
	if reason != "" {
		fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%s\t\t\n", n, op, short(post), short(mine), reason)
		return nil
	}
	b.last[op] = timed{n, ts}
	fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%s\t%.1f\t\n", n, op, short(post), short(mine), short(ts), float64(ts)/float64(mine))
	return nil
}

func failed(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return "failed: " + line
}

// lesser returns the shorter of two times, of which zero is none.
func lesser(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// short formats a time with three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	default:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
}
