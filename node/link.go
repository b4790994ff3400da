package node

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// maxLinkWait bounds a long poll at a rendezvous.
const maxLinkWait = 60 * time.Second

// links are the rendezvous that are open. They are of minutes and worth nothing afterwards: a server that
// restarts forgets them, and people begin anew with a new code.
type links struct {
	most int

	mu     sync.Mutex
	open   map[[16]byte]*link
	owners map[string][16]byte // by account: one rendezvous each
}

// link is one rendezvous: what the new device offered, and what the old one answered.
type link struct {
	owner   string
	expires time.Time
	offer   []byte
	answer  []byte
	changed chan struct{} // closed and replaced when offer, answer or the link itself change
}

func (l *links) init(most int) {
	l.most, l.open, l.owners = most, map[[16]byte]*link{}, map[string][16]byte{}
}

// change closes what waiters wait for. The caller holds links.mu.
func (k *link) change() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// create opens a rendezvous; it ends the one that the account had.
func (l *links) create(at [16]byte, owner string, expires, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.open[at]; k != nil && k.owner != owner && now.Before(k.expires) {
		return qpq.E(qpq.Exists, wire.CodeLinkTaken, "this link code is in use: make a new one")
	}
	if before, ok := l.owners[owner]; ok {
		l.end(before)
	}
	l.end(at)
	if len(l.open) >= l.most {
		return qpq.E(qpq.Unavailable, "too-many-links", "too many devices are being linked at this server: try again in some minutes")
	}
	l.open[at] = &link{owner: owner, expires: expires, changed: make(chan struct{})}
	l.owners[owner] = at
	return nil
}

// end forgets a rendezvous and wakes who waits there. The caller holds mu.
func (l *links) end(at [16]byte) {
	if k := l.open[at]; k != nil {
		k.change()
		delete(l.open, at)
		delete(l.owners, k.owner)
	}
}

// forget ends the rendezvous of an account.
func (l *links) forget(owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.owners[owner]; ok {
		l.end(at)
	}
}

// sweep ends those that expired.
func (l *links) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, k := range l.open {
		if !now.Before(k.expires) {
			l.end(at)
		}
	}
}

var errLink = qpq.E(qpq.NotFound, wire.CodeLinkUnknown, "nobody waits under this link code, or not any more: begin anew with a new code")

// find returns an open rendezvous; owner is empty where any may use it. The caller holds mu.
func (l *links) find(at [16]byte, owner string, now time.Time) (*link, error) {
	k := l.open[at]
	if k == nil || !now.Before(k.expires) || owner != "" && k.owner != owner {
		return nil, errLink
	}
	return k, nil
}

// leave puts an offer or answer at a rendezvous, where field says which. The first counts.
func (l *links) leave(at [16]byte, owner string, sealed []byte, field func(*link) *[]byte) (*link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.find(at, owner, time.Now())
	if err != nil {
		return nil, err
	}
	switch present := field(k); {
	case *present == nil:
		*present = sealed
		k.change()
	case !bytes.Equal(*present, sealed):
		return nil, qpq.E(qpq.Exists, wire.CodeLinkTaken, "another device used this link code first: begin anew with a new code")
	}
	return k, nil
}

// wait returns what lies at a rendezvous once it is there, nil if nothing came in time.
func (l *links) wait(ctx context.Context, at [16]byte, owner string, seconds uint16, stop <-chan struct{}, field func(*link) *[]byte) ([]byte, error) {
	timer := time.NewTimer(min(time.Duration(seconds)*time.Second, maxLinkWait))
	defer timer.Stop()
	for {
		l.mu.Lock()
		k, err := l.find(at, owner, time.Now())
		if err != nil {
			l.mu.Unlock()
			return nil, err
		}
		present, changed := *field(k), k.changed
		l.mu.Unlock()
		if present != nil {
			return present, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, nil
		case <-stop:
			return nil, nil
		case <-ctx.Done():
			return nil, qpq.Wrap(qpq.Unavailable, "cancelled", "the request was given up", context.Cause(ctx))
		}
	}
}

func offerOf(k *link) *[]byte  { return &k.offer }
func answerOf(k *link) *[]byte { return &k.answer }

func (s *Server) linkCreate(_ context.Context, c *conn, q wire.LinkCreate) (wire.LinkCreateReply, error) {
	user, _ := c.who()
	now := time.Now()
	expires := now.Add(s.limits.LinkTime)
	return wire.LinkCreateReply{Expires: expires}, s.links.create(q.Rendezvous, user.Name, expires, now)
}

func (s *Server) linkOffer(_ context.Context, _ *conn, q wire.LinkOffer) (wire.LinkOfferReply, error) {
	k, err := s.links.leave(q.Rendezvous, "", q.Sealed, offerOf)
	if err == nil {
		s.pushAccount(k.owner, nil, wire.LinkPush{Rendezvous: q.Rendezvous})
	}
	return wire.LinkOfferReply{}, err
}

func (s *Server) linkTake(ctx context.Context, c *conn, q wire.LinkTake) (wire.LinkTakeReply, error) {
	user, _ := c.who()
	sealed, err := s.links.wait(ctx, q.Rendezvous, user.Name, q.WaitSeconds, s.drained, offerOf)
	return wire.LinkTakeReply{Sealed: sealed}, err
}

func (s *Server) linkAnswer(_ context.Context, c *conn, q wire.LinkAnswer) (wire.LinkAnswerReply, error) {
	user, _ := c.who()
	_, err := s.links.leave(q.Rendezvous, user.Name, q.Sealed, answerOf)
	return wire.LinkAnswerReply{}, err
}

func (s *Server) linkWait(ctx context.Context, _ *conn, q wire.LinkWait) (wire.LinkWaitReply, error) {
	sealed, err := s.links.wait(ctx, q.Rendezvous, "", q.WaitSeconds, s.drained, answerOf)
	return wire.LinkWaitReply{Sealed: sealed}, err
}
