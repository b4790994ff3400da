package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/quicproquo/qpq/bench/store"
)

// profiles are what is being written while something is measured: file has where the processor's time goes, file.block what goroutines
// wait for, file.mutex who makes them wait. The last two add up what was measured before, which pprof's -base takes away.
type profiles struct {
	file string
	cpu  *os.File
}

// blockEach is for how many nanoseconds of waiting one sample is taken.
const blockEach = 10_000

func (p *profiles) begin(file string) (err error) {
	if p.cpu, err = os.Create(file); err != nil {
		return err
	}
	p.file = file
	runtime.SetBlockProfileRate(blockEach)
	runtime.SetMutexProfileFraction(1)
	return pprof.StartCPUProfile(p.cpu)
}

// end writes what was begun, if anything was.
func (p *profiles) end() error {
	if p.cpu == nil {
		return nil
	}
	pprof.StopCPUProfile()
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(0)
	err := errors.Join(p.cpu.Close(), lookup("block", p.file+".block"), lookup("mutex", p.file+".mutex"))
	p.cpu = nil
	return err
}

// lookup writes a profile that the runtime keeps.
func lookup(name, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}

// waits are what a server's writer waited for.
type waits struct {
	Commit   time.Duration // from BEGIN to durable, of all commits
	Log      store.Waits   // syncs of the log, which are part of that
	Database store.Waits   // syncs of the database, beside commits
	Held     time.Duration // that commits were held up for the log to begin anew
	Starts   uint64        // times that it did
	Pages    int           // in the log at the end
}

func (w waits) since(b waits) waits {
	w.Commit, w.Held, w.Starts = w.Commit-b.Commit, w.Held-b.Held, w.Starts-b.Starts
	w.Log, w.Database = w.Log.Since(b.Log), w.Database.Since(b.Database)
	return w
}

// over writes what a time and its commits had of waiting.
func (w waits) over(took time.Duration, commits uint64) string {
	share := func(d time.Duration) string { return fmt.Sprintf("%.1f %%", 100*d.Seconds()/took.Seconds()) }
	return fmt.Sprintf("of %.1f s the writer was in %d commits for %s, of that in %d syncs of the log for %s (longest %.1f ms); beside it %d syncs of the database for %s (longest %.1f ms); "+
		"commits were held up for %s, %d times, and the log has %d pages", took.Seconds(), commits, share(w.Commit), w.Log.Times, share(w.Log.Took), ms(w.Log.Longest),
		w.Database.Times, share(w.Database.Took), ms(w.Database.Longest), share(w.Held), w.Starts, w.Pages)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
