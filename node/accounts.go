package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// maxStates is how many account states one reply carries; their bytes are bounded too, to fit a frame.
const (
	maxStates     = 64
	maxStateBytes = 4 << 20
	maxClockAhead = 10 * time.Minute // by which an account state may be ahead of the server's clock
)

func (s *Server) accountLookup(ctx context.Context, _ *conn, q wire.AccountLookup) (wire.AccountLookupReply, error) {
	if err := s.home(q.User); err != nil {
		return wire.AccountLookupReply{}, err
	}
	states, newest, err := s.statesAfter(ctx, q.User.Name, q.After)
	return wire.AccountLookupReply{States: states, Newest: newest}, err
}

// statesAfter returns states above a version, oldest first, and the newest version there is.
func (s *Server) statesAfter(ctx context.Context, name string, after uint64) (states [][]byte, newest uint64, err error) {
	latest, err := s.cfg.Store.LatestState(ctx, name)
	if errors.Is(err, qpq.NotFound) {
		return nil, 0, qpq.E(qpq.NotFound, wire.CodeUserUnknown, "there is no such user here")
	}
	if err != nil || after >= uint64(latest.Version) {
		return nil, uint64(latest.Version), err
	}
	list, err := s.cfg.Store.States(ctx, name, int64(after)+1, maxStates)
	if err != nil {
		return nil, 0, contract(err)
	}
	size := 0
	for _, st := range list {
		if size += len(st.State); size > maxStateBytes {
			break
		}
		states = append(states, st.State)
	}
	return states, uint64(latest.Version), nil
}

func (s *Server) accountPublish(ctx context.Context, c *conn, q wire.AccountPublish) (wire.AccountPublishReply, error) {
	var none wire.AccountPublishReply
	user, _ := c.who()
	next, err := identity.ParseAccountState(q.State)
	if err != nil {
		return none, err
	}
	newest, err := s.newestState(ctx, user.Name)
	if err != nil {
		return none, err
	}
	if bytes.Equal(newest.Bytes(), q.State) {
		return none, nil // a repetition
	}
	if err := checkNext(newest, next); err != nil {
		return none, err
	}
	if !c.hasPassword(time.Now()) {
		if q, err = s.givenBack(ctx, newest, next, q); err != nil {
			return none, err
		}
	}
	change, err := s.accountChange(ctx, newest, next, q)
	if err != nil {
		return none, err
	}
	if err := s.publish(ctx, change); err != nil {
		return none, err
	}
	s.frozen.thaw(user.Name)
	s.cutOff(user.Name, c, func(d qpq.DeviceID) bool { return next.Revoked(d) })
	s.pushAccount(user.Name, c, wire.AccountPush{User: user, Version: next.Version})
	s.log.Info("account state published", "user", s.redact.user(user), "version", next.Version)
	return none, nil
}

// givenBack returns what a device without the password may publish: a state that the account key signed and that the server must
// have lost, being restored from a copy. Where keys change, those of the vault must come with it, which a device does not hold; else
// the server's own stay, and a device gives no more than wraps of the vault key for devices that have none.
func (s *Server) givenBack(ctx context.Context, newest, next *identity.AccountState, q wire.AccountPublish) (wire.AccountPublish, error) {
	if newest.Key != next.Key || !bytes.Equal(newest.VaultKey, next.VaultKey) || q.Keys != nil && (q.Keys.AccountKey != nil || q.Keys.PasswordWrap != nil) {
		return q, qpq.E(qpq.Unauthorized, wire.CodePasswordNeeded, "changing an account takes the password: log in on this connection first")
	}
	if q.Keys == nil {
		return q, nil
	}
	vault, err := s.readVault(ctx, next.User.Name)
	if err != nil {
		return q, err
	}
	keys := vault.keys
	keys.Version, keys.Devices = q.Keys.Version, nil
	for _, d := range next.Devices {
		wrap := q.Keys.WrapFor(d.ID())
		if before := newest.Device(d.ID()); before != nil && bytes.Equal(before.EncryptionKey, d.EncryptionKey) {
			wrap = vault.keys.WrapFor(d.ID())
		}
		if wrap == nil {
			return q, qpq.E(qpq.Invalid, wire.CodeBadKeys, fmt.Sprintf("the vault key sealed to the device %s is missing", d.ID().Short()))
		}
		keys.Devices = append(keys.Devices, wire.DeviceWrap{Device: d.ID(), Wrap: wrap})
	}
	q.Keys = &keys
	return q, nil
}

// publish makes a change with its state durable. As the chain of an account is kept whole, for those who know only its
// beginning, a budget bounds how fast it grows.
func (s *Server) publish(ctx context.Context, change store.AccountChange) error {
	subject := sha256.Sum256([]byte("states of an account\x00" + change.Name))
	taken, err := s.cfg.Store.CountAttempt(ctx, subject[:], store.Budget{Limit: int64(s.limits.States), Window: day}, change.Now)
	if errors.Is(err, qpq.RateLimited) {
		return qpq.E(qpq.RateLimited, "too-many-states", fmt.Sprintf("the devices and keys of the account were changed %d times within a day, the most there may be: try again in %s",
			s.limits.States, taken.Closes.Sub(change.Now).Round(time.Second)))
	}
	if err != nil {
		return err
	}
	if err := s.cfg.Store.ChangeAccount(ctx, change); err != nil {
		s.forgive(ctx, taken)
		return contract(err)
	}
	return nil
}

// checkNext fails unless next may follow newest.
func checkNext(newest, next *identity.AccountState) error {
	if next.User != newest.User {
		return qpq.E(qpq.Invalid, wire.CodeBadState, "the account state is of another user than this connection")
	}
	if next.Version != newest.Version+1 {
		return qpq.E(qpq.Conflict, wire.CodeVersionConflict, fmt.Sprintf(
			"version %d was to follow, and the newest is %d: read the account states again and redo the change", next.Version, newest.Version))
	}
	if err := identity.CheckNext(newest, next); err != nil {
		return err
	}
	if unchanged(newest, next) {
		return qpq.E(qpq.Invalid, wire.CodeBadState, fmt.Sprintf("version %d of the account is as version %d but for its number: publish changes only", next.Version, newest.Version))
	}
	return checkClock(next, time.Now())
}

// unchanged reports whether next says nothing that newest does not say. Revocations come with a new key.
func unchanged(newest, next *identity.AccountState) bool {
	return newest.Key == next.Key && bytes.Equal(newest.VaultKey, next.VaultKey) &&
		slices.EqualFunc(newest.Devices, next.Devices, func(a, b *identity.DeviceCertificate) bool { return bytes.Equal(a.Bytes(), b.Bytes()) })
}

// checkClock refuses states from the future: no later one could follow them for as long.
func checkClock(s *identity.AccountState, now time.Time) error {
	if ahead := s.Created.Sub(now); ahead > maxClockAhead {
		return qpq.E(qpq.Invalid, "clock-ahead", fmt.Sprintf(
			"the account state was made %s in the future: set the clock of the device, by the server it is %s", ahead.Round(time.Second), now.UTC().Format(time.DateTime)))
	}
	return nil
}

// accountChange is the transaction that puts next behind newest.
func (s *Server) accountChange(ctx context.Context, newest, next *identity.AccountState, q wire.AccountPublish) (store.AccountChange, error) {
	state := stored(next)
	change := store.AccountChange{Name: next.User.Name, State: &state, MaxDevices: identity.MaxDevices, Now: time.Now()}
	rewrap, err := changeDevices(&change, newest, next)
	if err != nil {
		return change, err
	}
	rotated := !bytes.Equal(newest.VaultKey, next.VaultKey)
	rewrap = rewrap || rotated || newest.Key != next.Key
	if q.Keys == nil && rewrap {
		return change, qpq.E(qpq.Invalid, wire.CodeBadKeys, "devices or keys of the account change: the keys of the vault must come with it")
	}
	if !rotated && len(q.Items) > 0 {
		return change, qpq.E(qpq.Invalid, wire.CodeBadKeys, "the vault key stays: its items must not come with the account state")
	}
	if q.Keys == nil {
		return change, nil
	}
	vault, err := s.readVault(ctx, next.User.Name)
	if err != nil {
		return change, err
	}
	keys, err := vault.replaceKeys(*q.Keys, next)
	if err != nil {
		return change, err
	}
	change.Vault = []store.VaultItem{keys}
	if rotated {
		items, err := s.replaceItems(vault, q.Items)
		if err != nil {
			return change, err
		}
		change.Vault = append(change.Vault, items...)
	}
	return change, nil
}

// changeDevices adds to a change what becomes of each device. It reports whether the vault key must be
// wrapped anew.
func changeDevices(change *store.AccountChange, newest, next *identity.AccountState) (rewrap bool, err error) {
	change.Certificates = map[qpq.DeviceID][]byte{}
	for _, d := range next.Devices {
		before := newest.Device(d.ID())
		switch {
		case before == nil && change.Enrol != nil:
			return false, qpq.E(qpq.Invalid, wire.CodeBadState, "an account state adds one device at most: add the others by states of their own")
		case before == nil:
			device := enrolled(d)
			change.Enrol, rewrap = &device, true
		case !bytes.Equal(before.Bytes(), d.Bytes()):
			change.Certificates[d.ID()] = d.Bytes()
			rewrap = rewrap || !bytes.Equal(before.EncryptionKey, d.EncryptionKey)
		}
	}
	for _, d := range newest.Devices {
		if next.Device(d.ID()) == nil {
			change.Revoke, rewrap = append(change.Revoke, d.ID()), true
		}
	}
	return rewrap, nil
}

func (s *Server) accountDelete(ctx context.Context, c *conn, q wire.AccountDelete) (wire.AccountDeleteReply, error) {
	var none wire.AccountDeleteReply
	user, _ := c.who()
	if q.User != user {
		return none, qpq.E(qpq.Denied, "other-account", fmt.Sprintf("%s was to be deleted, and this connection serves %s", q.User, user))
	}
	notices, err := s.cfg.Store.DeleteAccount(ctx, user.Name, now(), s.limits.Retention)
	if err != nil {
		return none, contract(err)
	}
	s.orphans.Store(true)
	s.announce(notices, c)
	s.links.forget(user.Name)
	s.cutOff(user.Name, c, func(qpq.DeviceID) bool { return true })
	s.metrics.deleted.Inc()
	s.log.Info("account deleted", "user", s.redact.user(user))
	return none, nil
}

// stored is an account state as the store keeps it.
func stored(s *identity.AccountState) store.AccountState {
	hash := s.Hash()
	return store.AccountState{Version: int64(s.Version), Hash: hash[:], State: s.Bytes()}
}

// enrolled is a device as the store keeps it.
func enrolled(c *identity.DeviceCertificate) store.Device {
	return store.Device{ID: c.ID(), PublicKey: bytes.Clone(c.Key[:]), Certificate: c.Bytes()}
}
