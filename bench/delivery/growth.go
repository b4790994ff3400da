package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/wire"
)

// town is a store that grows: users in pairs, and messages that wait for the other of a pair.
type town struct {
	dir      string
	engine   *sqlite.Engine
	store    *store.Store
	model    store.Registration // what all others are copies of
	channels []qpq.ChannelID    // of users 2i and 2i+1
	users    int
	messages int
	random   *rand.Rand
}

const (
	// asked is how many operations of a kind are measured, and asking is how many wait for one at the same time.
	asked, asking = 5000, 256
	// pace is how many sends a second are measured, too, and pacedSends how many of them.
	pace, pacedSends = 500, 2000
)

func name(i int) string { return fmt.Sprintf("u%07d", i) }

func (t *town) open(ctx context.Context) (err error) {
	t.engine, t.store, err = open(ctx, t.dir, "")
	return err
}

// grow lets a town have so many users, and messages that wait. It returns how many bytes users and messages take.
func (t *town) grow(ctx context.Context, n int) (perUser, perMessage float64, err error) {
	before, users := t.size(), t.users
	err = together(n-t.users, 512, func(i int) error {
		r := t.model
		r.Name = name(users + i)
		_, err := t.store.Register(ctx, r)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	t.users = n
	for len(t.channels) < n/2 {
		t.channels = append(t.channels, qpq.ChannelID{})
	}
	err = together((n-users)/2, 512, func(i int) (err error) {
		k := users/2 + i
		t.channels[k], err = found(ctx, t.store, []address{{name(2 * k), t.model.Device.ID}, {name(2*k + 1), t.model.Device.ID}})
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	perUser = float64(t.size()-before) / float64(n-users)
	perMessage, err = t.queue(ctx, n)
	return perUser, perMessage, err
}

// queue lets a town have so many messages that wait. It returns how many bytes each takes.
func (t *town) queue(ctx context.Context, n int) (perMessage float64, err error) {
	before, messages := t.size(), t.messages
	err = together(n-messages, 512, func(i int) error { return t.send(ctx, messages+i) })
	t.messages = n
	return float64(t.size()-before) / float64(n-messages), err
}

// send has a user send a message, whose id is by chance.
func (t *town) send(ctx context.Context, by int) error {
	by %= t.users &^ 1
	m := store.Message{Channel: t.channels[by/2], Account: name(by), Device: t.model.Device.ID, Hash: make([]byte, 32), Payload: make([]byte, payloadSize),
		Now: time.Now(), Retention: 30 * 24 * time.Hour, Quota: 64 << 20, Application: true}
	binary.BigEndian.PutUint64(m.ID[:], rand.Uint64())
	binary.BigEndian.PutUint64(m.ID[8:], rand.Uint64())
	_, err := t.store.Send(ctx, m)
	return err
}

// size returns the bytes of the store's files, after what waits in the log was written to its place.
func (t *town) size() (bytes int64) {
	if err := errors.Join(t.engine.Close(), t.open(context.Background())); err != nil {
		panic(err) // the same store was open a moment ago
	}
	files, _ := filepath.Glob(filepath.Join(t.dir, "qpq.db*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// operation is what one of many operations takes.
type operation struct{ cpu, took, p99 time.Duration }

// String writes it as a column.
func (o operation) String() string {
	return fmt.Sprintf("%d (%d; %.1f)", o.cpu.Microseconds(), o.took.Microseconds(), float64(o.p99.Microseconds())/1000)
}

// each returns what one of many operations takes, on users by chance, with asking callers.
func (t *town) each(f func(user int) error) (operation, error) {
	users, waited := make([]int, asked), make([]time.Duration, asked)
	for i := range users {
		users[i] = t.random.IntN(t.users)
	}
	began, before := time.Now(), used()
	err := together(asked, asking, func(i int) error {
		start := time.Now()
		err := f(users[i])
		waited[i] = time.Since(start)
		return err
	})
	slices.Sort(waited)
	return operation{(used() - before) / asked, time.Since(began) / asked, waited[asked*99/100]}, err
}

// atPace has users by chance send at fixed times, however many are under way, and returns p50 / p99 in ms from when each was due.
func (t *town) atPace(ctx context.Context) (string, error) {
	waited, errs := make([]time.Duration, pacedSends), make([]error, pacedSends)
	var all sync.WaitGroup
	for i, began := 0, time.Now(); i < pacedSends; i++ {
		due, user := began.Add(time.Duration(i)*time.Second/pace), t.random.IntN(t.users)
		time.Sleep(time.Until(due))
		all.Go(func() {
			errs[i] = t.send(ctx, user)
			waited[i] = time.Since(due)
		})
	}
	all.Wait()
	slices.Sort(waited)
	return fmt.Sprintf("%.1f / %.1f", ms(waited[pacedSends/2]), ms(waited[pacedSends*99/100])), errors.Join(errs...)
}

// growth prints what operations of the store cost as it grows, and how a server starts on it.
func growth(ctx context.Context, w io.Writer, dir string, o options) error {
	_, model, err := newPerson("model")
	if err != nil {
		return err
	}
	t := &town{dir: dir, model: model, random: rand.New(rand.NewPCG(1, 2))}
	if err := t.open(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w, "Users in pairs, and messages of %d bytes that wait for the other of a pair. CPU µs of one operation of the store, of users by chance (in brackets µs; and of 99 in 100 callers at most ms),\n", payloadSize)
	fmt.Fprintf(w, "%d callers at a time; and what %d sends wait for at %d a second, p50 / p99 in ms. A fetch has all rows of the user, an acknowledgement drops them.\n\n", asking, pacedSends, pace)
	fmt.Fprintln(w, "users | messages | bytes/user | bytes/message | send | send at 500/s | fetch | acknowledge | filled in\n--:|--:|--:|--:|--:|--:|--:|--:|--:")
	if err := errors.Join(t.growAll(ctx, w, o), t.engine.Close()); err != nil {
		return err
	}
	return t.recover(ctx, w)
}

// growAll lets a town grow, step by step, and prints what it costs after each.
func (t *town) growAll(ctx context.Context, w io.Writer, o options) error {
	for _, n := range o.grow {
		began := time.Now()
		perUser, perMessage, err := t.grow(ctx, n)
		if err != nil {
			return err
		}
		if err := t.row(ctx, w, fmt.Sprintf("%.0f", perUser), perMessage, time.Since(began)); err != nil {
			return err
		}
	}
	if o.queued <= t.messages {
		return nil
	}
	began := time.Now()
	perMessage, err := t.queue(ctx, o.queued)
	if err != nil {
		return err
	}
	return t.row(ctx, w, "", perMessage, time.Since(began))
}

// row prints what a town costs that was filled in so long.
func (t *town) row(ctx context.Context, w io.Writer, perUser string, perMessage float64, filled time.Duration) error {
	costs, err := t.costs(ctx)
	if err == nil {
		_, err = fmt.Fprintf(w, "%d | %d | %s | %.0f | %s | %.0f s\n", t.users, t.messages, perUser, perMessage, costs, filled.Seconds())
	}
	return err
}

// costs writes what a send, a fetch and an acknowledgement cost, as columns.
func (t *town) costs(ctx context.Context) (columns string, err error) {
	device, now := t.model.Device.ID, time.Now()
	for i, f := range []func(user int) error{
		func(user int) error { return t.send(ctx, user) },
		func(user int) error {
			_, err := t.store.Inbox(ctx, store.Fetch{Account: name(user), Device: device, Limit: 1024, Size: 4 << 20, Now: now})
			return err
		},
		func(user int) error {
			return t.store.Acknowledge(ctx, store.Acknowledgement{Account: name(user), Device: device, Seq: 1 << 62, Now: now, Lapse: time.Hour})
		},
	} {
		if i > 0 {
			columns += " | "
		}
		k, err := t.each(f)
		if err != nil {
			return "", err
		}
		columns += k.String()
		if i > 0 {
			continue
		}
		slow, err := t.atPace(ctx)
		if err != nil {
			return "", err
		}
		columns += " | " + slow
	}
	return columns, nil
}

// recover prints how a server starts on all that the town has, after it ended as it should and after it was killed.
func (t *town) recover(ctx context.Context, w io.Writer) error {
	p, err := t.newcomer(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nA server that starts on %d users and %d messages, %d MiB on disk. Read are the bytes of files that it asked the system for.\n\n", t.users, t.messages, t.size()>>20)
	if err := t.engine.Close(); err != nil {
		return err
	}
	fmt.Fprintln(w, "after | ms until it answers | MiB read | ms until the first fetch | MiB read | MiB resident\n---|--:|--:|--:|--:|--:")
	for _, after := range []string{"an end as it should be", "a kill", "another kill"} {
		began := time.Now()
		server, err := start(t.dir, "")
		if err != nil {
			return err
		}
		if err := t.restart(ctx, w, after, server, p, began); err != nil {
			return errors.Join(err, server.kill())
		}
		if err := server.kill(); err != nil {
			return err
		}
	}
	return nil
}

// newcomer is a real person who is sent something.
func (t *town) newcomer(ctx context.Context) (*person, error) {
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	people, err := enrol(ctx, t.store, "newcomer", 2)
	if err != nil {
		return nil, err
	}
	id, err := found(ctx, t.store, []address{people[0].address(), people[1].address()})
	if err != nil {
		return nil, err
	}
	t.channels = append(t.channels, id)
	m := store.Message{Channel: id, Account: people[1].user.Name, Device: people[1].device.ID(), Hash: make([]byte, 32), Payload: make([]byte, payloadSize),
		Now: time.Now(), Retention: 30 * 24 * time.Hour}
	_, err = t.store.Send(ctx, m)
	return people[0], err
}

// restart prints how a server came up, and gives it something to do before it is killed.
func (t *town) restart(ctx context.Context, w io.Writer, after string, server *process, p *person, began time.Time) error {
	answers, err := server.until(ctx, began)
	if err != nil {
		return err
	}
	read, _, err := server.fromDisk()
	if err != nil {
		return err
	}
	if err := p.connect(ctx, server, nil); err != nil {
		return err
	}
	defer p.Close()
	in, err := wire.Call(ctx, p, wire.InboxFetch{})
	if err != nil {
		return err
	}
	if len(in.Rows) == 0 {
		return errors.New("the first fetch found nothing, and something was there")
	}
	fetched := time.Since(began)
	more, resident, err := server.fromDisk()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s | %d | %.1f | %d | %.1f | %d\n", after, answers.Milliseconds(), mib(read), fetched.Milliseconds(), mib(more), resident>>20)
	id := t.channels[len(t.channels)-1]
	for i := range 2000 { // so that there is a log to go through after the kill
		if _, err := wire.Call(ctx, p, wire.Send{Channel: id, ID: messageID(time.Now(), i), Payload: envelope(id, payloadSize)}); err != nil {
			return err
		}
	}
	return nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
