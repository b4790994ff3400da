package loadtest

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// The series that the mixed scenario has besides those of the others.
const (
	seriesTyping      = "typing"      // a hint that nobody keeps was taken
	seriesReconnected = "reconnected" // a client came by another connection
)

// shares are how much of the mixed scenario is what, in hundredths; the rest is files.
const (
	shareDirect    = 60
	shareGroup     = 25
	shareTyping    = 8
	shareReconnect = 3
	shareLogin     = 2
)

// mix does a bit of everything, by chance.
func (r *runner) mix(ctx context.Context) error {
	settled := r.readAll(ctx)
	r.again(ctx, len(r.fleet.people)/2*r.plan.Window, func(ctx context.Context, _ int, due time.Time) { r.something(ctx, due) })
	settled()
	return nil
}

// something does one thing that was due at a time.
func (r *runner) something(ctx context.Context, due time.Time) {
	people := r.fleet.people
	direct, several := r.rooms[:len(people)/2], r.rooms[len(people)/2:] // in the order in which they were prepared
	p := people[rand.N(len(people))]
	switch n := rand.N(100); {
	case n < shareDirect:
		direct[rand.N(len(direct))].next().send(ctx, due, nil)
	case n < shareDirect+shareGroup:
		several[rand.N(len(several))].next().send(ctx, due, nil)
	case n < shareDirect+shareGroup+shareTyping:
		r.timed("typing", seriesTyping, due, direct[rand.N(len(direct))].next().typing(ctx))
	case n < shareDirect+shareGroup+shareTyping+shareReconnect:
		r.timed("reconnect", seriesReconnected, due, p.connect(ctx))
	case n < shareDirect+shareGroup+shareTyping+shareReconnect+shareLogin:
		r.timed("login", seriesLogin, due, p.login(ctx))
	default:
		direct[rand.N(len(direct))].next().sendFile(ctx, due)
	}
}

// typing has a member send a hint that nobody keeps.
func (s *seat) typing(ctx context.Context) error {
	payload := frame(s.room.id, s.room.epoch, message.ContentApplication, nil, 128)
	_, err := wire.Call(ctx, s.person, wire.SendEphemeral{Channel: s.room.id, Payload: payload})
	return err
}
