package node

import (
	"cmp"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// Limits are a server's bounds. The zero value of each field means its default.
type Limits struct {
	Connections        int // at once; 20,000
	AddressConnections int // at once from one address; 1,000

	AddressRate float64 // cost a second that one address may cause before it is authenticated; 100
	AccountRate float64 // cost a second that one account may cause; 100
	Burst       float64 // seconds of a rate that may be saved up; 20

	Attempts      int           // logins and registrations of a name that may fail within AttemptWindow; 10
	AttemptWindow time.Duration // 15 min
	PasswordFloor time.Duration // least time of an answer about a password; 100 ms
	LookupFloor   time.Duration // least time of an answer about a user; 5 ms
	PasswordRight time.Duration // how long a proof of the password holds; 10 min

	States int // account states that an account may publish within a day; each is kept for good; 200

	Channels int // conversations that an account may found within a day; each takes room as long as it has members; 200

	KeyPackages    int           // one-time key packages of a device and suite; 100
	DevicePackages int           // key packages of a device in all, those of last resort included; 200
	ClaimInterval  time.Duration // after which one account may claim from another once more; 1 min
	ClaimBurst     int           // claims that may be saved up; 20

	Memory int // bytes of large requests and replies under way at a time; 256 MiB

	Retention time.Duration // how long messages stay for those who do not fetch them; 30 days
	Lapse     time.Duration // after which a device that is not there holds nothing back; 14 days
	Inbox     int           // bytes that an inbox takes; 64 MiB
	Payload   int           // bytes of a message; 1 MiB

	Blob      int           // bytes of a file as it is sent; 128 MiB
	BlobQuota int           // bytes of all files of an account that the server keeps at a time; 1 GiB
	BlobGrace time.Duration // how long a file stays once all have its message; 7 days

	VaultItem  int           // bytes of a sealed vault item; 256 KiB
	VaultItems int           // items of a vault; 256
	VaultSize  int           // bytes of all items of a vault, which must fit one frame; 4 MiB
	Links      int           // rendezvous open at once; 10,000
	LinkTime   time.Duration // how long a rendezvous is open; 10 min
	Drain      time.Duration // how long calls under way may take when the server stops; 10 s
	Sweep      time.Duration // how often what expired is removed; 1 min, or Retention where that is shorter
}

func (l Limits) withDefaults() Limits {
	l.Connections = cmp.Or(l.Connections, 20_000)
	l.AddressConnections = cmp.Or(l.AddressConnections, 1000)
	l.AddressRate = cmp.Or(l.AddressRate, 100)
	l.AccountRate = cmp.Or(l.AccountRate, 100)
	l.Burst = cmp.Or(l.Burst, 20)
	l.Attempts = cmp.Or(l.Attempts, 10)
	l.AttemptWindow = cmp.Or(l.AttemptWindow, 15*time.Minute)
	l.PasswordFloor = cmp.Or(l.PasswordFloor, 100*time.Millisecond)
	l.LookupFloor = cmp.Or(l.LookupFloor, 5*time.Millisecond)
	l.PasswordRight = cmp.Or(l.PasswordRight, 10*time.Minute)
	l.States = cmp.Or(l.States, 200)
	l.Channels = cmp.Or(l.Channels, 200)
	l.KeyPackages = cmp.Or(l.KeyPackages, 100)
	l.DevicePackages = cmp.Or(l.DevicePackages, 200)
	l.ClaimInterval = cmp.Or(l.ClaimInterval, time.Minute)
	l.ClaimBurst = cmp.Or(l.ClaimBurst, 20)
	l.Memory = cmp.Or(l.Memory, 256<<20)
	l.Retention = cmp.Or(l.Retention, 30*day)
	l.Lapse = cmp.Or(l.Lapse, 14*day)
	l.Inbox = cmp.Or(l.Inbox, 64<<20)
	l.Payload = cmp.Or(l.Payload, 1<<20)
	l.Blob = cmp.Or(l.Blob, 128<<20)
	l.BlobQuota = cmp.Or(l.BlobQuota, 1<<30)
	l.BlobGrace = cmp.Or(l.BlobGrace, 7*day)
	l.VaultItem = cmp.Or(l.VaultItem, 256<<10)
	l.VaultItems = cmp.Or(l.VaultItems, 256)
	l.VaultSize = cmp.Or(l.VaultSize, 4<<20)
	l.Links = cmp.Or(l.Links, 10_000)
	l.LinkTime = cmp.Or(l.LinkTime, 10*time.Minute)
	l.Drain = cmp.Or(l.Drain, 10*time.Second)
	l.Sweep = cmp.Or(l.Sweep, min(time.Minute, l.Retention))
	return l
}

// announced is what clients learn of the limits.
func (l Limits) announced() wire.Limits {
	return wire.Limits{
		Frame: wire.MaxMessage, Devices: identity.MaxDevices, KeyPackages: uint16(l.KeyPackages),
		VaultItem: uint32(l.VaultItem), VaultItems: uint16(l.VaultItems),
		PasswordMinutes: uint16(l.PasswordRight / time.Minute), LinkMinutes: uint16(l.LinkTime / time.Minute),
	}
}

// rates are the buckets of all who call: one per address for strangers, one for each device of an account, and one for who proved its
// password, so that a stolen device cannot keep its owner from revoking it.
type rates struct {
	addresses, accounts, claims buckets
}

func (r *rates) init(l Limits) {
	perSecond := func(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }
	r.addresses = newBuckets(perSecond(l.AddressRate), time.Duration(l.Burst*float64(time.Second)))
	r.accounts = newBuckets(perSecond(l.AccountRate), time.Duration(l.Burst*float64(time.Second)))
	r.claims = newBuckets(l.ClaimInterval, time.Duration(l.ClaimBurst)*l.ClaimInterval)
}

// take pays for a call, or fails with qpq.RateLimited.
func (r *rates) take(c *conn, cost int, now time.Time) error {
	buckets, payer := &r.accounts, c.payer(now)
	if payer == "" {
		buckets, payer = &r.addresses, c.address
	}
	if !buckets.take(payer, cost, now) {
		return qpq.E(qpq.RateLimited, "rate-limited", "too many requests at once: wait a moment and try again")
	}
	return nil
}

// charge makes a caller pay for what a call turned out to reach: one unit more for each 64 accounts. It refuses nothing; the next call
// waits until it is earned.
func (r *rates) charge(c *conn, accounts int, now time.Time) {
	if units := accounts / 64; units > 0 {
		if payer := c.payer(now); payer != "" {
			r.accounts.charge(payer, units, now)
		}
	}
}

// maxBuckets bounds the memory of buckets: about 10 MB.
const maxBuckets = 100_000

// buckets limit the rate of many callers (GCRA, ITU-T I.371): per caller, the time at which all
// that it took would have been earned.
type buckets struct {
	interval time.Duration // in which one unit is earned
	depth    time.Duration // how far ahead a caller may be

	mu     *sync.Mutex
	earned map[string]time.Time
}

func newBuckets(interval, depth time.Duration) buckets {
	return buckets{interval: interval, depth: depth, mu: new(sync.Mutex), earned: map[string]time.Time{}}
}

// take reports whether a caller may have so many units now, and if so takes them.
func (b *buckets) take(caller string, units int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.after(caller, units, now)
	if at.Sub(now) > b.depth {
		return false
	}
	b.set(caller, at)
	return true
}

// charge takes so many units from a caller, whether it may have them now or not.
func (b *buckets) charge(caller string, units int, now time.Time) {
	if units == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(caller, b.after(caller, units, now))
}

// after returns when a caller will have earned what it took and so many units more. The caller holds the lock.
func (b *buckets) after(caller string, units int, now time.Time) time.Time {
	at := b.earned[caller]
	if at.Before(now) {
		at = now
	}
	return at.Add(time.Duration(units) * b.interval)
}

func (b *buckets) set(caller string, at time.Time) {
	if _, ok := b.earned[caller]; !ok && len(b.earned) >= maxBuckets {
		b.evict()
	}
	b.earned[caller] = at
}

// evict makes room when a flood of callers fills the map: of a few picked by chance, the one that owes least.
func (b *buckets) evict() {
	var least string
	tried := 0
	for caller, at := range b.earned {
		if tried == 0 || at.Before(b.earned[least]) {
			least = caller
		}
		if tried++; tried == 8 {
			break
		}
	}
	delete(b.earned, least)
}

// sweep forgets who owes nothing any more.
func (b *buckets) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for caller, at := range b.earned {
		if !at.After(now) {
			delete(b.earned, caller)
		}
	}
}

// addressKey is what limits count a peer's address by: an IPv4 address, the /64 of an IPv6 address, or
// the name of a network that has neither.
func addressKey(a net.Addr) string {
	if a == nil {
		return "none"
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.Network()
	}
	ip := p.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}
