package sqlite_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/store/storetest/disk"
)

func diskConfig(d *disk.Disk) sqlite.Config { return sqlite.Config{Path: "/qpq.db", VFS: d.Name()} }

// ledger is what the callers of a crashing store know: which transfers were tried and which of them
// were acknowledged. A transfer writes two rows, so that half of one can be told.
type ledger struct {
	mu    sync.Mutex
	tried int
	acked map[int]bool
}

// later is which of them can wait.
const later = 5

func (l *ledger) transfer(e store.Engine) error {
	l.mu.Lock()
	n := l.tried
	l.tried++
	l.mu.Unlock()
	update := e.Update
	if n%later == later-1 {
		update = e.UpdateLater // whose commit may be synced with one after it
	}
	err := update(background, func(tx store.Tx) error {
		for _, side := range []string{"debit", "credit"} {
			value := make([]byte, 10+n%40*100)
			_, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, $3, $4)`,
				side, fmt.Sprint(n), int64(n), value)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.mu.Lock()
		l.acked[n] = true
		l.mu.Unlock()
	}
	return err
}

var errLost = errors.New("was acknowledged and is lost")

// audit compares the store with the ledger.
func (l *ledger) audit(e store.Engine) error {
	present := map[int64]int{}
	err := e.View(background, func(tx store.Tx) error {
		return tx.Query(func(r store.Row) error {
			var n int64
			err := r.Scan(&n)
			present[n]++
			return err
		}, `SELECT version FROM vault_items`)
	})
	if err != nil {
		return err
	}
	for n, rows := range present {
		if rows != 2 {
			return fmt.Errorf("transfer %d is there by half", n)
		}
	}
	for n := range l.acked {
		if present[int64(n)] == 0 {
			return fmt.Errorf("transfer %d %w", n, errLost)
		}
	}
	return nil
}

// live is one life of a server: it opens the store, audits it and works until power fails after some
// operations. It returns what the audit found.
func live(d *disk.Disk, l *ledger, r *rand.Rand) (worked bool, deferred uint64, err error) {
	d.FailAfter(r.IntN(160))
	e, err := sqlite.Open(background, diskConfig(d))
	if err == nil {
		worked, err = true, l.audit(e)
		var wg sync.WaitGroup
		for range 1 + r.IntN(8) {
			wg.Go(func() {
				for refused(e) && l.transfer(e) == nil {
				}
			})
		}
		wg.Wait()
	}
	d.FailAfter(0) // it stays down while the dead server lets go of it
	if e != nil {
		deferred = e.Stats().Deferred
		_ = e.Close()
	}
	d.PowerLoss()
	if k := qpq.KindOf(err); k == qpq.Unavailable {
		err = nil // power failed before there was anything to find
	}
	return worked, deferred, err
}

// refused runs an update that fails after it has written, and reports whether it was refused by itself
// and not by the disk.
func refused(e store.Engine) bool {
	own := errors.New("no")
	err := e.Update(background, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, $3, $4)`, "x", "x", int64(-1), []byte{})
		return cmp.Or(err, own)
	})
	return errors.Is(err, own)
}

// history runs lives until something is found, and a last audit on a healthy disk.
func history(t *testing.T, seed uint64, lies bool) (lives int, deferred uint64, err error) {
	d, l := disk.New(t, seed), &ledger{acked: map[int]bool{}}
	d.Lies = lies
	r := rand.New(rand.NewPCG(seed, 2))
	for range 8 {
		worked, n, err := live(d, l, r)
		if deferred += n; err != nil {
			return lives, deferred, err
		}
		if worked {
			lives++
		}
	}
	e, err := sqlite.Open(background, diskConfig(d))
	if err != nil {
		return lives, deferred, err
	}
	return lives, deferred, errors.Join(l.audit(e), e.Check(background), l.transfer(e), e.Close())
}

// TestPowerLoss: whatever is acknowledged survives, and nothing is ever there by half.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	lives, deferred := 0, uint64(0)
	for seed := range uint64(25) {
		n, k, err := history(t, seed, false)
		if err != nil {
			t.Fatalf("seed %d: %v (%v)", seed, err, errors.Unwrap(err))
		}
		lives, deferred = lives+n, deferred+k
	}
	if lives < 50 || deferred == 0 {
		t.Errorf("only %d lives got to work, %d commits were not synced at once", lives, deferred)
	}
}

// TestPowerLossAfterFailedSyncs: the same where one sync in four fails, and loses what it was for.
func TestPowerLossAfterFailedSyncs(t *testing.T) {
	t.Parallel()
	acked := 0
	for seed := range uint64(15) {
		d, l, r := disk.New(t, seed), &ledger{acked: map[int]bool{}}, rand.New(rand.NewPCG(seed, 3))
		var mu sync.Mutex
		failing := false
		d.Before = func(op disk.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if failing && op.Kind == disk.Sync && r.IntN(4) == 0 {
				return sqlite3.IOERR_FSYNC
			}
			return nil
		}
		for range 6 {
			e := open(t, diskConfig(d))
			if err := errors.Join(l.audit(e), e.Check(background)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			mu.Lock()
			failing = true
			d.FailAfter(r.IntN(500))
			mu.Unlock()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for range 15 {
						_ = l.transfer(e)
					}
				})
			}
			wg.Wait()
			d.FailAfter(0)
			_ = e.Close()
			failing = false
			d.PowerLoss()
		}
		acked += len(l.acked)
	}
	if acked < 700 {
		t.Errorf("only %d transfers were acknowledged", acked)
	}
}

// TestPowerLossIsFound plants a disk that does not sync: the histories above must lose something.
func TestPowerLossIsFound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		if _, _, err := history(t, seed, true); errors.Is(err, errLost) {
			return
		}
	}
	t.Error("no history notices that an acknowledged transfer is lost")
}
