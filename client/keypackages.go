package client

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// oneTimePackages is how many one-time key packages this device keeps at the server; when half are used, it makes more.
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
	if left > oneTimePackages/2 && lastResort {
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
	private, public, err := c.makePackages(account, min(oneTimePackages, int(s.info.Limits.KeyPackages))-left, !lastResort)
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
