package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

// parts are what a message is made of, each measured alone by the benchmarks of this tree: µs of processor time.
type parts struct {
	echo   float64 // a call on a lane, both ends
	insert float64 // a durable insert, 256 callers
	push   float64 // to each of 1,000 clients, both ends
	pushes float64 // a second
}

// measureParts runs the benchmarks.
func measureParts(ctx context.Context) (*parts, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	p := &parts{}
	for _, b := range []struct {
		name, folder, times string
		figures             map[string]*float64
	}{
		{"Echo/quic/lane", "./bench/transport", "40000x", map[string]*float64{"cpu-µs/call": &p.echo}},
		{"Push", "./bench/transport", "40x", map[string]*float64{"cpu-µs/push": &p.push, "pushes/s": &p.pushes}},
		{"Send/ids=timed/accounts=1$/callers=256", "./bench/store", "20000x", map[string]*float64{"cpu-µs/message": &p.insert}},
	} {
		text, err := output(ctx, "", "go", "test", "-C", root, "-run", "^$", "-bench", "^Benchmark"+b.name+"$", "-benchtime", b.times, b.folder)
		if err != nil {
			return nil, err
		}
		for unit, to := range b.figures {
			found := regexp.MustCompile(`([0-9.e+]+) ` + regexp.QuoteMeta(unit)).FindStringSubmatch(text)
			if found == nil {
				return nil, fmt.Errorf("the benchmark %s prints no %s: %s", b.name, unit, text)
			}
			if *to, err = strconv.ParseFloat(found[1], 64); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}
