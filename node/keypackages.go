package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// lowKeyPackages is how few one-time key packages of a suite make the server ask for more; half of what it takes, where that is fewer.
const lowKeyPackages = 10

func (s *Server) keyPackagesUpload(ctx context.Context, c *conn, q wire.KeyPackagesUpload) (wire.KeyPackagesUploadReply, error) {
	var none wire.KeyPackagesUploadReply
	user, device := c.who()
	packages, err := s.checkPackages(ctx, user.Name, device, q.Packages)
	if err != nil {
		return none, err
	}
	keep := s.cfg.Store.AddKeyPackages
	if q.Replace {
		keep = s.cfg.Store.ReplaceKeyPackages
	}
	if err := keep(ctx, user.Name, device, packages, store.KeyPackageLimits{Suite: int64(s.limits.KeyPackages), Device: int64(s.limits.DevicePackages)}); err != nil {
		return none, contract(err)
	}
	counts, err := s.countPackages(ctx, user.Name, device)
	return wire.KeyPackagesUploadReply{Counts: counts}, err
}

// checkPackages verifies what can be verified without reading the packages: that each is of the suite
// that it is said to be of, that the device's certificate lists this suite, and the time.
func (s *Server) checkPackages(ctx context.Context, name string, device qpq.DeviceID, packages []wire.KeyPackage) ([]store.KeyPackage, error) {
	d, err := s.cfg.Store.Device(ctx, name, device)
	if err != nil {
		return nil, contract(err)
	}
	certificate, err := identity.ParseDeviceCertificate(d.Certificate)
	if err != nil {
		return nil, qpq.Wrap(qpq.Damaged, "store-damaged", "the server's record of this device is damaged", err)
	}
	now := time.Now()
	out := make([]store.KeyPackage, 0, len(packages))
	for _, p := range packages {
		header, err := frame.Parse(append([]byte{0, 1, 0, byte(frame.KeyPackage)}, p.Data...))
		switch {
		case err != nil || header.CipherSuite != p.Suite:
			return nil, qpq.E(qpq.Invalid, "bad-key-package", fmt.Sprintf("a key package came that is none of suite %d", p.Suite))
		case !slices.Contains(certificate.Suites, p.Suite):
			return nil, qpq.E(qpq.Invalid, "bad-key-package", fmt.Sprintf("a key package of suite %d came, which the certificate of the device does not list", p.Suite))
		case !p.Expires.After(now):
			return nil, qpq.E(qpq.Invalid, "bad-key-package", "a key package came that has expired, or that never expires: check the clock")
		}
		ref := sha256.Sum256(p.Data)
		out = append(out, store.KeyPackage{Device: device, Suite: p.Suite, Ref: ref[:], Package: p.Data, LastResort: p.LastResort, Expires: p.Expires})
	}
	return out, nil
}

func (s *Server) keyPackagesCount(ctx context.Context, c *conn, _ wire.KeyPackagesCount) (wire.KeyPackagesCountReply, error) {
	user, device := c.who()
	counts, err := s.countPackages(ctx, user.Name, device)
	return wire.KeyPackagesCountReply{Counts: counts}, err
}

func (s *Server) countPackages(ctx context.Context, name string, device qpq.DeviceID) ([]wire.KeyPackageCount, error) {
	list, err := s.cfg.Store.CountKeyPackages(ctx, name, device, time.Now())
	if err != nil {
		return nil, contract(err)
	}
	var out []wire.KeyPackageCount
	for _, n := range list {
		out = append(out, wire.KeyPackageCount{Suite: n.Suite, OneTime: uint32(n.OneTime), LastResort: n.LastResort > 0})
	}
	return out, nil
}

func (s *Server) keyPackagesClaim(ctx context.Context, c *conn, q wire.KeyPackagesClaim) (wire.KeyPackagesClaimReply, error) {
	var r wire.KeyPackagesClaimReply
	if err := s.home(q.User); err != nil {
		return r, err
	}
	user, _ := c.who()
	if !s.rates.claims.take(user.Name+"\x00"+q.User.Name, 1, time.Now()) {
		return r, qpq.E(qpq.RateLimited, "rate-limited", fmt.Sprintf("too many key packages of %s were asked for: wait a few minutes and try again", q.User))
	}
	states, newest, err := s.statesAfter(ctx, q.User.Name, q.After)
	if err != nil {
		return r, err
	}
	devices, err := s.cfg.Store.Devices(ctx, q.User.Name)
	if err != nil {
		return r, contract(err)
	}
	r.States, r.Newest = states, newest
	for _, d := range devices {
		if !d.Revoked.IsZero() || len(q.Devices) > 0 && !slices.Contains(q.Devices, d.ID) {
			continue
		}
		p, err := s.claim(ctx, q.User.Name, d.ID, q.Suites)
		if err != nil {
			return r, err
		}
		if p != nil {
			r.Packages = append(r.Packages, wire.ClaimedKeyPackage{Device: d.ID, Suite: p.Suite, Data: p.Package, LastResort: p.LastResort})
		}
	}
	if len(r.Packages) == 0 {
		return r, qpq.E(qpq.NotFound, wire.CodeNoKeyPackage, fmt.Sprintf("no device of %s has left a key package of the suites asked for: it must connect first", q.User))
	}
	return r, nil
}

// claim takes a package of one device: of the first acceptable suite that has a one-time package, else one
// of last resort. It returns nil if there is none.
func (s *Server) claim(ctx context.Context, name string, device qpq.DeviceID, suites []uint16) (*store.KeyPackage, error) {
	counts, err := s.cfg.Store.CountKeyPackages(ctx, name, device, time.Now())
	if err != nil {
		return nil, contract(err)
	}
	for _, suite := range choose(suites, counts) {
		p, err := s.cfg.Store.ClaimKeyPackage(ctx, name, device, suite, time.Now())
		if errors.Is(err, qpq.NotFound) {
			continue // somebody else took the last one meanwhile
		}
		if err != nil {
			return nil, contract(err)
		}
		s.hintReplenish(name, device, suite, counts)
		return &p, nil
	}
	return nil, nil
}

// choose orders the acceptable suites by which to try first.
func choose(suites []uint16, counts []store.KeyPackageCount) (order []uint16) {
	has := func(suite uint16, which func(store.KeyPackageCount) bool) bool {
		return slices.ContainsFunc(counts, func(n store.KeyPackageCount) bool { return n.Suite == suite && which(n) })
	}
	for _, suite := range suites {
		if has(suite, func(n store.KeyPackageCount) bool { return n.OneTime > 0 }) {
			order = append(order, suite)
		}
	}
	for _, suite := range suites {
		if has(suite, func(n store.KeyPackageCount) bool { return n.LastResort > 0 }) {
			order = append(order, suite)
		}
	}
	return order
}

// hintReplenish asks a device for more key packages when few are left after one was taken.
func (s *Server) hintReplenish(name string, device qpq.DeviceID, suite uint16, before []store.KeyPackageCount) {
	for _, n := range before {
		if left := max(0, n.OneTime-1); n.Suite == suite && left < min(lowKeyPackages, int64(s.limits.KeyPackages+1)/2) {
			s.pushDevice(name, device, wire.KeyPackagesPush{Suite: suite, Left: uint32(left)})
		}
	}
}
