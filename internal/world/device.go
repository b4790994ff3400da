package world

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/opaque"
)

// patience is how long a person waits for one thing.
const patience = 90 * time.Second

// Device is a machine with one profile, on which a person does one thing after the other.
type Device struct {
	name    string
	w       *World
	user    *User
	line    *line
	disk    *Disk
	key     []byte
	rand    *rand.Rand
	todo    chan Step
	pending sync.WaitGroup // what is in todo, or being done

	folder string // of its files
	eyes   Eyes
	since  time.Time // it is off; zero while it is on

	mu      sync.Mutex
	skew    time.Duration // by which its clock is wrong
	skewed  bool          // its clock was set
	run     *running      // nil while it is off
	notices []client.Notice
	viewed  map[*message]bool       // of what can be viewed once, what was tried to be, and whether that is done
	reads   map[qpq.ChannelID]int64 // up to where its person has read
}

// running is a program that runs on a device.
type running struct {
	*client.Client
	profile *profile.Profile
	nudge   chan struct{}               // has room for one: somebody may have signed in
	looking atomic.Bool                 // its person does
	later   func(func(context.Context)) // does something beside, for as long as the program runs
	end     context.CancelFunc
	work    sync.WaitGroup
}

func (w *World) addDevice(name string, index uint64) *Device {
	d := &Device{name: name, w: w, user: w.user(userOf(name)), line: w.net.newLine(name, index), key: make([]byte, profile.KeySize),
		folder: w.t.TempDir(), viewed: map[*message]bool{}, reads: map[qpq.ChannelID]int64{}}
	d.rand = rand.New(rand.NewPCG(w.seed, index<<32))
	d.todo = make(chan Step, len(w.scenario.Steps)+1)
	d.disk = w.newDisk(d.line.vanish)
	d.line.dead = d.disk.Dead
	encrypting := "adiantum-" + d.disk.Name()
	vfs.Register(encrypting, adiantum.Wrap(vfs.Find(d.disk.Name()), nil))
	w.t.Cleanup(func() { vfs.Unregister(encrypting) })
	w.devices[name] = d
	w.order = append(w.order, d)
	return d
}

// live lets a person use the device until ctx ends.
func (d *Device) live(ctx context.Context) {
	d.on(ctx)
	defer d.off()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.disk.Death():
			d.reboot(ctx)
		case s := <-d.todo:
			if d.disk.Dead() {
				d.reboot(ctx)
			}
			d.do(ctx, s)
			d.pending.Done()
		}
	}
}

// patience returns a context that ends when a person waits no longer for one thing: also because the machine has died.
func (d *Device) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d.w.soon(patience))
	death := d.disk.Death()
	go func() {
		select {
		case <-death:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// do lets the person do one thing, and tells how it went.
func (d *Device) do(ctx context.Context, s Step) {
	ctx, cancel := d.patience(ctx)
	defer cancel()
	d.w.log(d.name, "%s …", s.what())
	err := actions[s.Do](ctx, d, s.With)
	if r, err := d.program(); err == nil {
		select {
		case r.nudge <- struct{}{}:
		default:
		}
	}
	switch {
	case d.disk.Dead():
		d.w.log(d.name, "%s: the machine died", s.what())
	case err != nil:
		d.w.log(d.name, "%s: %v (%s)", s.what(), err, qpq.CodeOf(err))
		if qpq.CodeOf(err) == "" {
			d.w.fail("%s: %s fails for a reason that nobody understands: %v", d.name, s.what(), err)
		}
	default:
		d.w.log(d.name, "%s: done", s.what())
	}
}

// on starts the program, again and again where the machine dies at that.
func (d *Device) on(ctx context.Context) {
	for {
		err := d.start()
		if err == nil {
			return
		}
		if d.disk.Full() && !d.disk.Dead() {
			d.w.log(d.name, "the program does not start: %v (%s)", err, qpq.CodeOf(err))
			pause(ctx, d.w.soon(time.Second))
			if ctx.Err() != nil {
				return
			}
			continue
		}
		if !d.disk.Dead() {
			d.w.fail("%s: the program does not start: %s", d.name, cause(err))
			return
		}
		d.w.log(d.name, "died while it started")
		pause(ctx, d.w.soon(time.Second))
		d.disk.Revive()
	}
}

func (d *Device) start() error {
	p, err := profile.Open(profile.Config{Path: d.disk.path("profile.db"), Key: d.key, VFS: "adiantum-" + d.disk.Name()})
	if err != nil {
		return err
	}
	c := client.New(client.Config{Profile: p, Dial: d.line.dial, Server: domain, KSF: opaque.Identity, Clock: d.clock, Notice: d.notice, Backoff: d.w.soon(time.Second), Files: disk.Files{}})
	ctx, end := context.WithCancel(context.Background())
	r := &running{Client: c, profile: p, nudge: make(chan struct{}, 1), end: end}
	r.later = func(f func(context.Context)) { r.work.Go(func() { f(ctx) }) }
	r.looking.Store(true)
	r.later(func(ctx context.Context) { d.stay(ctx, r) })
	r.later(func(ctx context.Context) { d.look(ctx, r) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run = r
	return nil
}

// off ends the program.
func (d *Device) off() {
	d.mu.Lock()
	r := d.run
	d.run = nil
	d.mu.Unlock()
	if r == nil {
		return
	}
	r.end()
	_ = r.Client.Close()
	r.work.Wait()
	if err := r.profile.Close(); err != nil && !d.disk.Dead() && !d.disk.Full() {
		d.w.fail("%s: the profile cannot be closed: %v", d.name, err)
	}
}

// reboot brings a machine that died back.
func (d *Device) reboot(ctx context.Context) {
	d.off()
	pause(ctx, d.w.soon(time.Duration(1+d.rand.IntN(5000))*time.Millisecond))
	d.disk.Revive()
	d.w.log(d.name, "is back")
	d.on(ctx)
}

var errOff = qpq.E(qpq.Unavailable, "off", "the program does not run")

// program returns the program that runs. It fails where none does.
func (d *Device) program() (*running, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == nil {
		return nil, errOff
	}
	return d.run, nil
}

func (d *Device) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Add(d.skew)
}

func (d *Device) setSkew(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skew, d.skewed = by, true
}

func (d *Device) notice(n client.Notice) {
	if d.disk.Dead() {
		return // nobody sees it
	}
	d.w.log(d.name, "is told: %s: %s", n.Code, n.Text)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notices = append(d.notices, n)
}

// short names a device in words.
func short(id qpq.DeviceID) string { return hex.EncodeToString(id[:4]) }
