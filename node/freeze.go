package node

import (
	"sync"
	"time"
)

// freezeTime is how long items of a vault stay as they are after somebody with the password has read them.
const freezeTime = 10 * time.Second

// frozen are the vaults that somebody with the password is about to seal anew. Meanwhile devices write no items, so that a stolen
// one cannot keep its owner from revoking it by changing an item each time.
type frozen struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (f *frozen) freeze(name string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = map[string]time.Time{}
	}
	f.until[name] = now.Add(freezeTime)
}

func (f *frozen) is(name string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.until[name])
}

// thaw ends it for one vault.
func (f *frozen) thaw(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.until, name)
}

// sweep forgets what is over.
func (f *frozen) sweep(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, until := range f.until {
		if !now.Before(until) {
			delete(f.until, name)
		}
	}
}
