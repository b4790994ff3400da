package client_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// What is done again and again, by a member or by the server, costs the others little, and keeps them from nothing else.

// tap is a network on which calls are counted, and some of them answered by somebody else than the server.
type tap struct {
	dial client.Dialer
	lie  func(method uint16, request []byte) (status uint16, reply []byte, lied bool) // nil lies never

	mu    sync.Mutex
	calls map[uint16]int // by method
}

func (p *tap) connect(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
	conn, err := p.dial(ctx, address, verify)
	return tapped{conn, p}, err
}

// called returns how often a method was called since that was asked last.
func (p *tap) called(q interface{ Method() wire.Method }) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.calls[q.Method().Ordinal]
	p.calls[q.Method().Ordinal] = 0
	return n
}

type tapped struct {
	transport.Conn
	tap *tap
}

func (c tapped) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &tappedStream{lyingStream{Stream: s}, c.tap, 0}, err
}

type tappedStream struct {
	lyingStream
	tap  *tap
	more int // bytes of the request that are to come
}

func (s *tappedStream) Write(b []byte) (int, error) {
	if s.more > 0 {
		s.more -= len(b)
		return s.Stream.Write(b)
	}
	method := binary.LittleEndian.Uint16(b[4:])
	s.more = 8 + int(binary.LittleEndian.Uint32(b)) - len(b)
	s.tap.mu.Lock()
	defer s.tap.mu.Unlock()
	if s.tap.calls == nil {
		s.tap.calls = map[uint16]int{}
	}
	s.tap.calls[method]++
	s.lies = nil
	if s.tap.lie != nil && s.more == 0 {
		if status, reply, lied := s.tap.lie(method, b[8:]); lied {
			s.lies = lies{method: func() (uint16, []byte) { return status, reply }}
		}
	}
	return s.lyingStream.Write(b)
}

// TestAStormOfGarbageIsAnsweredMoreAndMoreRarely: bob hands in garbage whenever somebody went on without it, for ten minutes. Alice and carol
// look every second what there is to do, and can talk all the time.
func TestAStormOfGarbageIsAnsweredMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		ctx := context.Background()
		id, alice, bob, carol := three(t, s)
		network := &tap{dial: s.dial}
		alice.reopen(network.connect)
		carol.reopen(network.connect)
		settle(t, alice, carol)
		thief := s.steal(t, bob)
		network.called(wire.ChannelCommit{})
		storms := 0
		storm := func() {
			info := must(wire.Call(ctx, thief, wire.ChannelInfo{Channel: id}))
			for _, d := range []*device{alice, carol} {
				if ch := must(d.profile.Channel(id)); ch.Slot == info.Head.Slot { // it counts: the next one shall not
					_, err := wire.Call(ctx, thief, garbage(id, ch.Slot+1, ch.Epoch, ch.AccessSlot))
					check(t, err)
					storms++
					return
				}
			}
		}
		for range 600 {
			storm()
			check(t, alice.Sync(ctx))
			check(t, carol.Sync(ctx))
			time.Sleep(time.Second)
		}
		answers := network.called(wire.ChannelCommit{})
		if storms < 3 || answers > 60 {
			t.Errorf("in ten minutes garbage came %d times, and was answered %d times", storms, answers)
		}
		for _, d := range []*device{alice, carol} {
			if told := slices.DeleteFunc(d.codes(id), func(code string) bool { return code != "void" }); len(told) == 0 || len(told) > 5 {
				t.Errorf("%s was told %d times of it", d.user(), len(told))
			}
		}
		check(t, tries(alice, id, "whatever bob does"))
		check(t, carol.Sync(ctx))
		storm()
		check(t, tries(carol, id, "we talk"))
		settle(t, alice, carol)
		shows(t, id, []string{"alice: whatever bob does", "carol: we talk"}, alice, carol)
	})
}

// TestConversationsThatCannotBeJoinedDisturbNoOther: the server says that bob is in many conversations which it does not show. He heals the one
// that there is, and talks there; for the others he asks more and more rarely.
func TestConversationsThatCannotBeJoinedDisturbNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		ctx := context.Background()
		id, alice, bob, _ := three(t, s)
		const junk = 40
		isJunk := func(id qpq.ChannelID) bool {
			return slices.Equal(id[1:8], make([]byte, 7)) || slices.Equal(id[1:8], slices.Repeat([]byte{255}, 7))
		}
		real := must(wire.Call(ctx, s.steal(t, bob), wire.ChannelsList{}))
		for i := range junk { // before the good one and after it
			h := wire.ChannelHead{Channel: qpq.ChannelID{0: 0, 15: byte(i)}, Slot: 3, Sequence: 9}
			if i%2 > 0 {
				copy(h.Channel[:8], slices.Repeat([]byte{255}, 8))
			}
			real.Channels = append(real.Channels, h)
		}
		asked := 0
		network := &tap{dial: s.dial, lie: func(method uint16, request []byte) (uint16, []byte, bool) {
			switch method {
			case wire.ChannelsList{}.Method().Ordinal:
				return 0, must(wire.Marshal(real)), true
			case wire.ChannelInfo{}.Method().Ordinal:
				q := must(wire.Unmarshal[wire.ChannelInfo](request))
				if isJunk(q.Channel) {
					asked++
					return 0, must(wire.Marshal(wire.ChannelInfoReply{Head: wire.SlotReceipt{Slot: 3}})), true
				}
			}
			return 0, nil, false
		}}
		check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.ClearGroup(id) }))
		bob.reopen(network.connect)
		for range 300 {
			check(t, bob.Sync(ctx))
			time.Sleep(time.Second)
		}
		if asked < junk || asked > 10*junk {
			t.Errorf("in five minutes it was asked %d times for %d conversations that cannot be joined", asked, junk)
		}
		bob.says(id, "I am here")
		if told := bob.count("conversation"); told != junk {
			t.Errorf("he was told %d times of %d conversations", told, junk)
		}
		check(t, alice.Sync(ctx))
		alice.says(id, "welcome")
		settle(t, bob)
		shows(t, id, []string{"bob: I am here", "alice: welcome"}, alice, bob)
		if v := must(bob.Client.Conversation(id)); v.Standing != client.Active || !slices.Contains(bob.codes(id), "healed") {
			t.Errorf("bob stands as %v; notices %q", v.Standing, bob.codes(id))
		}
	})
}

// TestAnInboxWithoutEndHoldsNobody: the server shows bob the same rows again and again, or says that there is more and shows nothing, or has one
// more row whenever it is asked. He can write all the same.
func TestAnInboxWithoutEndHoldsNobody(t *testing.T) {
	junk := func(sequence uint64) wire.InboxRow {
		return wire.InboxRow{Sequence: sequence, Kind: wire.InboxKindMessage, Channel: qpq.ChannelID{1}, ChannelSequence: sequence, Payload: []byte("x")}
	}
	for name, fetch := range map[string]func(at profile.Inbox, n uint64) wire.InboxFetchReply{
		"the same rows": func(at profile.Inbox, _ uint64) wire.InboxFetchReply {
			return wire.InboxFetchReply{Rows: []wire.InboxRow{junk(at.Processed), junk(1)}, Acknowledged: at.Processed, Head: 1 << 40}
		},
		"nothing, and more to come": func(at profile.Inbox, _ uint64) wire.InboxFetchReply {
			return wire.InboxFetchReply{Acknowledged: at.Processed, Head: 1 << 40}
		},
		"nothing, and what lapsed": func(at profile.Inbox, n uint64) wire.InboxFetchReply {
			return wire.InboxFetchReply{Acknowledged: at.Processed, Head: at.Processed + n, Lapsed: true}
		},
		"one more each time": func(at profile.Inbox, n uint64) wire.InboxFetchReply {
			return wire.InboxFetchReply{Rows: []wire.InboxRow{junk(at.Processed + n)}, Acknowledged: at.Processed, Head: at.Processed + n + 1}
		},
		"one more each time, out of order": func(at profile.Inbox, n uint64) wire.InboxFetchReply {
			return wire.InboxFetchReply{Rows: []wire.InboxRow{junk(at.Processed + n), junk(at.Processed + n - 1)}, Acknowledged: at.Processed, Head: at.Processed + n + 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			id, alice, bob, _ := three(t, s)
			settle(t, bob)
			at, n := *must(bob.profile.Inbox()), uint64(0)
			network := &tap{dial: s.dial, lie: func(method uint16, _ []byte) (uint16, []byte, bool) {
				switch method {
				case wire.InboxFetch{}.Method().Ordinal:
					if n++; n > 1000 {
						t.Error("it asks without end")
						status, reply := wire.EncodeError(qpq.E(qpq.Unavailable, "gone", "enough"))
						return status, reply, true
					}
					return 0, must(wire.Marshal(fetch(at, n))), true
				case wire.InboxAck{}.Method().Ordinal:
					return 0, must(wire.Marshal(wire.InboxAckReply{})), true
				}
				return 0, nil, false
			}}
			bob.reopen(network.connect)
			check(t, tries(bob, id, "whatever the server says"))
			if n > 20 {
				t.Errorf("it was asked %d times", n)
			}
			settle(t, alice)
			shows(t, id, []string{"bob: whatever the server says"}, alice)
		})
	}
}
