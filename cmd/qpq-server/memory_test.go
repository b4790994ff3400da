package main

import (
	"runtime"
	"testing"
)

// TestMemoryIsGivenBack fills the heap, and drops it.
func TestMemoryIsGivenBack(t *testing.T) {
	giveBack()
	empty := readUsage()
	if !empty.rests(empty) || empty.spare() {
		t.Fatalf("nothing was done, and there is something to give back: %+v", empty)
	}
	held := make([][]byte, 64)
	for i := range held {
		held[i] = make([]byte, 1<<20)
	}
	full := readUsage()
	if full.rests(empty) {
		t.Errorf("64 MiB were allocated, and the server rests: %+v, before %+v", full, empty)
	}
	runtime.KeepAlive(held)
	held = nil
	runtime.GC() // which the runtime does by itself, every two minutes
	after := readUsage()
	if !after.rests(full) || !after.spare() {
		t.Errorf("nothing was done since, and nothing can be given back: %+v", after)
	}
	giveBack()
	if back := readUsage(); back.spare() || back.live > empty.live+worthwhile {
		t.Errorf("held after it was given back: %+v, before there was anything: %+v", back, empty)
	}
}
