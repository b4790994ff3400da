package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

const (
	setItem  = `INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, $3, $4)`
	readItem = `SELECT value FROM vault_items WHERE account = $1 AND item = $2`
)

func put(account, item string) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Exec(setItem, account, item, int64(1), []byte(item))
		return err
	}
}

func has(t *testing.T, e store.Engine, account, item string) (found bool) {
	t.Helper()
	ok(t, e.View(t.Context(), func(tx store.Tx) error {
		found = false
		return tx.Query(func(r store.Row) error {
			found = true
			var value []byte
			return r.Scan(&value)
		}, readItem, account, item)
	}))
	return found
}

// testEngine checks the sentences of store.Engine.
func testEngine(t *testing.T, e store.Engine) {
	t.Run("Values", func(t *testing.T) { testValues(t, e) })
	t.Run("FailureIsAlone", func(t *testing.T) { testFailureIsAlone(t, e) })
	t.Run("PanicIsAlone", func(t *testing.T) { testPanicIsAlone(t, e) })
	t.Run("Cancelled", func(t *testing.T) { testCancelled(t, e) })
	t.Run("ViewsAreReadOnlySnapshots", func(t *testing.T) { testViews(t, e) })
	t.Run("Closed", func(t *testing.T) { testClosed(t, e) })
}

// testValues reads back what the contract's three types can hold, at their limits.
func testValues(t *testing.T, e store.Engine) {
	numbers := []int64{0, -1, 1<<63 - 1, -1 << 63}
	for i, want := range [][]byte{nil, {}, {0, 255}, []byte("text")} {
		text, n := fmt.Sprintf("naïve ☂ $1 ?1 ' \" %d", i), numbers[i]
		ok(t, e.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO accounts (name, admin, record, created, erased) VALUES ($1, 0, $2, $3, 0)`, text, want, n)
			return err
		}))
		rows := 0
		ok(t, e.View(t.Context(), func(tx store.Tx) error {
			return tx.Query(func(r store.Row) error {
				rows++
				var gotText string
				var got []byte
				var gotN int64
				if err := r.Scan(&gotText, &got, &gotN); err != nil {
					return err
				}
				if gotText != text || !bytes.Equal(got, want) || (got == nil) != (want == nil) || gotN != n {
					t.Errorf("read back %q %#v %d, want %q %#v %d", gotText, got, gotN, text, want, n)
				}
				return nil
			}, `SELECT name, record, created FROM accounts WHERE name = $1`, text)
		}))
		if rows != 1 {
			t.Errorf("%d rows came back for %q", rows, text)
		}
	}
}

// testFailureIsAlone lets every third of many concurrent updates fail after it has written.
func testFailureIsAlone(t *testing.T, e store.Engine) {
	mine := errors.New("mine")
	var wg sync.WaitGroup
	errs := make([]error, 60)
	for i := range errs {
		wg.Go(func() {
			update := e.Update
			if i%2 == 0 {
				update = e.UpdateLater
			}
			errs[i] = update(t.Context(), func(tx store.Tx) error {
				if err := put("failing", fmt.Sprint(i))(tx); err != nil || i%3 != 0 {
					return err
				}
				return mine
			})
		})
	}
	wg.Wait()
	for i, err := range errs {
		if i%3 == 0 && !errors.Is(err, mine) || i%3 != 0 && err != nil {
			t.Errorf("update %d returned %v", i, err)
		}
		if has(t, e, "failing", fmt.Sprint(i)) != (i%3 != 0) {
			t.Errorf("update %d is there: %v", i, i%3 == 0)
		}
	}
}

func testPanicIsAlone(t *testing.T, e store.Engine) {
	func() {
		defer func() {
			if p := recover(); p == nil {
				t.Error("the panic did not reach the caller")
			}
		}()
		_ = e.Update(t.Context(), func(tx store.Tx) error {
			if err := put("panicking", "a")(tx); err != nil {
				return err
			}
			panic("broken invariant")
		})
	}()
	if has(t, e, "panicking", "a") {
		t.Error("a panicking update left something")
	}
	ok(t, e.Update(t.Context(), put("panicking", "b")))
	if !has(t, e, "panicking", "b") {
		t.Error("the engine stopped working after a panic")
	}
}

func testCancelled(t *testing.T, e store.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, run := range map[string]func(context.Context, func(store.Tx) error) error{"Update": e.Update, "UpdateLater": e.UpdateLater, "View": e.View} {
		err := run(ctx, func(store.Tx) error { t.Error(name + " ran"); return nil })
		if !errors.Is(err, context.Canceled) || qpq.KindOf(err) != qpq.Unavailable {
			t.Errorf("%s returned %v", name, err)
		}
	}
}

// testViews reads twice around an update: both reads see the same, the next view sees the update.
func testViews(t *testing.T, e store.Engine) {
	ctx := t.Context()
	count := func(tx store.Tx) (n int64, err error) {
		err = tx.Query(func(r store.Row) error { return r.Scan(&n) }, `SELECT count(*) FROM vault_items WHERE account = $1`, "views")
		return n, err
	}
	ok(t, e.View(ctx, func(tx store.Tx) error {
		before, err := count(tx)
		if err != nil {
			return err
		}
		if err := e.Update(ctx, put("views", "a")); err != nil {
			return err
		}
		if after, err := count(tx); err != nil || after != before {
			t.Errorf("a view saw %d rows, then %d, %v", before, after, err)
		}
		return nil
	}))
	if !has(t, e, "views", "a") {
		t.Error("a later view misses the update")
	}
	if err := e.View(ctx, put("views", "b")); err == nil {
		t.Error("a view could write")
	}
	if has(t, e, "views", "b") {
		t.Error("a view wrote")
	}
}

func testClosed(t *testing.T, e store.Engine) {
	ok(t, e.Close())
	ok(t, e.Close())
	wantKind(t, e.Update(t.Context(), put("closed", "a")), qpq.Unavailable, "store-closed")
	wantKind(t, e.UpdateLater(t.Context(), put("closed", "a")), qpq.Unavailable, "store-closed")
	wantKind(t, e.View(t.Context(), put("closed", "a")), qpq.Unavailable, "store-closed")
}
