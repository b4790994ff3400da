package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/transcript"
	"github.com/quicproquo/qpq/identity"
)

// Codes of what Vouch finds.
const (
	CodeSignerUnknown = "signer-unknown" // nothing here knows the account
	CodeSignerDiffers = "signer-differs" // it is not the account that is known by that name
	CodeSignerRevoked = "signer-revoked" // the device was revoked since, and may have been in other hands
)

// Vouch tells whether a transcript that was verified is of the account that this device knows by that name: its own, or somebody's whom it talked with.
// It fails with qpq.NotFound and CodeSignerUnknown, and with qpq.Denied and one of the other codes.
func (c *Client) Vouch(ctx context.Context, r *transcript.Result) error {
	known, err := c.known(r.User)
	if errors.Is(err, profile.ErrNoAccount) {
		known, err = c.cfg.Profile.Contact(r.User)
	}
	if err != nil {
		return err
	}
	if known == nil {
		return qpq.E(qpq.NotFound, CodeSignerUnknown, fmt.Sprintf(
			"the transcript is whole, but this profile does not know the account of %s: ask them for the fingerprint of its key, and give it with --key", r.User))
	}
	if err := c.sameAccount(ctx, r.States, known); err != nil {
		return err
	}
	if known.Revoked(r.Device.ID()) {
		return qpq.E(qpq.Denied, CodeSignerRevoked, fmt.Sprintf(
			"the transcript is whole, but %s revoked the device %s that signed it: whoever had it may have made the transcript later; if you had it before, its key given with --key counts", r.User, r.Device.ID().Short()))
	}
	return nil
}

// sameAccount fails unless some account states and a known one belong to one account: by its key, or by what the server has between them, which the
// keys sign.
func (c *Client) sameAccount(ctx context.Context, list []*identity.AccountState, known *identity.AccountState) error {
	last, same := list[len(list)-1], false
	for _, s := range list {
		if s.Version == known.Version && s.Hash() != known.Hash() {
			return qpq.E(qpq.Denied, CodeSignerDiffers, fmt.Sprintf("the transcript is by somebody who goes by the name of %s: that is not the account that this profile knows", known.User))
		}
		same = same || s.Version == known.Version || s.Key == known.Key
	}
	if same {
		return nil
	}
	s, err := c.member(ctx)
	if err == nil && last.Version < known.Version {
		_, err = states(ctx, s, last, known)
	} else if err == nil {
		_, err = states(ctx, s, known, list[0])
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, qpq.Unavailable), errors.Is(err, profile.ErrNoAccount), errors.Is(err, qpq.RateLimited):
		return qpq.Wrap(qpq.NotFound, CodeSignerUnknown, fmt.Sprintf(
			"the transcript is whole, but the account of %s has changed its key since, or before, and what lies between is not known here: try again when the server can be reached, or give the key with --key", known.User), err)
	}
	return qpq.Wrap(qpq.Denied, CodeSignerDiffers, fmt.Sprintf("the transcript is by somebody who goes by the name of %s: that account does not belong to the one that this profile knows", known.User), err)
}
