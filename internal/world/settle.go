package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// stuck is after how long without any change nobody waits any longer for something that is still to come: what is missing shows in what is judged.
const stuck = 90 * time.Second

// endless is after how long of changes people would never come to rest.
const endless = 15 * time.Minute

// settle has all devices receive and send all there is, again and again, until nothing is left to do and nothing changes any more. Where somebody waits for what
// programs do at each new connection, and else every quarter of an hour, all connect anew.
func settle(w *World, _ time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	changed, before, wait := time.Now(), "", 2*time.Second
	for calm := 0; calm < 2; {
		s := w.survey(ctx)
		open, still := strings.Join(s.open, "; "), time.Since(changed)
		switch {
		case ctx.Err() != nil:
			w.fail("nobody ever comes to rest: %s", open)
			return
		case s.state != before:
			changed, before, calm = time.Now(), s.state, 0
		case open == "" || open == w.given:
			calm++
		case still > stuck:
			w.log("world", "does not settle: %s", open)
			w.given = open
			for _, err := range s.errors {
				w.fail("%s", err)
			}
		case still > wait:
			wait += still
			w.net.breakThose(func(*line) bool { return true })
		}
		pause(ctx, 20*time.Millisecond) // for people to look, and programs to go on
	}
}

// survey is how far everybody is.
type survey struct {
	state  string                                         // changes whenever anything does
	open   []string                                       // what is still to come
	errors []string                                       // of devices that cannot receive and send
	in     map[*Device]bool                               // all others, where they are in an account
	at     map[qpq.ChannelID]map[*Device]*profile.Channel // where those stand that are in
}

// survey has each device receive and send once, and looks how far it is then.
func (w *World) survey(ctx context.Context) *survey {
	s := &survey{in: map[*Device]bool{}, at: map[qpq.ChannelID]map[*Device]*profile.Channel{}}
	for _, d := range w.order {
		r, err := d.program()
		if err != nil {
			continue
		}
		if err := r.Sync(ctx); signedOut(err) {
			s.state += d.name + " is signed out\n"
			continue
		} else if err != nil {
			s.failed(d, err)
			continue
		}
		if err := s.device(d, r); err != nil {
			s.failed(d, err)
		}
	}
	for id := range s.at {
		s.conversation(w, id)
	}
	slices.Sort(s.open)
	return s
}

func (s *survey) failed(d *Device, err error) {
	text := fmt.Sprintf("%s cannot receive and send: %v (%s)", d.name, cause(err), qpq.CodeOf(err))
	s.state, s.open, s.errors = s.state+text+"\n", append(s.open, text), append(s.errors, text)
}

// signedOut reports whether an error says that a device is in no account, or in none any more.
func signedOut(err error) bool {
	return errors.Is(err, profile.ErrNoAccount) || qpq.CodeOf(err) == wire.CodeDeviceUnknown
}

// device looks at a device that received and sent what there was.
func (s *survey) device(d *Device, r *running) error {
	inbox, err := r.profile.Inbox()
	outbox, err2 := r.profile.Outbox(false, 0, 1000)
	hidden, err3 := r.profile.Outbox(true, 0, 1000)
	unseen, err4 := r.profile.Entries(d.eyes.position(), 1)
	channels, err5 := r.profile.Channels()
	asked, err6 := r.profile.Amendments()
	if err := errors.Join(err, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	outbox = append(outbox, hidden...)
	s.state += fmt.Sprintf("%s %v %d %d %d\n", d.name, inbox, len(outbox), len(asked), d.eyes.position())
	if inbox.Processed != inbox.Acknowledged {
		s.wait("%s has not acknowledged its inbox", d.name)
	}
	if r.looking.Load() && len(unseen) > 0 {
		s.wait("%s is not shown all yet", d.name)
	}
	s.in[d] = true
	active := map[qpq.ChannelID]bool{}
	for _, ch := range channels {
		s.state += fmt.Sprintf("  %s %d %d %d %d\n", ch.ID, ch.Standing, ch.Slot, ch.Sequence, ch.Epoch)
		active[ch.ID] = ch.Standing == profile.Active
		if s.at[ch.ID] == nil {
			s.at[ch.ID] = map[*Device]*profile.Channel{}
		}
		s.at[ch.ID][d] = &ch
		if ch.Standing == client.Joining || ch.Standing == client.Healing {
			s.wait("%s is about to join %s", d.name, ch.ID)
		}
		if gone, err := r.profile.Departures(ch.ID); err != nil {
			return err
		} else if len(gone) > 0 && active[ch.ID] && !d.w.oracle.anyLost() { // or they may be in it for good
			s.wait("%s knows that %v left %s", d.name, gone, ch.ID)
		}
	}
	for _, o := range outbox {
		if active[o.Channel] {
			s.wait("%s has still to send to %s", d.name, o.Channel)
		}
	}
	for _, a := range asked {
		if active[a.Channel] {
			s.wait("%s has still to change %s", d.name, a.Channel)
		}
	}
	return nil
}

func (s *survey) wait(format string, args ...any) {
	s.open = append(s.open, fmt.Sprintf(format, args...))
}

// conversation looks whether those who are in a conversation are equally far, and all devices of its members are in it.
func (s *survey) conversation(w *World, id qpq.ChannelID) {
	slots, members := map[uint64]bool{}, map[string]bool{}
	for d, ch := range s.at[id] {
		if v := d.standing(id); ch.Standing == profile.Active && v != nil {
			slots[ch.Slot] = true
			for _, m := range v.Members {
				members[m.User.Name] = true
			}
		}
	}
	if len(slots) > 1 {
		s.wait("devices are not equally far in %s", id)
	}
	for _, d := range w.order {
		if s.in[d] && members[d.user.name] && s.at[id][d] == nil {
			s.wait("%s is not yet in %s", d.name, id)
		}
	}
}
