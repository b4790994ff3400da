package profile_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

var memoryKey = bytes.Repeat([]byte{9}, profile.KeySize)

// at checks which counter a profile has reached.
func at(t *testing.T, p *profile.Profile, a *profile.Account, counter uint64) {
	t.Helper()
	got := must(p.Account())
	if got.User != a.User || got.Counter != counter || !got.Device.Equal(a.Device) || got.State.Hash() != a.State.Hash() {
		t.Errorf("read back: %+v, want counter %d", got, counter)
	}
}

func TestMemory(t *testing.T) {
	var m profile.Memory
	if image, err := m.Image(); len(image) != 0 || err != nil {
		t.Errorf("the image of nothing has %d bytes, %v", len(image), err)
	}
	p := must(m.Open(memoryKey))
	a := newAccount()
	check(t, p.SetAccount(a))
	_ = must(p.Advance())
	early := must(m.Image()) // while it is open
	_ = must(p.Advance())
	if _, err := m.Open(memoryKey); !errors.Is(err, qpq.Exists) || qpq.CodeOf(err) != "profile-in-use" {
		t.Errorf("opened twice: %v", err)
	}
	check(t, p.Close())

	p = must(m.Open(memoryKey))
	at(t, p, a, 2)
	check(t, p.Close())
	p = must(profile.NewMemory(must(m.Image())).Open(memoryKey))
	at(t, p, a, 2)
	check(t, p.Close())

	older := profile.NewMemory(early)
	p = must(older.Open(memoryKey))
	at(t, p, a, 1)
	_ = must(p.Advance())
	check(t, p.Close())
	p = must(profile.NewMemory(early).Open(memoryKey)) // which others do not write to
	at(t, p, a, 1)
	check(t, p.Close())
}

func TestMemoryIsEncrypted(t *testing.T) {
	var m profile.Memory
	p := must(m.Open(memoryKey))
	check(t, p.SetAccount(newAccount()))
	image := must(m.Image())
	check(t, p.Close())
	for what, text := range map[string]string{"a database": "SQLite format 3", "a schema": "CREATE TABLE", "a name": "alice", "a server": "example.org"} {
		if bytes.Contains(image, []byte(text)) {
			t.Errorf("%s is readable in %d bytes", what, len(image))
		}
	}
	other := bytes.Repeat([]byte{8}, profile.KeySize)
	for what, open := range map[string]func() (*profile.Profile, error){
		"another key":     func() (*profile.Profile, error) { return m.Open(other) },
		"a damaged image": func() (*profile.Profile, error) { return profile.NewMemory(image[1:]).Open(memoryKey) },
	} {
		if _, err := open(); !errors.Is(err, qpq.Damaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check(t, must(m.Open(memoryKey)).Close()) // what failed to open is not held
}

// TestMemoryUpgrade opens images of older schemas, and keeps what they were in the same memory.
func TestMemoryUpgrade(t *testing.T) {
	for n := 1; n < profile.Schemas(); n++ {
		image := must(profile.ImageAt(memoryKey, n))
		m := profile.NewMemory(image)
		p := must(m.Open(memoryKey))
		if got := must(p.Version()); got != profile.Schemas() {
			t.Errorf("schema %d was brought to %d", n, got)
		}
		check(t, p.Close())
		if kept := m.Files(); len(kept) != 2 {
			t.Errorf("after an upgrade from schema %d there are %v", n, kept)
		}
	}
}
