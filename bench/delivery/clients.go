package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/bench/store"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
)

// pairs is how many people talk to somebody each, all at the same time.
const pairs = 16

// program is a whole client: the engine, with its encrypted profile on disk.
type program struct {
	*client.Client
	user    qpq.UserID
	home    *profile.Home
	profile *profile.Profile
}

// disks counts what the profiles of this process do with their files.
var disks = sync.OnceValue(func() *store.Counting {
	c := store.Count("clients")
	vfs.Register("adiantum-clients", adiantum.Wrap(c, nil))
	return c
})

// openCounted makes a profile whose file is encrypted, as that of any home, and counted.
func openCounted(path string) (*profile.Profile, error) {
	disks()
	key := make([]byte, profile.KeySize)
	rand.Read(key)
	return profile.Open(profile.Config{Path: path, Key: key, VFS: "adiantum-clients"})
}

// install gives somebody a program, and an account.
func (p *process) install(ctx context.Context, dir, name string) (*program, error) {
	k := &program{user: qpq.UserID{Name: name, Domain: domain}}
	var err error
	if k.home, err = profile.OpenHome(filepath.Join(dir, name), nil); err != nil {
		return nil, err
	}
	if k.profile, err = openCounted(filepath.Join(dir, name, "profile.db")); err != nil {
		return nil, errors.Join(err, k.home.Close())
	}
	dial := func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := p.from.Dial(ctx, address, &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify})
		if err != nil {
			return nil, err
		}
		return counted{conn, &p.traffic}, nil
	}
	k.Client = client.New(client.Config{Profile: k.profile, Dial: dial, Server: p.address, KSF: opaque.Identity, Notice: func(client.Notice) {}})
	password, err := client.NewPassword([]byte("correct horse battery " + name))
	if err == nil {
		_, err = k.Register(ctx, client.Registration{User: k.user.String(), Password: password, DeviceName: "first"})
	}
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *program) close() error {
	return errors.Join(k.Client.Close(), k.profile.Close(), k.home.Close())
}

// engines prints what messages cost between whole clients: MLS, an encrypted profile on disk at both ends, receipts.
func engines(ctx context.Context, w io.Writer, dir string, o options) (err error) {
	p, err := start(dir, o.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	programs := make([]*program, 2*pairs)
	err = together(len(programs), 4, func(i int) (err error) {
		programs[i], err = p.install(ctx, dir, fmt.Sprintf("person%d", i))
		return err
	})
	defer func() {
		for _, k := range programs {
			if k != nil {
				err = errors.Join(err, k.close())
			}
		}
	}()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d people talk to somebody each, with whole clients: each text of 100 bytes is stored by its sender, encrypted, accepted, pushed,\n", pairs)
	fmt.Fprintln(w, "decrypted, stored by its receiver and acknowledged, and the next is sent when the one before was accepted.")
	fmt.Fprintln(w, strings.Replace(costHead("shown"), "clients' cpu-µs\n", "clients' cpu-µs | clients' fsyncs/1000\n", 1)+"|--:")
	return p.chat(ctx, w, programs, o.time)
}

func (p *process) chat(ctx context.Context, w io.Writer, programs []*program, d time.Duration) error {
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var shown atomic.Int64
	ended := make([]error, len(programs))
	for i, k := range programs {
		wg.Go(func() { ended[i] = k.Run(running) })
	}
	ids := make([]qpq.ChannelID, pairs)
	err := together(pairs, 4, func(i int) (err error) { ids[i], err = programs[i].Direct(ctx, programs[pairs+i].user); return err })
	for _, k := range programs[pairs:] {
		wg.Go(func() {
			for e, err := range k.Entries(running, 0) {
				if err == nil && e.Message != nil {
					shown.Add(1)
				}
			}
		})
	}
	if err == nil {
		var c cost
		before := disks().Syncs()
		c, err = p.measured(func() (int64, error) { return exchange(ctx, programs, ids, &shown, d) })
		if err == nil {
			fmt.Fprintf(w, "%d | %v | %.0f\n", shown.Load(), c, 1000*float64(disks().Syncs()-before)/float64(max(c.messages, 1)))
		}
	}
	stop()
	wg.Wait()
	return errors.Join(append(ended, err)...)
}

// exchange has the first half of the people send for a time, and waits until all of it is shown to the others.
func exchange(ctx context.Context, programs []*program, ids []qpq.ChannelID, shown *atomic.Int64, d time.Duration) (int64, error) {
	var sent atomic.Int64
	more := during(d)
	err := together(len(ids), len(ids), func(i int) error {
		for more(0) {
			m, err := programs[i].SendText(ctx, ids[i], fmt.Sprintf("%0100d", i))
			if err == nil {
				err = programs[i].Wait(ctx, ids[i], m)
			}
			if err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	})
	for end := time.Now().Add(time.Minute); err == nil && shown.Load() < sent.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			err = fmt.Errorf("%d messages were accepted, and %d are shown a minute later", sent.Load(), shown.Load())
		}
	}
	return sent.Load(), err
}
