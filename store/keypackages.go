package store

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// KeyPackage is an MLS key package that a device left for others to add it by (RFC 9420 section 10).
type KeyPackage struct {
	Device     qpq.DeviceID
	Suite      uint16
	Ref        []byte // KeyPackageRef
	Package    []byte // encoded
	LastResort bool   // given out again and again once the others are used up
	Expires    time.Time
}

// KeyPackageCount says how many key packages of one suite a device has left.
type KeyPackageCount struct {
	Device     qpq.DeviceID
	Suite      uint16
	OneTime    int64
	LastResort int64
}

// KeyPackageLimits are how many key packages one device may have here.
type KeyPackageLimits struct {
	Suite  int64 // one-time ones of a suite
	Device int64 // of all suites, those of last resort included
}

// AddKeyPackages keeps key packages of one device; a last-resort one replaces those before it of its
// suite. A package that is there already is left as it is, so a repeated upload does no harm, but one
// that was claimed would come back: devices never upload a package twice across a claim. It returns
// NotFound if the device is unknown or revoked, and Exhausted with code "too-many-key-packages" if the
// device would have more than limits allow.
func (s *Store) AddKeyPackages(ctx context.Context, name string, id qpq.DeviceID, packages []KeyPackage, limits KeyPackageLimits) error {
	return s.update(ctx, "keep key packages", func(tx Tx) error { return addPackages(tx, name, id, packages, limits) })
}

// ReplaceKeyPackages is AddKeyPackages in place of all packages that the device had.
func (s *Store) ReplaceKeyPackages(ctx context.Context, name string, id qpq.DeviceID, packages []KeyPackage, limits KeyPackageLimits) error {
	return s.update(ctx, "replace key packages", func(tx Tx) error {
		if err := exec(tx, deleteDevicePackages, name, id[:]); err != nil {
			return err
		}
		return addPackages(tx, name, id, packages, limits)
	})
}

func addPackages(tx Tx, name string, id qpq.DeviceID, packages []KeyPackage, limits KeyPackageLimits) error {
	if d, err := device(tx, name, id); err != nil {
		return err
	} else if !d.Revoked.IsZero() {
		return noDevice
	}
	for _, k := range packages {
		if k.LastResort {
			if err := exec(tx, deleteLastResort, name, id[:], int64(k.Suite), some(k.Ref)); err != nil {
				return err
			}
		}
		err := exec(tx, insertPackage, name, some(k.Ref), id[:], int64(k.Suite), some(k.Package), flag(k.LastResort), millis(k.Expires))
		if err != nil {
			return err
		}
	}
	return limits.check(tx, name, id)
}

func (l KeyPackageLimits) check(tx Tx, name string, id qpq.DeviceID) error {
	var most, all int64
	if _, err := one(tx, into{&most, &all}, selectMostPackages, name, id[:]); err != nil {
		return err
	}
	if most > l.Suite {
		return qpq.E(qpq.Exhausted, "too-many-key-packages", fmt.Sprintf("a device keeps at most %d one-time key packages of a suite here", l.Suite))
	}
	if all > l.Device {
		return qpq.E(qpq.Exhausted, "too-many-key-packages", fmt.Sprintf("a device keeps at most %d key packages of all suites here", l.Device))
	}
	return nil
}

// ClaimKeyPackage takes one key package of a device that has not expired: the one-time package that
// expires first, which nobody gets again, else the last-resort one, which stays. It returns NotFound
// with code "no-key-package" if there is neither.
func (s *Store) ClaimKeyPackage(ctx context.Context, name string, id qpq.DeviceID, suite uint16, now time.Time) (k KeyPackage, err error) {
	err = s.update(ctx, "claim a key package", func(tx Tx) (err error) {
		var found bool
		if k, found, err = claim(tx, name, id, suite, now); err == nil && !found {
			err = qpq.E(qpq.NotFound, "no-key-package", "the device has no key package of this suite left")
		}
		return err
	})
	return k, err
}

// CountKeyPackages returns how many packages that have not expired a device has, by suite.
func (s *Store) CountKeyPackages(ctx context.Context, name string, id qpq.DeviceID, now time.Time) (list []KeyPackageCount, err error) {
	err = s.view(ctx, "count key packages", func(tx Tx) error {
		list = nil
		return tx.Query(func(r Row) error {
			var suite int64
			c := KeyPackageCount{Device: id}
			err := r.Scan(&suite, &c.OneTime, &c.LastResort)
			c.Suite = uint16(suite)
			list = append(list, c)
			return err
		}, countPackages, name, id[:], millis(now))
	})
	return list, err
}

func claim(tx Tx, name string, id qpq.DeviceID, suite uint16, now time.Time) (k KeyPackage, found bool, err error) {
	var expires, last int64
	k.Device, k.Suite = id, suite
	found, err = one(tx, into{&k.Ref, &k.Package, &last, &expires}, selectPackage, name, id[:], int64(suite), millis(now))
	if err != nil || !found {
		return KeyPackage{}, false, err
	}
	k.LastResort, k.Expires = last != 0, instant(expires)
	if !k.LastResort {
		err = exec(tx, deletePackage, name, k.Ref)
	}
	return k, true, err
}

const (
	insertPackage = `INSERT INTO key_packages (account, ref, device, suite, package, last_resort, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, ref) DO NOTHING`
	selectPackage = `SELECT ref, package, last_resort, expires FROM key_packages
		WHERE account = $1 AND device = $2 AND suite = $3 AND expires > $4 ORDER BY last_resort, expires, ref LIMIT 1`
	selectMostPackages = `SELECT coalesce(max(n - last), 0), coalesce(sum(n), 0) FROM (SELECT count(*) AS n, sum(last_resort) AS last
		FROM key_packages WHERE account = $1 AND device = $2 GROUP BY suite) AS suites`
	countPackages = `SELECT suite, count(*) - sum(last_resort), sum(last_resort) FROM key_packages
		WHERE account = $1 AND device = $2 AND expires > $3 GROUP BY suite ORDER BY suite`
	deletePackage        = `DELETE FROM key_packages WHERE account = $1 AND ref = $2`
	deleteLastResort     = `DELETE FROM key_packages WHERE account = $1 AND device = $2 AND suite = $3 AND last_resort = 1 AND ref <> $4`
	deleteDevicePackages = `DELETE FROM key_packages WHERE account = $1 AND device = $2`
)
