package world

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// plants are bugs that the histories must find. A test that finds none of them would not find others either.
var plants = []struct {
	name  string
	theme string // what the histories are about that can find it; empty for all
	plant Plant
	finds string // part of what the oracle says
	first uint64 // the seed to begin with, which is known to show it
}{
	{"a disk that acknowledges before it has written", "", Plant{Lies: true}, "", 3},
	{"a store that does not know messages again", answers, Plant{Engine: func(e store.Engine) store.Engine { return &forgetful{Engine: e} }}, "and it was number", 2},
	{"a wake-up that is lost while somebody looks", "", Plant{Conn: dozing, Profile: reticent}, "was never shown it", 1},
	{"a server that does not notice an older copy of a device", "backups", Plant{Conn: credulous}, "was never shown it", 9},
	{"devices that forget who was removed, and a server that takes nothing back", amnesty, Plant{Conn: stubborn, Profile: pardon}, "is a member again", 3},
	{"devices that apply edits to the message before", "", Plant{Profile: misapply}, "and must say one of", 2},
	{"devices that lose reactions when they connect again", "", Plant{Profile: unmoved}, "it must be the other way", 9},
	{"a server that drops a file when the first one has fetched it", "", Plant{Contents: func(c store.Contents) store.Contents { return &impatient{Contents: c} }}, "cannot save", 26},
}

// TestPlantedBugsAreFound looks for each within 100 seeds, from one on that found it before; with -short only for those that are found soon.
func TestPlantedBugsAreFound(t *testing.T) {
	if !*here {
		t.Parallel()
		t.Log(alone(t, "TestPlantedBugsAreFound", "-here", "-test.v"))
		return
	}
	list := plants
	if testing.Short() {
		list = plants[:2]
	}
	for _, p := range list {
		t.Run(p.name, func(t *testing.T) {
			for seed := p.first; seed < p.first+100; seed++ {
				s := Chance(seed)
				if p.theme != "" {
					s = ChanceOf(seed, p.theme)
				}
				failures, _ := Play(t, s, p.plant)
				if i := slices.IndexFunc(failures, func(f string) bool { return strings.Contains(f, p.finds) }); i >= 0 {
					if without, _ := Play(t, s, Plant{}); len(without) > 0 {
						continue // it says nothing of the bug
					}
					t.Logf("seed %d: %s", seed, failures[i])
					return
				}
			}
			t.Error("no history finds it")
		})
	}
}

// resent is a message that is handed in twice, because its answer was lost: whom it is for gets it twice then. LATE is when all is said, HALF is half of it.
const resent = `
0s alice/1 register
0s bob/1 register
5s alice/1 group g1 bob
5s alice/1 lose-reply send
0s alice/1 send g1 one
0s alice/1 send g1 two
LATE alice/1 whoami
`

// darkness is a server that loses power after it said that it has something.
const darkness = `
0s alice/1 register
0s alice/1 put a one
HALF server blackout
LATE alice/1 whoami
`

// TestOtherDriversFindPlantedBugs has histories over QUIC, on simulated and real sockets, find two of them. Where nothing was said in time, because
// the machine is slow, there is more of it the next time. With -short only one of them is looked for.
func TestOtherDriversFindPlantedBugs(t *testing.T) {
	drivers := map[string]func(*testing.T, Scenario, Plant) (failures, story []string){
		"simulated": PlayQUIC,
		"live": func(t *testing.T, s Scenario, p Plant) (failures, story []string) {
			return PlayLive(t.Context(), t, s, p)
		},
		"folders": func(t *testing.T, s Scenario, p Plant) (failures, story []string) {
			return PlayFolders(t.Context(), t, s, p)
		},
	}
	for i, text := range []string{darkness, resent} {
		if testing.Short() && text == darkness {
			continue
		}
		for name, play := range drivers {
			if name == "folders" && text == darkness { // real folders lose nothing with the power
				continue
			}
			t.Run(name+"/"+plants[i].name, func(t *testing.T) {
				for _, late := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute} {
					s, err := Parse(strings.NewReplacer("LATE", late.String(), "HALF", (late / 2).String()).Replace(text))
					if err != nil {
						t.Fatal(err)
					}
					if without, story := play(t, s, Plant{}); len(without) > 0 {
						t.Fatalf("without it: %s\n\n%s", strings.Join(without, "\n"), strings.Join(story, "\n"))
					}
					failures, _ := play(t, s, plants[i].plant)
					if i := slices.IndexFunc(failures, func(f string) bool { return strings.Contains(f, plants[i].finds) }); i >= 0 {
						t.Log(failures[i])
						return
					}
				}
				t.Error("it is not found")
			})
		}
	}
}

// forgetful is a database in which whoever hands in a message again sees another key of it.
type forgetful struct{ store.Engine }

func (e *forgetful) Update(ctx context.Context, fn func(store.Tx) error) error {
	return e.Engine.Update(ctx, func(tx store.Tx) error { return fn(&forgetfulTx{Tx: tx}) })
}

type forgetfulTx struct {
	store.Tx
	id, other string
}

func (tx *forgetfulTx) Query(each func(store.Row) error, query string, args ...any) error {
	if len(args) == 4 && strings.Contains(query, "count(*) FROM messages") {
		var before int64
		count := func(r store.Row) error { return r.Scan(&before) }
		if err := tx.Tx.Query(count, "SELECT count(*) FROM messages WHERE channel = $1 AND message = $2", args[0], args[2]); err != nil {
			return err
		}
		if id, ok := args[2].([]byte); ok && before > 0 {
			salt := make([]byte, len(id))
			rand.Read(salt)
			tx.id, tx.other = string(id), string(salt)
		}
	}
	return tx.Tx.Query(each, query, tx.salted(args)...)
}

func (tx *forgetfulTx) Exec(query string, args ...any) (int64, error) {
	return tx.Tx.Exec(query, tx.salted(args)...)
}

func (tx *forgetfulTx) salted(args []any) []any {
	out := append([]any(nil), args...)
	for i := range out {
		if b, ok := out[i].([]byte); ok && tx.id != "" && string(b) == tx.id {
			out[i] = []byte(tx.other)
		}
	}
	return out
}

// dozing is a connection on which nobody waits for news while a round of the client is at work: it fetches, acknowledges, or sends. So it would be if what was
// pushed were forgotten at the end of a round and not at its beginning.
func dozing(c transport.Conn) transport.Conn {
	var looking atomic.Int64
	rounds := []string{(wire.InboxFetch{}).Method().Name, (wire.InboxAck{}).Method().Name, (wire.Send{}).Method().Name}
	return &tap{Conn: c,
		request: func(method string, _ []byte) {
			if slices.Contains(rounds, method) {
				looking.Add(1)
			}
		},
		reply: func(method string, _ uint16, b []byte) []byte {
			if slices.Contains(rounds, method) {
				looking.Add(-1)
			}
			return b
		},
		push: func(b []byte) bool {
			p, err := wire.Unmarshal[wire.Push](b)
			_, inbox := p.Event.(wire.InboxPush)
			return err != nil || !inbox || looking.Load() == 0
		},
	}
}

// credulous is a connection on which nobody tells a device that its state is an older copy: neither that its session is, nor that more was
// acknowledged than it knows of.
func credulous(c transport.Conn) transport.Conn {
	session, fetch := (wire.Authenticate{}).Method().Name, (wire.InboxFetch{}).Method().Name
	var acknowledged atomic.Uint64 // as the device says
	return &tap{Conn: c,
		request: func(method string, b []byte) {
			if method != fetch {
				return
			}
			q, err := wire.Unmarshal[wire.InboxFetch](b)
			if err != nil {
				panic(err)
			}
			acknowledged.Store(q.Acknowledged)
		},
		reply: func(method string, status uint16, b []byte) []byte {
			switch {
			case status != 0:
			case method == session:
				return altered(b, func(r *wire.AuthenticateReply) { r.Stale = false })
			case method == fetch:
				return altered(b, func(r *wire.InboxFetchReply) { r.Acknowledged = acknowledged.Load() })
			}
			return b
		}}
}

// altered returns a reply with a change.
func altered[T any, P wire.Value[T]](b []byte, change func(*T)) []byte {
	r, err := wire.Unmarshal[T, P](b)
	if err != nil {
		panic(err)
	}
	change(&r)
	if b, err = wire.Marshal[T, P](r); err != nil {
		panic(err)
	}
	return b
}

// stubborn is a connection to a server that takes back nothing of what it lost.
func stubborn(c transport.Conn) transport.Conn {
	return &tap{Conn: c, refuse: func(method string) error {
		if method == (wire.ChannelOffer{}).Method().Name {
			return qpq.E(qpq.StaleEpoch, "stale-slot", "no")
		}
		return nil
	}}
}

// reticent sends no receipts, which would wake whoever missed the message that they are for.
func reticent(p *profile.Profile) error {
	return p.Change(func(tx *profile.Tx) error { return tx.SetSetting(qpq.ChannelID{}, "receipts", "off") })
}

// pardon forgets who was removed from conversations.
func pardon(p *profile.Profile) error {
	channels, err := p.Channels()
	if err != nil {
		return err
	}
	for _, ch := range channels {
		removed, err := p.Removals(ch.ID)
		if err != nil {
			return err
		}
		err = p.Change(func(tx *profile.Tx) error {
			for _, u := range removed {
				if err := tx.SetRemoved(ch.ID, u, false); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
