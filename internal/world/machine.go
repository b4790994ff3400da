package world

import (
	"context"
	"errors"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// What is done to a device behind the back of its program.

func init() {
	for name, do := range map[string]action{
		"off":     turnOff,
		"on":      turnOn,
		"damage":  damage,
		"garbage": garbage,
	} {
		actions[name] = do
	}
}

// longAway is how long a device can be off and miss nothing.
const longAway = 13 * 24 * time.Hour

// turnOff turns a device off.
func turnOff(_ context.Context, d *Device, _ []string) error {
	d.off()
	if d.since.IsZero() {
		d.since = time.Now()
	}
	return nil
}

// turnOn turns a device on again.
func turnOn(ctx context.Context, d *Device, _ []string) error {
	if !d.since.IsZero() && time.Since(d.since) > longAway {
		d.w.oracle.excuse(d)
	}
	d.since = time.Time{}
	if _, err := d.program(); err != nil {
		d.on(ctx)
	}
	return nil
}

// damage lets the state of all groups on a device be lost, or be something else than it was.
func damage(ctx context.Context, d *Device, args []string) error {
	return d.opened(ctx, func(p *profile.Profile) error {
		channels, err := p.Channels()
		if err != nil {
			return err
		}
		d.w.oracle.excuse(d)
		for _, ch := range channels {
			records, err := p.Group(ch.ID)
			if err != nil {
				return err
			}
			var list []profile.Record
			for key, value := range records {
				if args[0] == "garbled" && len(value) > 0 {
					value[len(value)/2] ^= 1
				}
				list = append(list, profile.Record{Key: key, Value: value})
			}
			err = p.Change(func(tx *profile.Tx) error {
				if args[0] == "lost" {
					return tx.ClearGroup(ch.ID)
				}
				return tx.PutGroup(ch.ID, list)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// opened runs f on the profile of a device, whose program ends before and is started afterwards.
func (d *Device) opened(ctx context.Context, f func(*profile.Profile) error) error {
	d.off()
	defer d.on(ctx)
	p, err := profile.Open(profile.Config{Path: d.disk.path("profile.db"), Key: d.key, VFS: "adiantum-" + d.disk.Name()})
	if err != nil {
		return d.machineDied(err)
	}
	return errors.Join(d.machineDied(f(p)), d.machineDied(p.Close()))
}

// machineDied is err in words that count as understood, where it is due to the machine's death.
func (d *Device) machineDied(err error) error {
	if err == nil || !d.disk.Dead() {
		return err
	}
	return errOff
}

// garbage has a member use its keys for harm: it commits what nobody can read, and says either the truth or nonsense of what the group
// would be after it.
func garbage(ctx context.Context, d *Device, args []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	c, err := d.find(r, args[0])
	if err != nil {
		return err
	}
	id, _ := c.known()
	return d.opened(ctx, func(p *profile.Profile) error {
		s, err := d.enter(ctx, p)
		if err != nil {
			return err
		}
		defer s.Close()
		request, err := commitOf(p, id)
		if err != nil {
			return err
		}
		d.w.oracle.malice()
		request.Commit[len(request.Commit)-1] ^= 1
		if args[1] == "all" {
			request.Group.GroupInfo[len(request.Group.GroupInfo)-1] ^= 1
		}
		_, err = wire.Call(ctx, s, *request)
		return unanswerable(err)
	})
}

// unanswerable is err in words that count as understood.
func unanswerable(err error) error {
	if err == nil || qpq.CodeOf(err) != "" {
		return err
	}
	return qpq.Wrap(qpq.Unavailable, "unanswered", "no answer came", err)
}

// commitOf makes a commit that changes nothing, and does not keep it.
func commitOf(p *profile.Profile, id qpq.ChannelID) (*wire.ChannelCommit, error) {
	ch, err := p.Channel(id)
	if err != nil {
		return nil, err
	}
	if ch == nil || ch.Standing != profile.Active {
		return nil, qpq.E(qpq.NotFound, "not-in-it", "the device is not in the group")
	}
	records, err := p.Group(id)
	if err != nil {
		return nil, err
	}
	known := func(u qpq.UserID) (*identity.AccountState, error) {
		if own, err := p.Account(); err == nil && own.User == u {
			return own.State, nil
		}
		return p.Contact(u)
	}
	config := conversation.Config{Account: known, Clock: time.Now}
	g, err := conversation.Restore(config, records, ch.Slot, conversation.Access{Slot: ch.AccessSlot, Key: ch.Access})
	if err != nil {
		return nil, err
	}
	head, err := wire.Unmarshal[wire.SlotReceipt](ch.Head)
	if err != nil {
		return nil, err
	}
	_, request, err := g.Commit(head.Slot+1, conversation.Change{})
	return request, err
}

// enter authenticates with the keys of a profile.
func (d *Device) enter(ctx context.Context, p *profile.Profile) (*transport.Session, error) {
	own, err := p.Account()
	if err != nil {
		return nil, err
	}
	c, err := d.line.dial(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	s := transport.NewSession(c, transport.SessionConfig{})
	if err := prove(ctx, s, p, own); err != nil {
		_ = s.Close()
		return nil, unanswerable(err)
	}
	return s, nil
}

func prove(ctx context.Context, s *transport.Session, p *profile.Profile, own *profile.Account) error {
	challenge, err := wire.Call(ctx, s, wire.AuthChallenge{})
	if err != nil {
		return err
	}
	exporter, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return err
	}
	counter, err := p.Advance()
	if err != nil {
		return err
	}
	signature, err := own.Device.SignSession(identity.Session{Domain: domain, User: own.User, Device: own.Device.ID(), Counter: counter, Nonce: challenge.Nonce, Exporter: exporter})
	if err != nil {
		return err
	}
	_, err = wire.Call(ctx, s, wire.Authenticate{User: own.User, Device: own.Device.ID(), Counter: counter, Signature: signature})
	return err
}
