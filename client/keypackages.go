package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// oneTimePackages is how many one-time key packages this device keeps at the server, unless that takes fewer; when half are used, it makes more.
const oneTimePackages = 20

// maxKeyPackages is how many key packages a profile keeps before it makes no more: unused ones expire.
const maxKeyPackages = 50 * oneTimePackages

// replenish makes key packages where few are left at the server, or where all have to be replaced.
func (c *Client) replenish(ctx context.Context, s *session, replace bool) error {
	counts, err := wire.Call(ctx, s, wire.KeyPackagesCount{})
	if err != nil {
		return unreachable(s.address, err)
	}
	left, lastResort := 0, false
	for _, n := range counts.Counts {
		if n.Suite == uint16(conversation.Suite) && !replace {
			left, lastResort = int(n.OneTime), n.LastResort
		}
	}
	want := min(oneTimePackages, int(s.info.Limits.KeyPackages))
	if (left > want/2 || left == want) && lastResort {
		return nil
	}
	if kept, err := c.cfg.Profile.KeyPackages(); err != nil {
		return err
	} else if len(kept) > maxKeyPackages && !replace {
		return nil // a server that always wants more
	}
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	private, public, err := c.makePackages(account, max(0, want-left), !lastResort)
	if err != nil {
		return err
	}
	defer func() {
		for _, k := range private {
			clear(k.Bundle)
		}
	}()
	if err := c.cfg.Profile.DropKeyPackages(c.cfg.Clock()); err != nil {
		return err
	}
	if err := c.cfg.Profile.AddKeyPackages(private); err != nil {
		return err
	}
	if _, err = wire.Call(ctx, s, wire.KeyPackagesUpload{Packages: public, Replace: replace}); err != nil || !replace {
		return unreachable(s.address, err)
	}
	return c.cfg.Profile.Replaced()
}

// makePackages makes n one-time key packages, and one of last resort if asked for.
func (c *Client) makePackages(account *profile.Account, n int, lastResort bool) (private []profile.KeyPackage, public []wire.KeyPackage, err error) {
	config, self := c.conversations(), conversation.Self{Device: account.Device, Account: account.State}
	who, err := self.Identity(config)
	if err != nil {
		return nil, nil, err
	}
	defer who.Key.Wipe()
	if lastResort {
		n++
	}
	for i := range n {
		last := lastResort && i == n-1
		b, err := mls.NewKeyPackage(config.MLS(), conversation.Suite, who, mls.KeyPackageOptions{Leaf: self.Leaf(), LastResort: last})
		if err != nil {
			return nil, nil, fmt.Errorf("make a key package: %w", err)
		}
		expires := time.Unix(int64(b.KeyPackage.LeafNode.Lifetime.NotAfter), 0)
		private = append(private, profile.KeyPackage{Ref: b.Ref(), Suite: uint16(conversation.Suite), LastResort: last, Expires: expires, Bundle: b.Marshal()})
		public = append(public, wire.KeyPackage{Suite: uint16(conversation.Suite), Data: b.KeyPackage.Append(nil), LastResort: last, Expires: expires})
		b.Wipe()
	}
	return private, public, nil
}

// claim takes key packages of a user's devices, but for those that are in a group already, and verifies that each is of a device of the account.
func (c *Client) claim(ctx context.Context, s *session, u qpq.UserID, have []qpq.DeviceID) ([]*mls.KeyPackage, error) {
	if _, err := c.learn(ctx, s, u); err != nil {
		return nil, err
	}
	state, err := c.known(u)
	if err != nil {
		return nil, err
	}
	in := map[qpq.DeviceID]bool{}
	for _, d := range have {
		in[d] = true
	}
	var wanted []qpq.DeviceID
	for _, d := range state.Devices {
		if !in[d.ID()] {
			wanted = append(wanted, d.ID())
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	reply, err := wire.Call(ctx, s, wire.KeyPackagesClaim{User: u, Suites: suites, Devices: wanted})
	if err != nil && !errors.Is(err, qpq.NotFound) {
		return nil, err
	}
	var list []*mls.KeyPackage
	for _, p := range reply.Packages {
		k, err := mls.ParseKeyPackage(c.conversations().MLS(), p.Data)
		if err != nil {
			return nil, qpq.Wrap(qpq.Damaged, "bad-key-package", fmt.Sprintf("the server gave a key package of %s that is not valid: %v", u, err), err)
		}
		d, err := conversation.DeviceOf(k)
		if err != nil {
			return nil, err
		}
		if d.User != u || in[d.Device] || state.Device(d.Device) == nil {
			return nil, qpq.E(qpq.Damaged, "bad-key-package", fmt.Sprintf("the server gave a key package for %s that is of another device", u))
		}
		in[d.Device] = true
		list = append(list, k)
	}
	return list, nil
}
