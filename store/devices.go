package store

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// Device is one enrolled device of an account.
type Device struct {
	ID          qpq.DeviceID
	PublicKey   []byte // signature key
	Certificate []byte // signed by the account key
	Label       []byte // what its owner calls it, sealed by the owner
	Created     time.Time
	Seen        time.Time // last session start; zero before the first
	Revoked     time.Time // zero unless revoked
	Session     int64     // counter of the last session start
}

// Device returns a device, revoked ones included. It returns NotFound if the account never had it.
func (s *Store) Device(ctx context.Context, name string, id qpq.DeviceID) (d Device, err error) {
	err = s.view(ctx, "look up a device", func(tx Tx) (err error) {
		d, err = device(tx, name, id)
		return err
	})
	return d, err
}

// Devices returns all devices of an account, revoked ones included, in the order they were enrolled.
// It returns NotFound if there is no such account.
func (s *Store) Devices(ctx context.Context, name string) (list []Device, err error) {
	err = s.view(ctx, "list devices", func(tx Tx) error {
		if err := needAccount(tx, name); err != nil {
			return err
		}
		list = nil
		return tx.Query(func(r Row) error {
			d, err := scanDevice(r)
			list = append(list, d)
			return err
		}, selectDevices, name)
	})
	return list, err
}

// RenameDevice replaces a device's label. It returns NotFound if there is no such device in use.
func (s *Store) RenameDevice(ctx context.Context, name string, id qpq.DeviceID, label []byte) error {
	return s.update(ctx, "rename a device", func(tx Tx) error {
		return must(tx, noDevice, updateLabel, name, id[:], some(label))
	})
}

// StartSession moves a device's session counter up to counter, which the device has increased and
// saved before it asks. It returns Conflict with code "session-behind" and the counter kept here if
// that is not lower: then the device runs from an old copy of its state. It returns NotFound for an
// unknown device and Denied with code "device-revoked" for a revoked one.
func (s *Store) StartSession(ctx context.Context, name string, id qpq.DeviceID, counter int64, now time.Time) (kept int64, err error) {
	err = s.update(ctx, "start a session", func(tx Tx) error {
		d, err := device(tx, name, id)
		kept = d.Session
		switch {
		case err != nil:
			return err
		case !d.Revoked.IsZero():
			return qpq.E(qpq.Denied, "device-revoked", "this device was revoked: enrol it again")
		case counter <= kept:
			return qpq.E(qpq.Conflict, "session-behind", fmt.Sprintf("session %d was started before: this "+
				"device runs from an old copy of its state and must rejoin its conversations", counter))
		}
		kept = counter
		if err := exec(tx, noteCursor, name, id[:], millis(now)); err != nil {
			return err
		}
		return exec(tx, updateSession, name, id[:], counter, millis(now))
	})
	return kept, err
}

var noDevice = qpq.E(qpq.NotFound, "no-device", "the account has no such device in use")

func device(tx Tx, name string, id qpq.DeviceID) (d Device, err error) {
	found := false
	err = tx.Query(func(r Row) (err error) {
		found = true
		d, err = scanDevice(r)
		return err
	}, selectDevice, name, id[:])
	if err == nil && !found {
		err = noDevice
	}
	return d, err
}

func putDevice(tx Tx, name string, d Device, now time.Time) error {
	exists := qpq.E(qpq.Exists, "device-enrolled", "the account has this device already, or revoked it: make a new device key")
	if err := must(tx, exists, insertDevice, name, d.ID[:], some(d.PublicKey), some(d.Certificate), some(d.Label), millis(now)); err != nil {
		return err
	}
	return exec(tx, insertCursor, name, d.ID[:], millis(now)) // at the end of the inbox
}

func enrol(tx Tx, c AccountChange) error {
	if c.Enrol == nil {
		return nil
	}
	if err := putDevice(tx, c.Name, *c.Enrol, c.Now); err != nil {
		return err
	}
	var devices int64
	if _, err := one(tx, into{&devices}, countDevices, c.Name); err != nil {
		return err
	}
	if c.MaxDevices > 0 && devices > c.MaxDevices {
		return qpq.E(qpq.Exhausted, "too-many-devices", fmt.Sprintf("an account has at most %d devices: "+
			"revoke one first", c.MaxDevices))
	}
	return nil
}

func revokeDevices(tx Tx, c AccountChange) error {
	for _, id := range c.Revoke {
		if err := must(tx, noDevice, revokeDevice, c.Name, id[:], millis(c.Now)); err != nil {
			return err
		}
		if err := exec(tx, deleteDevicePackages, c.Name, id[:]); err != nil {
			return err
		}
		if err := exec(tx, deleteCursor, c.Name, id[:]); err != nil {
			return err
		}
		if _, err := beginLeaving(tx, sender{c.Name, id}, c.Now, 0); err != nil {
			return err
		}
	}
	return nil
}

func replaceCertificates(tx Tx, c AccountChange) error {
	for id, certificate := range c.Certificates {
		if err := must(tx, noDevice, updateCertificate, c.Name, id[:], some(certificate)); err != nil {
			return err
		}
	}
	return nil
}

func scanDevice(r Row) (d Device, err error) {
	var id []byte
	var created, seen, revoked int64
	err = r.Scan(&id, &d.PublicKey, &d.Certificate, &d.Label, &created, &seen, &revoked, &d.Session)
	copy(d.ID[:], id)
	d.Created, d.Seen, d.Revoked = instant(created), instant(seen), instant(revoked)
	return d, err
}

// some stores an absent value as an empty one, for columns that are never NULL.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const (
	columnsOfDevice = `device, public_key, certificate, label, created, seen, revoked, session`

	insertDevice = `INSERT INTO devices (account, device, public_key, certificate, label, created, seen, revoked, session)
		VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0) ON CONFLICT (account, device) DO NOTHING`
	selectDevice      = `SELECT ` + columnsOfDevice + ` FROM devices WHERE account = $1 AND device = $2`
	selectDevices     = `SELECT ` + columnsOfDevice + ` FROM devices WHERE account = $1 ORDER BY created, device`
	countDevices      = `SELECT count(*) FROM devices WHERE account = $1 AND revoked = 0`
	updateLabel       = `UPDATE devices SET label = $3 WHERE account = $1 AND device = $2 AND revoked = 0`
	updateSession     = `UPDATE devices SET session = $3, seen = $4 WHERE account = $1 AND device = $2`
	updateCertificate = `UPDATE devices SET certificate = $3 WHERE account = $1 AND device = $2 AND revoked = 0`
	revokeDevice      = `UPDATE devices SET revoked = $3 WHERE account = $1 AND device = $2 AND revoked = 0`
)
