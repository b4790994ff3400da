package loadtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/internal/files"
	"github.com/quicproquo/qpq/wire"
)

// book is the accounts and conversations that are kept for another time: lines of JSON in a file that only its owner can read, one for
// each server and prefix. Without a folder it keeps nothing.
type book struct {
	prefix string

	mu    sync.Mutex
	file  *os.File
	known map[string]entry
	rooms map[string]entry
}

// entry is a line of a book: an account, or a conversation.
type entry struct {
	Name     string `json:"name,omitempty"`
	Password []byte `json:"password,omitempty"`
	Device   []byte `json:"device,omitempty"`
	State    []byte `json:"state,omitempty"`

	Room    string `json:"room,omitempty"` // which conversation of which people it is
	Channel string `json:"channel,omitempty"`
	Epoch   uint64 `json:"epoch,omitempty"`
}

// openBook reads what is kept of a server.
func openBook(folder string, p Plan, server wire.ServerInfoReply) (*book, error) {
	b := &book{prefix: p.Prefix, known: map[string]entry{}, rooms: map[string]entry{}}
	if p.Prefix == "" {
		b.prefix = "load"
		if folder == "" { // nobody comes back to these accounts: another run must not meet them
			var chance [4]byte
			rand.Read(chance[:])
			b.prefix = "load" + hex.EncodeToString(chance[:]) + "."
		}
	}
	if p.Part > 0 {
		b.prefix += fmt.Sprintf("w%d.", p.Part)
	}
	if folder == "" {
		return b, nil
	}
	name := fmt.Sprintf("%s-%x-%s.jsonl", filepath.Base(server.Domain), server.SigningKey[:8], filepath.Base(b.prefix))
	if err := b.open(filepath.Join(folder, name)); err != nil {
		return nil, qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), fmt.Sprintf("the accounts of earlier runs in %s cannot be used: %v", folder, err), err)
	}
	return b, nil
}

func (b *book) open(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if b.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = b.file.Close()
		}
	}()
	if err := files.Lock(b.file); err != nil {
		return qpq.Wrap(qpq.Conflict, "in-use", "another load test uses them: wait for it, or choose another --state or --prefix", err)
	}
	end, err := b.read()
	if err != nil {
		return err
	}
	if err := b.file.Truncate(end); err != nil { // a line that was cut off
		return err
	}
	_, err = b.file.Seek(end, io.SeekStart)
	return err
}

// read takes all whole lines, and returns where they end.
func (b *book) read() (end int64, err error) {
	lines := bufio.NewReader(b.file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return end, qpq.Wrap(qpq.Damaged, "bad-state", fmt.Sprintf("line %d is damaged (%v): remove the file, and choose another --prefix", n, err), err)
		}
		if e.Name != "" {
			b.known[e.Name] = e
		} else {
			b.rooms[e.Room] = e
		}
		end += int64(len(line))
	}
}

// keep adds a line.
func (b *book) keep(e entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = b.file.Write(append(line, '\n'))
	return err
}

// room returns what is kept of a conversation.
func (b *book) room(name string) (entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.rooms[name]
	return e, ok
}

func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil {
		_ = files.Unlock(b.file)
	}
}

// enrol makes so many people, out of the book or by signing them up, and returns how many it signed up.
func (f *fleet) enrol(ctx context.Context, n int, token wire.Secret) (registered int, err error) {
	f.people = make([]*person, n)
	var done, added atomic.Int64
	err = clients.Together(ctx, n, atOnce, func(i int) error {
		p, fresh, err := f.who(ctx, fmt.Sprintf("%s%d", f.book.prefix, i), token)
		if err != nil {
			return err
		}
		if fresh {
			added.Add(1)
		}
		f.people[i] = p
		f.say("signing up", int(done.Add(1)), n)
		return nil
	})
	if err != nil {
		f.people = nil
	}
	return int(added.Load()), err
}

// who returns the person of a name.
func (f *fleet) who(ctx context.Context, name string, token wire.Secret) (p *person, fresh bool, err error) {
	if e, ok := f.book.known[name]; ok {
		p, err = f.remembered(e)
		return p, false, err
	}
	if p, err = f.newPerson(name); err != nil {
		return nil, false, err
	}
	if err := patiently(ctx, func() error { return f.signUp(ctx, p, token) }); err != nil {
		return nil, false, explainSignUp(p.user, err)
	}
	return p, true, f.book.keep(entry{Name: name, Password: p.password, Device: p.device.Bytes(), State: p.state.Bytes()})
}

func (f *fleet) signUp(ctx context.Context, p *person, token wire.Secret) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.plan.Patience) // one that is begun is brought to its end, or its name is lost
	defer cancel()
	s, err := f.dial(ctx, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return p.register(ctx, s, token)
}

func (f *fleet) remembered(e entry) (*person, error) {
	user, err := identity.ParseUser(e.Name + "@" + f.info.Domain)
	if err != nil {
		return nil, err
	}
	p := &person{fleet: f, user: user, password: e.Password}
	if p.device, err = identity.ParseDeviceKey(e.Device); err != nil {
		return nil, err
	}
	p.state, err = identity.ParseAccountState(e.State)
	return p, err
}

// explainSignUp says what to do where somebody cannot be signed up.
func explainSignUp(user qpq.UserID, err error) error {
	advice := ""
	switch qpq.CodeOf(err) {
	case wire.CodeNameTaken:
		advice = ": choose another --prefix, or give the --state of the run that made it"
	case wire.CodeTokenRequired:
		advice = ": give one with --token-file that is good for as many accounts as there are clients"
	}
	if errors.Is(err, fs.ErrPermission) {
		advice = ": check the permissions of --state"
	}
	return qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), fmt.Sprintf("cannot sign up %s: %v%s", user, err, advice), err)
}
