package sqlite_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/storetest/disk"
)

// counted is a receipt that counts signatures, and how many receipts they were for.
type counted struct{ signatures, signed *atomic.Int64 }

func (c counted) Accept(int64, time.Time) {}

func (c counted) Sign(all []store.Receipt) {
	c.signatures.Add(1)
	c.signed.Add(int64(len(all)))
}

// TestReceiptsOfFailedCommits: receipts of a commit that the disk takes are signed, all by one signature, and those of one that it refuses are not.
func TestReceiptsOfFailedCommits(t *testing.T) {
	t.Parallel()
	const callers = 50
	d := disk.New(t, 1)
	var broken atomic.Bool
	d.Before = func(op disk.Op) error {
		if op.Kind == disk.Sync && broken.Load() {
			return sqlite3.IOERR_FSYNC
		}
		return nil
	}
	e := open(t, diskConfig(d))
	var signatures, signed, failed atomic.Int64
	running := make(chan struct{})
	update := func(n int) {
		err := e.Update(background, func(tx store.Tx) error {
			if n == 0 { // the first holds the writer, so that the others share a commit
				close(running)
				for e.Stats().Queued < callers {
					runtime.Gosched()
				}
			}
			_, err := tx.Exec(`INSERT INTO mailboxes (account, last, dropped, size) VALUES ($1, 1, 0, 0)`, fmt.Sprint(n))
			tx.Receipts().Add(counted{&signatures, &signed})
			return err
		})
		if err != nil {
			failed.Add(1)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { update(0) })
	<-running
	for n := range callers {
		wg.Go(func() { update(n + 1) })
	}
	wg.Wait()
	if signed.Load() != callers+1 || signatures.Load() != 2 || failed.Load() != 0 {
		t.Errorf("%d receipts were signed by %d signatures, %d updates failed", signed.Load(), signatures.Load(), failed.Load())
	}
	broken.Store(true)
	update(callers + 1)
	if signed.Load() != callers+1 || failed.Load() != 1 {
		t.Errorf("a commit that failed was signed for: %d receipts, %d updates failed", signed.Load(), failed.Load())
	}
}
