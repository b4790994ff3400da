// Command delivery measures what messages cost a server that runs as a process of its own, with its clients in this one: rates,
// latencies, recovery after a restart, growth. bench/REPORT.md tells how to read what it prints.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what can be chosen. The defaults take two to three minutes in all.
type options struct {
	time    time.Duration // of each measurement
	repeat  int
	sizes   []int // of conversations
	mls     []int // of those that MLS encrypts
	grow    []int // users, and messages that wait
	queued  int   // messages that wait at the end
	rates   []int // messages a second
	idle    int   // devices
	profile string
}

// parts are what can be measured, in order.
var parts = []struct {
	name string
	run  func(ctx context.Context, w io.Writer, dir string, o options) error
}{
	{"rates", rates},
	{"encrypted", encrypted},
	{"engines", engines},
	{"latencies", latencies},
	{"growth", growth},
	{"idle", idle},
	{"fanout", fanOut},
}

func main() {
	log.SetFlags(0)
	var o options
	serving := flag.String("serve", "", "be the server on the data of this `folder`, told by standard input")
	flag.DurationVar(&o.time, "time", 2*time.Second, "of each measurement")
	flag.IntVar(&o.repeat, "repeat", 1, "times to repeat what depends on what else the machine does")
	flag.StringVar(&o.profile, "profile", "", "`file` for profiles of the server, of each measurement of rates, latencies and engines: file.1, file.1.block, file.1.mutex, file.2, …; and what its writer waited for, on stderr")
	sizes := flag.String("sizes", "2,10,100,1000", "devices of a conversation")
	encrypt := flag.String("mls", "2,10,100", "devices of a conversation that MLS encrypts; to found one of 1000 takes minutes")
	limit := flag.Duration("limit", 15*time.Minute, "of each part, which fails after it")
	grow := flag.String("grow", "10000,100000", "users, and messages that wait; the report has 1000000 too")
	flag.IntVar(&o.queued, "queued", 0, "messages that wait at the end, if more than the greatest of -grow: 10000000 with -grow 1000000 take 23 GB and half an hour, so set -limit 1h")
	atRates := flag.String("rates", "250,500,1000,2000", "messages a second")
	flag.IntVar(&o.idle, "idle", 10_000, "devices that are connected and do nothing")
	flag.Parse()
	if *serving != "" {
		if err := serveMain(*serving, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	o.sizes, o.mls, o.grow, o.rates = numbers(*sizes), numbers(*encrypt), numbers(*grow), numbers(*atRates)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, p := range parts {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), p.name) {
			continue
		}
		fmt.Printf("\n### %s\n\n", p.name)
		within, cancel := context.WithTimeout(ctx, *limit)
		err := inTemp(func(dir string) error { return p.run(within, os.Stdout, dir, o) })
		cancel()
		if err != nil {
			log.Fatalf("%s: %v", p.name, err)
		}
	}
}

func numbers(list string) (out []int) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			log.Fatalf("%q is no list of numbers", list)
		}
		out = append(out, n)
	}
	return out
}
