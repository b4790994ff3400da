package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clock wakes a sender at fixed times. Go's runtime waits for its timers in epoll_wait, whose unit is a millisecond: time.Sleep ends up to one late, which would be
// in every latency.
type clock struct {
	timer *os.File
	fd    int // of timer, whose own method could make it blocking
}

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &clock{os.NewFile(uintptr(fd), "timer"), fd}, nil
}

// until returns at a time, or at once where it has passed.
func (c *clock) until(at time.Time) error {
	left := time.Until(at)
	if left <= 0 {
		return nil
	}
	if err := unix.TimerfdSettime(c.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	var expirations [8]byte
	_, err := c.timer.Read(expirations[:])
	return err
}

func (c *clock) close() { _ = c.timer.Close() }
