package mls

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/message"
)

// ProposePSK proposes to mix in an external pre-shared key.
func (g *Group) ProposePSK(id []byte) (*Outgoing, error) {
	p, err := g.ExternalPSKProposal(id)
	if err != nil {
		return nil, err
	}
	return g.Propose(p, nil)
}

// ExternalPSKProposal returns a proposal to mix in an external pre-shared key, with a fresh nonce.
func (g *Group) ExternalPSKProposal(id []byte) (*message.PreSharedKey, error) {
	nonce, err := g.config.randomBytes(g.suite.HashSize())
	return &message.PreSharedKey{PSK: PreSharedKeyID{Type: message.PSKExternal, ID: id, Nonce: nonce}}, err
}

// ResumptionPSKProposal returns a proposal to mix in the resumption key of a past epoch of this group.
func (g *Group) ResumptionPSKProposal(epoch uint64) (*message.PreSharedKey, error) {
	nonce, err := g.config.randomBytes(g.suite.HashSize())
	return &message.PreSharedKey{PSK: PreSharedKeyID{Type: message.PSKResumption, Usage: message.ResumptionApplication,
		GroupID: g.GroupID(), Epoch: epoch, Nonce: nonce}}, err
}

// psks looks up pre-shared keys: resumption keys in the groups that may have them, the first one first, all others and what these lack
// with the application. Groups may be nil.
func (c *Config) psks(ids []PreSharedKeyID, groups ...*Group) ([]schedule.PSK, error) {
	var list []schedule.PSK
	for _, id := range ids {
		var secret []byte
		for _, g := range groups {
			if secret == nil && g != nil && id.Type == message.PSKResumption && bytes.Equal(id.GroupID, g.epoch.context.GroupID) {
				secret = g.resumption(id.Epoch)
			}
		}
		if secret == nil && c.PSK != nil {
			if found, ok := c.PSK(id); ok {
				secret = found
			}
		}
		if secret == nil {
			return nil, fmt.Errorf("%w: type %d, %x", ErrMissingPSK, id.Type, append(bytes.Clone(id.ID), id.GroupID...))
		}
		list = append(list, schedule.PSK{ID: id, Secret: secret})
	}
	return list, nil
}

// resumption returns the resumption key of an epoch, nil if it is gone.
func (g *Group) resumption(epoch uint64) []byte {
	if epoch == g.Epoch() {
		return g.secrets.Resumption
	}
	for _, e := range g.past {
		if e.context.Epoch == epoch {
			return e.resumption
		}
	}
	return nil
}

func (j *join) checkPSKs() error {
	special := 0
	for _, id := range j.secrets.PSKs {
		if id.Type == message.PSKResumption && id.Usage != message.ResumptionApplication {
			special++
		}
		if len(id.Nonce) != j.suite.HashSize() {
			return fmt.Errorf("%w: nonce of %d bytes for a pre-shared key", ErrWelcome, len(id.Nonce))
		}
	}
	if special > 1 {
		return fmt.Errorf("%w: %d resumption keys for a group that takes another's place", ErrWelcome, special)
	}
	return nil
}
