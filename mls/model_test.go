package mls

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/quicproquo/qpq/mls/message"
)

var modelSeed = flag.Uint64("model-seed", 0, "repeat TestModel with this seed")

// TestModel has 2 to 40 members do at random whatever members can, over a network that loses, repeats and reorders
// messages, and restarts them at random from what they stored. What comes of it is compared with a plain model: a list of
// who is at which leaf, and of who can open what. QPQ_SOAK, a duration, has it run for so long.
func TestModel(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, rand.Uint64()}
	if testing.Short() {
		seeds = seeds[5:]
	}
	if *modelSeed != 0 {
		seeds = []uint64{*modelSeed}
	}
	soak, err := time.ParseDuration(os.Getenv("QPQ_SOAK"))
	for start := time.Now(); err == nil && time.Since(start) < soak; {
		modelRun(t, rand.Uint64())
	}
	all := modelCount{}
	for _, seed := range seeds {
		for what, n := range modelRun(t, seed) {
			all[what] += n
		}
	}
	for _, what := range []string{"*message.Add", "*message.Update", "*message.Remove", "*message.SelfRemove", "*message.PreSharedKey",
		"*message.GroupContextExtensions", "*message.ExternalInit", "joins refused", "commits late", "restarts", "texts opened",
		ErrTooFar.Error(), ErrEpochGone.Error(), ErrConsumed.Error(), "path secrets out of reach", "proposals fetched"} {
		if all[what] == 0 && *modelSeed == 0 && !testing.Short() {
			t.Errorf("it did not happen: %s", what)
		}
	}
}

func modelRun(t *testing.T, seed uint64) (done modelCount) {
	t.Run(fmt.Sprintf("model-seed=%d", seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		w := newModel(t, seed)
		for range 8 {
			for range 100 {
				alive := slices.DeleteFunc(slices.Clone(w.clients), (*modelClient).idle)
				w.act(alive[w.random.IntN(len(alive))])
			}
			w.settle()
		}
		w.spy()
		t.Logf("%d members at last, %d epochs, %s", len(w.members()), w.epoch(), w.done)
		done = w.done
	})
	return done
}

// modelWorld is the delivery service, the network and the plain model of one group.
type modelWorld struct {
	*testing.T
	random    *rand.Rand
	source    *rand.ChaCha8
	suite     CipherSuite
	forward   uint32 // Config.MaxForward
	past      int    // Config.PastEpochs
	clients   []*modelClient
	byKey     map[string]*modelClient // by the signature key of the key package
	log       []*modelCommit          // the commit that ended each epoch
	proposals map[uint64][]*modelMessage
	texts     []*modelMessage
	info      []byte // the newest group info
	tree      []byte // its ratchet tree, if that is not part of it
	leaves    [][]*modelClient
	values    [][]byte            // of the group's extension, by epoch
	facts     map[uint64][]byte   // what all members agree on, by epoch
	keys      map[modelKey]string // which message was sent with each message key
	spies     []*modelSpy
	done      modelCount
}

// modelKey is one message key.
type modelKey struct {
	epoch      uint64
	leaf       LeafIndex
	handshake  bool
	generation uint32
}

// modelCount is how often something happened, so that a test that does nothing shows.
type modelCount map[string]int

func (c modelCount) String() string {
	s := ""
	for _, k := range slices.Sorted(maps.Keys(c)) {
		s += fmt.Sprintf("%s %d, ", k, c[k])
	}
	return s
}

type modelCommit struct {
	message []byte
	by      *modelClient
}

// modelMessage is an application message or a proposal.
type modelMessage struct {
	data       []byte
	by         *modelClient
	leaf       LeafIndex // the sender's
	epoch      uint64
	generation uint32
	text       []byte // nil for a proposal
}

// modelClient is one appearance of a client: who joins again is another.
type modelClient struct {
	name    string
	config  Config
	bundle  []byte // key package and private keys, before it joined
	welcome []byte
	tree    []byte // for the welcome
	group   *Group
	disk    records
	first   uint64 // the first epoch that it can read
	gone    bool
	inbox   []*modelMessage
	sent    map[uint64]uint32            // application messages by epoch
	ratchet map[modelKey]*modelReception // by epoch and leaf
}

// modelReception is what a member opened of one sender in one epoch.
type modelReception struct {
	next    uint32
	skipped []uint32 // increasing
}

// idle reports whether there is nothing that a client can do.
func (c *modelClient) idle() bool { return c.gone || c.group == nil && c.welcome == nil }

const modelExtension = 0xff01

func newModel(t *testing.T, seed uint64) *modelWorld {
	w := &modelWorld{T: t, random: rand.New(rand.NewPCG(seed, 0)), byKey: map[string]*modelClient{},
		proposals: map[uint64][]*modelMessage{}, facts: map[uint64][]byte{}, keys: map[modelKey]string{}, done: modelCount{}}
	var key [32]byte
	key[0] = 1
	for i := range 8 {
		key[i+1] = byte(seed >> (8 * i))
	}
	w.source = rand.NewChaCha8(key)
	w.suite = []CipherSuite{1, 1, 1, 3, 2}[w.random.IntN(5)]
	w.forward = []uint32{0, 16, 20}[w.random.IntN(3)]
	w.past = []int{0, 1, 3, -1}[w.random.IntN(4)]
	founder := w.client("m0", nil)
	g := good(NewGroup(founder.config, w.suite, w.identity(founder), GroupOptions{}))(t)
	founder.group, founder.disk = g, records{}
	founder.disk.apply(g.Records())
	w.leaves, w.values = [][]*modelClient{{founder}}, [][]byte{nil}
	w.info = w.infoOf(founder)
	w.arrive(founder)
	var adds []Proposal
	for n := 1 + w.random.IntN(39); n > 0; n-- {
		adds = append(adds, w.add())
		if n == 1 || w.one(10) {
			w.commit(founder, CommitOptions{Proposals: adds})
			for founder.group.Pending() != nil {
				w.submit(founder)
			}
			adds = nil
		}
	}
	w.settle()
	return w
}

// one is true in one of n cases.
func (w *modelWorld) one(n int) bool { return w.random.IntN(n) == 0 }

func (w *modelWorld) epoch() uint64 { return uint64(len(w.log)) }

// now returns who is at which leaf.
func (w *modelWorld) now() []*modelClient { return w.leaves[w.epoch()] }

func (w *modelWorld) members() []*modelClient {
	return slices.DeleteFunc(slices.Clone(w.now()), func(c *modelClient) bool { return c == nil })
}

func (w *modelWorld) client(name string, bundle *KeyPackageBundle) *modelClient {
	c := &modelClient{name: name, sent: map[uint64]uint32{}, ratchet: map[modelKey]*modelReception{}, disk: records{}}
	c.config = Config{Credentials: anyone{}, Rand: w.source, MaxForward: w.forward, PastEpochs: w.past, MaxMembers: 64,
		PublicHandshake: w.one(3), Extensions: []message.ExtensionType{modelExtension},
		PSK: func(id PreSharedKeyID) ([]byte, bool) {
			return append([]byte("key "), id.ID...), id.Type == message.PSKExternal
		}}
	if w.one(4) {
		c.config.Padding = NoPadding
	}
	if bundle != nil {
		c.bundle = bundle.Marshal()
	}
	w.clients = append(w.clients, c)
	return c
}

func (w *modelWorld) identity(c *modelClient) Identity {
	return Identity{BasicCredential([]byte(c.name)), good(NewSignatureKey(c.config, w.suite))(w)}
}

// add returns the proposal to add a new client.
func (w *modelWorld) add() *message.Add {
	c := w.client(fmt.Sprint("m", len(w.clients)), nil)
	b := good(NewKeyPackage(c.config, w.suite, w.identity(c), KeyPackageOptions{}))(w)
	c.bundle = b.Marshal()
	w.byKey[string(b.key.Public())] = c
	return &message.Add{KeyPackage: good(ParseKeyPackage(c.config, b.Message()))(w)}
}

// place puts a client at the leftmost leaf that is free.
func place(leaves []*modelClient, c *modelClient) []*modelClient {
	if i := slices.Index(leaves, nil); i >= 0 {
		leaves[i] = c
		return leaves
	}
	return append(leaves, c)
}

// act has a client do something.
func (w *modelWorld) act(c *modelClient) {
	switch {
	case c.group == nil:
		w.join(c)
	case w.one(12):
		w.crash(c)
	case c.group.status == joining:
		w.submit(c)
	default:
		w.actions()[w.random.IntN(len(w.actions()))](c)
	}
}

func (w *modelWorld) actions() []func(*modelClient) {
	return []func(*modelClient){w.say, w.say, w.say, w.listen, w.listen, w.listen, w.listen, w.listen, w.fetch, w.fetch, w.fetch,
		w.submit, w.submit, w.prepare, w.prepare, w.propose, w.propose, w.submit, w.submit, w.discard, w.drop, w.enter, w.disturb, w.chat}
}

// crash restarts a client from what it stored.
func (w *modelWorld) crash(c *modelClient) {
	w.done["restarts"]++
	before := c.group
	c.group = good(Restore(c.config, maps.Clone(c.disk)))(w)
	same(w.T, "epoch authenticator after a restart", c.group.EpochAuthenticator(), before.EpochAuthenticator())
	if c.group.OwnIndex() != before.OwnIndex() || c.group.Epoch() != before.Epoch() || c.group.status != before.status ||
		(c.group.Pending() == nil) != (before.Pending() == nil) || len(c.group.Proposals()) != len(before.Proposals()) {
		w.Fatalf("%s came back in another state", c.name)
	}
}

// save stores what an operation changed, unless the client crashes before. It reports whether it is stored, and whether
// the client lived on to do what comes next.
func (w *modelWorld) save(c *modelClient, list []Record) (saved, alive bool) {
	if w.one(15) {
		w.done["restarts"]++
		c.group = good(Restore(c.config, maps.Clone(c.disk)))(w)
		return false, false
	}
	c.disk.apply(list)
	w.stored(c)
	if w.one(15) {
		w.crash(c)
		return true, false
	}
	return true, true
}

// stored verifies that what is stored is what a full copy would be, but for message keys that wait for the next message.
func (w *modelWorld) stored(c *modelClient) {
	full := records{}
	full.apply(c.group.Records())
	for key, value := range full {
		if !bytes.HasPrefix([]byte(key), []byte(recordRatchet)) && !bytes.HasPrefix([]byte(key), []byte(recordSecrets)) &&
			!bytes.Equal(c.disk[key], value) {
			w.Fatalf("%s: record %s is out of date", c.name, key)
		}
	}
	for key := range c.disk {
		if _, ok := full[key]; !ok {
			w.Fatalf("%s: record %s was left behind", c.name, key)
		}
	}
}

// arrive compares the state of a member who reached an epoch with the model and with all who were there before.
func (w *modelWorld) arrive(c *modelClient) {
	g, epoch := c.group, c.group.Epoch()
	fact := fmt.Appendf(nil, "%x %x %x", g.EpochAuthenticator(), good(g.Export("model", []byte{1}, 24))(w), g.tree.Hash())
	if before, ok := w.facts[epoch]; ok {
		same(w.T, fmt.Sprintf("what %s has of epoch %d", c.name, epoch), fact, before)
	}
	w.facts[epoch] = fact
	got := map[LeafIndex]string{}
	for m := range g.Members() {
		got[m.Index] = string(m.Leaf.Credential.Identity)
	}
	want := map[LeafIndex]string{}
	for l, other := range w.leaves[epoch] {
		if other != nil {
			want[LeafIndex(l)] = other.name
		}
	}
	if !maps.Equal(got, want) || w.leaves[epoch][g.OwnIndex()] != c {
		w.Fatalf("%s has in epoch %d, at leaf %d, the members\n%v, they should be\n%v", c.name, epoch, g.OwnIndex(), got, want)
	}
	if v, _ := g.Extensions().Find(modelExtension); !bytes.Equal(v, w.values[epoch]) {
		w.Fatalf("%s has the extension %x, it should be %x", c.name, v, w.values[epoch])
	}
}

// settle has everybody catch up, then compares all.
func (w *modelWorld) settle() {
	for _, c := range w.clients {
		for !c.gone && c.group != nil && c.group.status == joining {
			w.submit(c)
		}
	}
	agreed := 0
	for _, c := range w.clients {
		for !c.idle() && c.group == nil {
			w.join(c)
		}
		for !c.idle() && c.group.Epoch() < w.epoch() {
			w.fetch(c)
		}
		for !c.idle() && !w.one(3) {
			w.listen(c)
		}
		if !c.idle() {
			w.arrive(c)
			w.stored(c)
			agreed++
		}
	}
	if agreed != len(w.members()) {
		w.Fatalf("%d clients are in the group, %d should be", agreed, len(w.members()))
	}
	if w.Failed() {
		w.FailNow()
	}
}
