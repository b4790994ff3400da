package node

import (
	"context"
	"time"
)

// A floor is how long a method takes at least, whatever its answer, so that the time tells nothing of
// who exists or what was wrong.
type floor int

const (
	none          floor = iota
	lookupFloor         // finds users
	passwordFloor       // answers for unknown users as for known ones
)

// wait returns once the floor is reached. Work that took longer is rounded up to the next whole
// multiple, so that a busy server does not tell either.
func (l Limits) wait(ctx context.Context, f floor, start time.Time) {
	var step time.Duration
	switch f {
	case lookupFloor:
		step = l.LookupFloor
	case passwordFloor:
		step = l.PasswordFloor
	}
	if step <= 0 {
		return
	}
	took := time.Since(start)
	rest := step - took%step
	if took > 0 && took%step == 0 {
		return
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
