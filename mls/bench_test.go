//go:build unix

package mls_test

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/mls/mlstest"
)

// BenchmarkGroup measures what a member does, by suite, shape of the tree and number of members. Besides
// time and allocations it reports
//
//	x-base   the time over that of the primitives that the operation cannot do without, measured in turns with it
//	x-cpu    the same of the time on all processors, which depends less on what else the machine does
//	wire-B   what is sent: the commit, the welcome without the tree, or the message, in bytes
//	store-B  what is to be stored, in bytes
//	heap-B   what the group keeps in memory, in bytes
//
// The primitives are run one after the other, but for those of join, which run on all processors.
func BenchmarkGroup(b *testing.B) {
	for _, id := range []mls.CipherSuite{mls.X25519_AES128GCM_SHA256_Ed25519, mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519} {
		for _, shape := range []string{"full", "sparse"} {
			for _, n := range []int{2, 10, 100, 1_000, 10_000} {
				if shape == "sparse" && n < 100 {
					continue
				}
				b.Run(fmt.Sprintf("suite=%04x/tree=%s/members=%d", uint16(id), shape, n), func(b *testing.B) {
					newStage(b, id, shape, n).run(b)
				})
			}
		}
	}
}

var benchConfig = mls.Config{Credentials: mlstest.Anyone{}}

func have[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// stage is a group to measure in.
type stage struct {
	id    mls.CipherSuite
	n     int
	full  bool
	cast  *mlstest.Cast
	prims *primitives
	steps []tree.Step // A's path
	seals int         // ciphertexts in a commit of A
}

func newStage(b testing.TB, id mls.CipherSuite, shape string, n int) *stage {
	s := &stage{id: id, n: n, full: shape == "full", prims: newPrimitives(b, id)}
	if s.full {
		s.cast = have(mlstest.FullCrowd(benchConfig, id, n))(b)
	} else {
		s.cast = have(mlstest.SparseCrowd(benchConfig, id, n))(b)
	}
	t := have(tree.Unmarshal(s.prims.suite, s.cast.A.RatchetTree(), n))(b)
	s.steps = t.Diff().FilteredPath(s.cast.A.OwnIndex())
	for _, step := range s.steps {
		s.seals += len(t.Resolution(step.Copath))
	}
	return s
}

func (s *stage) run(b *testing.B) {
	if s.full {
		b.Run("create", s.create)
		b.Run("add=all", s.addAll)
	}
	b.Run("add=1", s.addOne)
	b.Run("commit", s.commit)
	b.Run("process=near", func(b *testing.B) { s.process(b, s.cast.B) })
	b.Run("process=far", func(b *testing.B) { s.process(b, s.cast.C) })
	b.Run("join", s.join)
	b.Run("encrypt", s.encrypt)
	b.Run("decrypt", s.decrypt)
	b.Run("state", s.state)
}

// cost is what something took.
type cost struct{ wall, cpu time.Duration }

// processors returns how long this process has been on processors.
func processors(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// operation is something to measure. Only run is timed.
type operation struct {
	before, run, after func()
	base               func() // the primitives of one run
}

func (o operation) once(b *testing.B) cost {
	if o.before != nil {
		o.before()
	}
	start, cpu := time.Now(), processors(b)
	o.run()
	took := cost{time.Since(start), processors(b) - cpu}
	if o.after != nil {
		o.after()
	}
	return took
}

func (o operation) measure(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if o.before != nil {
			b.StopTimer()
			o.before()
			b.StartTimer()
		}
		o.run()
		if o.after != nil {
			b.StopTimer()
			o.after()
			b.StartTimer()
		}
	}
	if o.base != nil {
		wall, cpu := o.ratio(b)
		b.ReportMetric(wall, "x-base")
		b.ReportMetric(cpu, "x-cpu")
	}
}

// ratio runs the operation and its primitives in turns, many times or for a second and a half, and returns the
// best of the one over the best of the other, by the clock and by the processors. The turns of short operations
// are many runs long.
func (o operation) ratio(b *testing.B) (wall, cpu float64) {
	base := operation{run: o.base}
	runs := int(max(1, 2*time.Millisecond/max(1, min(base.once(b).wall, base.once(b).wall))))
	best := func(o operation, best *cost) {
		var took cost
		for range runs {
			once := o.once(b)
			took = cost{took.wall + once.wall, took.cpu + once.cpu}
		}
		*best = cost{min(best.wall, took.wall), min(best.cpu, took.cpu)}
	}
	mine, theirs := cost{math.MaxInt64, math.MaxInt64}, cost{math.MaxInt64, math.MaxInt64}
	start := time.Now()
	for n := 0; n < 5 || n < 50 && time.Since(start) < 1500*time.Millisecond; n++ {
		best(o, &mine)
		best(base, &theirs)
	}
	return float64(mine.wall) / float64(theirs.wall), float64(mine.cpu) / float64(theirs.cpu)
}

func stored(records []mls.Record) (n int) {
	for _, r := range records {
		n += len(r.Value)
	}
	return n
}

func (s *stage) newIdentity(b testing.TB, name string) mls.Identity {
	return mls.Identity{Credential: mls.BasicCredential([]byte(name)), Key: have(mls.NewSignatureKey(benchConfig, s.id))(b)}
}

func (s *stage) create(b *testing.B) {
	who := s.newIdentity(b, "A")
	operation{run: func() { have(mls.NewGroup(benchConfig, s.id, who, mls.GroupOptions{}))(b) }}.measure(b)
}

// adds returns proposals to add newcomers.
func (s *stage) adds(b testing.TB, n int) []mls.Proposal {
	list := make([]mls.Proposal, n)
	for i := range list {
		k := have(mls.NewKeyPackage(benchConfig, s.id, s.newIdentity(b, fmt.Sprint("newcomer ", i)), mls.KeyPackageOptions{}))(b)
		list[i] = &message.Add{KeyPackage: k.KeyPackage}
	}
	return list
}

// addAll invites everybody else at once. The base is what the welcome takes, and the verification of what everybody
// says of itself, twice signed.
func (s *stage) addAll(b *testing.B) {
	g := have(mls.NewGroup(benchConfig, s.id, s.newIdentity(b, "A"), mls.GroupOptions{}))(b)
	s.add(b, g, s.adds(b, s.n-1))
}

func (s *stage) addOne(b *testing.B) { s.add(b, s.cast.A, s.adds(b, 1)) }

func (s *stage) add(b *testing.B, g *mls.Group, adds []mls.Proposal) {
	var p *mls.PendingCommit
	operation{
		run: func() {
			p = have(g.Commit(mls.CommitOptions{Proposals: adds, GroupInfo: mls.GroupInfoOptions{WithoutTree: true}}))(b)
		},
		after: func() { p.Discard() },
	}.measure(b)
	b.ReportMetric(float64(len(p.Message)), "wire-B")
	b.ReportMetric(float64(len(p.Welcome)), "welcome-B")
}

// commit refreshes A's keys and moves on. The base is a seal for each ciphertext, a key pair for each node of the
// path and the leaf, and two signatures.
func (s *stage) commit(b *testing.B) {
	var p *mls.PendingCommit
	var records []mls.Record
	operation{
		run: func() {
			p = have(s.cast.A.Commit(mls.CommitOptions{}))(b)
			records = have(p.Apply())(b)
		},
		after: func() { s.follow(b, p.Message) },
		base:  func() { s.prims.run(b, count{seals: s.seals, derives: len(s.steps) + 1, signs: 2}) },
	}.measure(b)
	b.ReportMetric(float64(len(p.Message)), "wire-B")
	b.ReportMetric(float64(stored(p.Records)+stored(records)), "store-B")
}

// follow has B and C process and merge a commit of A.
func (s *stage) follow(b testing.TB, commit []byte) {
	have(have(s.cast.B.Process(commit))(b).(*mls.StagedCommit).Merge())(b)
	if s.cast.C != s.cast.B {
		have(have(s.cast.C.Process(commit))(b).(*mls.StagedCommit).Merge())(b)
	}
}

// process follows commits of A. The base is a decryption, a key pair for each node above both, and two
// verifications.
func (s *stage) process(b *testing.B, g *mls.Group) {
	shared := slices.IndexFunc(s.steps, func(step tree.Step) bool { return step.Copath.Covers(g.OwnIndex()) })
	var commit []byte
	var records []mls.Record
	operation{
		before: func() {
			p := have(s.cast.A.Commit(mls.CommitOptions{}))(b)
			have(p.Apply())(b)
			commit = p.Message
			for _, other := range []*mls.Group{s.cast.B, s.cast.C} {
				if other != g {
					have(have(other.Process(commit))(b).(*mls.StagedCommit).Merge())(b)
				}
			}
		},
		run:  func() { records = have(have(g.Process(commit))(b).(*mls.StagedCommit).Merge())(b) },
		base: func() { s.prims.run(b, count{opens: 1, derives: len(s.steps) - shared, verifies: 2}) },
	}.measure(b)
	b.ReportMetric(float64(len(commit)), "wire-B")
	b.ReportMetric(float64(stored(records)), "store-B")
}

// join enters the group by a welcome, the tree apart. The base is a verification for each member, on all
// processors.
func (s *stage) join(b *testing.B) {
	var g *mls.Group
	operation{
		run:  func() { g = have(s.cast.Join(benchConfig))(b) },
		base: func() { tree.Parallel(s.n, func(int) { s.prims.run(b, count{verifies: 1}) }) },
	}.measure(b)
	b.ReportMetric(float64(len(s.cast.Welcome)+len(s.cast.Tree)), "wire-B")
	b.ReportMetric(float64(stored(g.Records())), "store-B")
}

// encrypt sends 1 KiB.
func (s *stage) encrypt(b *testing.B) {
	var out *mls.Outgoing
	operation{
		run:  func() { out = have(s.cast.A.Encrypt(s.prims.kib, nil))(b) },
		base: func() { s.prims.encrypt(b) },
	}.measure(b)
	b.ReportMetric(float64(len(out.Message)), "wire-B")
	b.ReportMetric(float64(stored(out.Records)), "store-B")
}

// decrypt reads 1 KiB.
func (s *stage) decrypt(b *testing.B) {
	sync := have(s.cast.A.Commit(mls.CommitOptions{}))(b) // after many messages that nobody read
	have(sync.Apply())(b)
	s.follow(b, sync.Message)
	var waiting [][]byte
	var in *mls.ApplicationMessage
	operation{
		before: func() {
			if len(waiting) == 0 {
				for range 100 {
					waiting = append(waiting, have(s.cast.A.Encrypt(s.prims.kib, nil))(b).Message)
				}
			}
		},
		run: func() {
			in = have(s.cast.B.Process(waiting[0]))(b).(*mls.ApplicationMessage)
			waiting = waiting[1:]
		},
		base: func() { s.prims.decrypt(b) },
	}.measure(b)
	b.ReportMetric(float64(stored(in.Records)), "store-B")
}

// state restores the group from its records.
func (s *stage) state(b *testing.B) {
	list := s.cast.A.Records()
	records := make(map[string][]byte, len(list))
	for _, r := range list {
		records[r.Key] = r.Value
	}
	var g *mls.Group
	operation{run: func() { g = have(mls.Restore(benchConfig, records))(b) }}.measure(b)
	with := heap()
	runtime.KeepAlive(g)
	g = nil
	b.ReportMetric(float64(with-heap()), "heap-B")
	b.ReportMetric(float64(stored(list)), "store-B")
	b.ReportMetric(float64(len(s.cast.A.RatchetTree())), "tree-B")
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestCommitCostsItsPath: what a commit allocates grows with the height of the tree, not with its members, and is a small
// part of the tree.
func TestCommitCostsItsPath(t *testing.T) {
	type use struct {
		levels, tree    int
		allocs, bytes   float64
		process, stored float64
	}
	useOf := func(n int) use {
		s := newStage(t, mls.X25519_AES128GCM_SHA256_Ed25519, "full", n)
		const runs = 10
		var before, committed, processed runtime.MemStats
		c := use{levels: len(s.steps), tree: len(s.cast.A.RatchetTree())}
		for range runs {
			runtime.ReadMemStats(&before)
			p := have(s.cast.A.Commit(mls.CommitOptions{}))(t)
			records := have(p.Apply())(t)
			runtime.ReadMemStats(&committed)
			have(have(s.cast.B.Process(p.Message))(t).(*mls.StagedCommit).Merge())(t)
			runtime.ReadMemStats(&processed)
			c.allocs += float64(committed.Mallocs-before.Mallocs) / runs
			c.bytes += float64(committed.TotalAlloc-before.TotalAlloc) / runs
			c.process += float64(processed.Mallocs-committed.Mallocs) / runs
			c.stored += float64(stored(p.Records)+stored(records)) / runs
		}
		return c
	}
	small, large := useOf(100), useOf(1500)
	levels := float64(large.levels - small.levels)
	t.Logf("100 members: %+v; 1,500 members: %+v", small, large)
	for what, growth := range map[string][2]float64{ // and what one level more may cost
		"allocations of a commit": {large.allocs - small.allocs, 80},
		"bytes of a commit":       {large.bytes - small.bytes, 20_000},
		"allocations to process":  {large.process - small.process, 80},
		"bytes to store":          {large.stored - small.stored, 2_000},
	} {
		if growth[0] > levels*growth[1] {
			t.Errorf("%s: %.0f more for %.0f levels more", what, growth[0], levels)
		}
	}
	if large.bytes > float64(large.tree)/2 {
		t.Errorf("a commit allocates %.0f bytes, the tree has %d", large.bytes, large.tree)
	}
}

// primitives is a suite with what its primitives are run on: contexts and contents of the lengths that they have
// in a small group.
type primitives struct {
	suite   *suite.Suite
	pair    *suite.KeyPair
	signer  *suite.Signer
	secret  []byte
	context []byte
	enc, ct []byte
	tbs     []byte
	signed  []byte
	kib     []byte
	kibSig  []byte
	kibCT   []byte
	key     []byte
	nonce   []byte
	sender  []byte
}

func newPrimitives(b testing.TB, id mls.CipherSuite) *primitives {
	s := suite.Lookup(uint16(id), 0)
	p := &primitives{suite: s, pair: have(s.GenerateKeyPair(nil))(b), signer: have(s.GenerateSigner(nil))(b),
		secret: make([]byte, s.HashSize()), context: make([]byte, 128), tbs: make([]byte, 256), kib: make([]byte, 1024),
		key: make([]byte, s.KeySize()), nonce: make([]byte, s.NonceSize())}
	var err error
	if p.enc, p.ct, err = s.EncryptWithLabel(nil, p.pair.Public(), "UpdatePathNode", p.context, p.secret); err != nil {
		b.Fatal(err)
	}
	p.signed = have(s.SignWithLabel(p.signer, nil, "LeafNodeTBS", p.tbs))(b)
	p.kibSig = have(s.SignWithLabel(p.signer, nil, "FramedContentTBS", p.kib))(b)
	p.kibCT = have(s.Seal(p.key, p.nonce, p.context, p.kib))(b)
	p.sender = have(s.Seal(p.key, p.nonce, p.context, p.nonce))(b)
	return p
}

// count is how often each primitive is run.
type count struct{ seals, opens, derives, signs, verifies int }

func (p *primitives) run(b testing.TB, c count) {
	s, fail := p.suite, error(nil)
	for range c.seals {
		_, _, err := s.EncryptWithLabel(nil, p.pair.Public(), "UpdatePathNode", p.context, p.secret)
		fail = cmp.Or(fail, err)
	}
	for range c.opens {
		_, err := s.DecryptWithLabel(p.pair, "UpdatePathNode", p.context, p.enc, p.ct)
		fail = cmp.Or(fail, err)
	}
	for range c.derives {
		_, err := s.DeriveKeyPair(p.secret)
		fail = cmp.Or(fail, err)
	}
	for range c.signs {
		_, err := s.SignWithLabel(p.signer, nil, "LeafNodeTBS", p.tbs)
		fail = cmp.Or(fail, err)
	}
	for range c.verifies {
		fail = cmp.Or(fail, s.VerifyWithLabel(p.signer.Public(), "LeafNodeTBS", p.tbs, p.signed))
	}
	if fail != nil {
		b.Error(fail)
	}
}

// ratchet derives what one message takes: key, nonce and the next secret, and key and nonce for the sender data.
func (p *primitives) ratchet() {
	s := p.suite
	for _, n := range []int{s.KeySize(), s.NonceSize(), s.HashSize()} {
		s.DeriveTreeSecret(p.secret, "secret", 1, n)
	}
	s.ExpandWithLabel(p.secret, "key", p.secret, s.KeySize())
	s.ExpandWithLabel(p.secret, "nonce", p.secret, s.NonceSize())
}

// encrypt is a signature, the derivations, and the encryption of 1 KiB and of the sender data.
func (p *primitives) encrypt(b testing.TB) {
	have(p.suite.SignWithLabel(p.signer, nil, "FramedContentTBS", p.kib))(b)
	p.ratchet()
	have(p.suite.Seal(p.key, p.nonce, p.context, p.kib))(b)
	have(p.suite.Seal(p.key, p.nonce, p.context, p.nonce))(b)
}

func (p *primitives) decrypt(b testing.TB) {
	have(p.suite.Open(p.key, p.nonce, p.context, p.sender))(b)
	p.ratchet()
	have(p.suite.Open(p.key, p.nonce, p.context, p.kibCT))(b)
	if err := p.suite.VerifyWithLabel(p.signer.Public(), "FramedContentTBS", p.kib, p.kibSig); err != nil {
		b.Error(err)
	}
}

// BenchmarkPrimitives measures the primitives by themselves.
func BenchmarkPrimitives(b *testing.B) {
	for _, id := range []mls.CipherSuite{mls.X25519_AES128GCM_SHA256_Ed25519, mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519} {
		p := newPrimitives(b, id)
		for _, one := range []struct {
			name string
			run  func()
		}{
			{"seal", func() { p.run(b, count{seals: 1}) }},
			{"open", func() { p.run(b, count{opens: 1}) }},
			{"derive", func() { p.run(b, count{derives: 1}) }},
			{"sign", func() { p.run(b, count{signs: 1}) }},
			{"verify", func() { p.run(b, count{verifies: 1}) }},
			{"hash", func() { p.suite.Hash(p.tbs) }},
			{"ratchet", p.ratchet},
			{"aead=1KiB", func() { have(p.suite.Seal(p.key, p.nonce, p.context, p.kib))(b) }},
		} {
			b.Run(fmt.Sprintf("suite=%04x/%s", uint16(id), one.name), func(b *testing.B) { operation{run: one.run}.measure(b) })
		}
	}
}
