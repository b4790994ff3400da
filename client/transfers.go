package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Progress is told how many bytes of a file were moved, of how many.
type Progress func(done, total int64)

// TransferState says what becomes of a transfer.
type TransferState = profile.TransferState

// The values of TransferState.
const (
	TransferWaiting = profile.TransferWaiting // it goes on while the client is connected
	TransferStopped = profile.TransferStopped // it goes on when somebody says so: Problem says why
	TransferDone    = profile.TransferDone
)

// Transfer is a file on its way.
type Transfer struct {
	ID      int64
	Channel qpq.ChannelID
	Upload  bool
	Name    string
	Path    string    // where it is read from or goes to; once it is done, where it is
	Message MessageID // of a download; of an upload once it is done: the message that says so
	Done    int64     // bytes that were moved, as far as that is known without asking the server
	Total   int64
	State   TransferState
	Problem string
	Begun   time.Time
}

// transfers is what is under way now.
type transfers struct {
	mu      sync.Mutex
	movers  map[int64]*mover
	sent    map[int64]MessageID // what uploads became, as many as maxSent
	running bool                // somebody moves all that wait
}

// mover is who moves a file: one at a time, and all that wait for it see how far it is.
type mover struct {
	turn   turn
	users  map[*Progress]struct{}
	done   int64
	cancel context.CancelFunc
}

// enter returns the mover of a transfer, for as long as leave is not called with the same progress, which may be of nil.
func (t *transfers) enter(id int64, p *Progress) *mover {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.movers == nil {
		t.movers, t.sent = map[int64]*mover{}, map[int64]MessageID{}
	}
	m := t.movers[id]
	if m == nil {
		m = &mover{turn: newTurn(), users: map[*Progress]struct{}{}}
		t.movers[id] = m
	}
	m.users[p] = struct{}{}
	return m
}

func (t *transfers) leave(id int64, m *mover, p *Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if delete(m.users, p); len(m.users) == 0 {
		delete(t.movers, id)
	}
}

// alone reports whether one waits for a transfer, and nobody else.
func (t *transfers) alone(m *mover) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(m.users) == 1
}

// maxSent is of how many uploads that are done it is known what they became: of the newest ones.
const maxSent = 256

// became notes the message of an upload that is done.
func (t *transfers) became(id int64, m MessageID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent[id] = m; len(t.sent) > maxSent {
		delete(t.sent, slices.Min(slices.Collect(maps.Keys(t.sent))))
	}
}

// report tells all who wait for a transfer how far it is.
func (t *transfers) report(m *mover, done, total int64) {
	t.mu.Lock()
	m.done = done
	users := slices.Collect(maps.Keys(m.users))
	t.mu.Unlock()
	for _, p := range users {
		if *p != nil {
			(*p)(done, total)
		}
	}
}

// Transfers returns the files that are on their way, in the order in which they were begun.
func (c *Client) Transfers() ([]Transfer, error) {
	stored, err := c.cfg.Profile.Transfers()
	if err != nil {
		return nil, err
	}
	var list []Transfer
	for _, s := range stored {
		list = append(list, c.describeTransfer(&s))
	}
	return list, nil
}

func (c *Client) describeTransfer(s *profile.Transfer) Transfer {
	t := Transfer{ID: s.ID, Channel: s.Channel, Upload: s.Upload, Path: s.Path, Total: s.Total, State: s.State, Problem: s.Problem, Begun: s.Begun}
	if m, err := wire.Unmarshal[wire.Message](s.Content); err == nil {
		if b, _ := fileOf(m.Body); b != nil {
			t.Name = SafeName(b.Name)
		}
	}
	if e, err := c.At(s.Position); err == nil && e != nil && e.Message != nil {
		t.Message = e.Message.ID
		if f := e.Message.File(); f != nil {
			t.Name = f.Name
		}
	}
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	if m := c.transfers.movers[s.ID]; m != nil {
		t.Done = m.done
	}
	return t
}

// Transfer moves a file until that is done, also one that was stopped. It fails with Unavailable where it waits: then Run goes on with it.
func (c *Client) Transfer(ctx context.Context, id int64, p Progress) (*Transfer, error) {
	return c.transfer(ctx, id, true, p)
}

var errNoTransfer = qpq.E(qpq.NotFound, "transfer-unknown", "there is no such transfer: transfers shows those that are under way")

// transfer moves a file. One that was stopped it moves only if again is true.
func (c *Client) transfer(ctx context.Context, id int64, again bool, p Progress) (*Transfer, error) {
	m := c.transfers.enter(id, &p)
	defer c.transfers.leave(id, m, &p)
	if err := m.turn.take(ctx); err != nil {
		return nil, err
	}
	defer m.turn.give()
	s, err := c.cfg.Profile.Transfer(id)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sentAs(id)
	case s.State == TransferDone, s.State == TransferStopped && !again:
		return new(c.describeTransfer(s)), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.transfers.mu.Lock()
	m.cancel = cancel
	c.transfers.mu.Unlock()
	report := func(done int64) { c.transfers.report(m, done, s.Total) }
	move := c.download
	if s.Upload {
		move = c.upload
	}
	if err := move(ctx, s, report); err != nil {
		return nil, c.interrupted(ctx, s, err)
	}
	if s.Upload {
		return c.sentAs(id)
	}
	t := c.describeTransfer(s)
	if !again && c.transfers.alone(m) { // whoever asked for it was told that it goes on later
		c.notice("saved", fmt.Sprintf("%s was saved as %s", t.Name, t.Path))
	}
	return &t, nil
}

// sentAs returns an upload that is done, and so is forgotten.
func (c *Client) sentAs(id int64) (*Transfer, error) {
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	message, ok := c.transfers.sent[id]
	if !ok {
		return nil, errNoTransfer
	}
	return &Transfer{ID: id, Upload: true, Message: message, State: TransferDone}, nil
}

// interrupted notes why a transfer does not go on by itself, if it does not, and returns why.
func (c *Client) interrupted(ctx context.Context, s *profile.Transfer, why error) error {
	if ctx.Err() != nil {
		c.kick() // Run goes on with it
	}
	if ctx.Err() != nil || temporary(why) || errors.Is(why, profile.ErrNoAccount) || qpq.CodeOf(why) == "profile-damaged" {
		return why
	}
	s.State, s.Problem = TransferStopped, qpq.Printable(why.Error())
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetTransfer(*s) })
	c.news.tell()
	return errors.Join(why, err)
}

// CancelTransfer gives a transfer up, and removes what there is of the file where it goes to.
func (c *Client) CancelTransfer(ctx context.Context, id int64) error {
	none := new(Progress)
	m := c.transfers.enter(id, none)
	defer c.transfers.leave(id, m, none)
	c.transfers.mu.Lock()
	if m.cancel != nil {
		m.cancel()
	}
	c.transfers.mu.Unlock()
	if err := m.turn.take(ctx); err != nil {
		return err
	}
	defer m.turn.give()
	s, err := c.cfg.Profile.Transfer(id)
	if err != nil {
		return err
	}
	if s == nil || s.State == TransferDone {
		return errNoTransfer
	}
	if s.Part != "" && c.cfg.Files != nil {
		if err := c.cfg.Files.Remove(s.Part); err != nil {
			return err
		}
	}
	if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.DropTransfer(id) }); err != nil {
		return err
	}
	c.news.tell()
	if msg, err := wire.Unmarshal[wire.Message](s.Content); err == nil && s.Upload {
		b, _ := fileOf(msg.Body)
		c.drop(ctx, s.Channel, b)
	}
	return nil
}

// drop has the server forget a blob. Where that fails, the server does so in its time.
func (c *Client) drop(ctx context.Context, id qpq.ChannelID, b *wire.FileBody) {
	if b != nil {
		_, _ = call(ctx, c, wire.BlobDrop{Channel: id, Blob: b.Blob})
	}
}

// dropNow is drop where there is a connection already.
func (c *Client) dropNow(ctx context.Context, id qpq.ChannelID, b *wire.FileBody) {
	if !c.connecting.try() {
		return
	}
	s := c.session
	c.connecting.give()
	if s != nil && s.alive() {
		_, _ = wire.Call(ctx, s, wire.BlobDrop{Channel: id, Blob: b.Blob})
	}
}

// MoveFiles goes on with all transfers that wait, one after the other, and returns the first error.
func (c *Client) MoveFiles(ctx context.Context) (err error) {
	if err := c.removeParts(); err != nil {
		return err
	}
	for after := int64(0); ; {
		list, failed := c.cfg.Profile.Transfers()
		i := slices.IndexFunc(list, func(s profile.Transfer) bool { return s.ID > after && s.State == TransferWaiting })
		if failed != nil || i < 0 {
			return cmp.Or(err, failed)
		}
		after = list[i].ID
		_, failed = c.transfer(ctx, after, false, nil)
		if failed != nil && qpq.CodeOf(failed) != errNoTransfer.Code { // another call was faster
			err = cmp.Or(err, failed)
		}
		if temporary(failed) {
			return err
		}
	}
}

// removeParts removes what was fetched of files whose messages are gone, and which nobody goes on with.
func (c *Client) removeParts() error {
	list, err := c.cfg.Profile.Transfers()
	if err != nil || c.cfg.Files == nil {
		return err
	}
	for _, s := range list {
		if s.Upload || s.State != TransferStopped || s.Part == "" {
			continue
		}
		e, err := c.At(s.Position)
		if err == nil && (e == nil || e.Message == nil || e.Message.Gone != There) {
			err = c.cfg.Files.Remove(s.Part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// goOn moves what waits beside everything else, until ctx is done.
func (c *Client) goOn(ctx context.Context, work *sync.WaitGroup) {
	if c.cfg.Files == nil {
		return
	}
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	if c.transfers.running {
		return
	}
	c.transfers.running = true
	work.Go(func() {
		err := c.MoveFiles(ctx)
		c.transfers.mu.Lock()
		c.transfers.running = false
		c.transfers.mu.Unlock()
		if err != nil && ctx.Err() == nil && !temporary(err) {
			c.notice("transfer", "a file cannot be moved on: "+err.Error())
		}
	})
}

// temporary reports whether to try again is of use.
func temporary(err error) bool {
	return errors.Is(err, qpq.Unavailable) && qpq.CodeOf(err) != errClientClosed.Code || errors.Is(err, qpq.RateLimited)
}

// How often a call of a transfer is tried, and how long it waits at most between tries.
const (
	steadyTries = 6
	steadyWait  = 20 * time.Second
)

// steadily is call for transfers: they take long, and connections are lost meanwhile.
func steadily[Q wire.Request[R], R any, PQ wire.Value[Q], PR wire.Value[R]](ctx context.Context, c *Client, q Q) (R, error) {
	wait := c.cfg.Backoff
	for n := 1; ; n++ {
		r, err := call[Q, R, PQ, PR](ctx, c, q)
		if n == steadyTries || ctx.Err() != nil || !temporary(err) {
			return r, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return r, errGivenUp
		}
		wait = min(2*wait, steadyWait)
	}
}
