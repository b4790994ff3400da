package client

import (
	"context"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// leaveGroups leaves all groups. One that cannot be left is told: its members learn it from the server.
func (c *Client) leaveGroups(ctx context.Context) error {
	list, err := c.Conversations()
	if err != nil {
		return err
	}
	for _, v := range list {
		if v.Direct || v.Standing == Ended {
			continue
		}
		err := c.Leave(ctx, v.ID)
		switch {
		case qpq.CodeOf(err) == "connection-lost", qpq.CodeOf(err) == "cancelled":
			return err
		case err != nil:
			c.notice("not-left", fmt.Sprintf("the conversation %s could not be left: %v", v.Name(), err))
		}
	}
	return nil
}

// peerGone fails where a conversation is a direct one whose other account was deleted.
func (c *Client) peerGone(ch *profile.Channel) error {
	gone, err := c.cfg.Profile.Departures(ch.ID)
	if err != nil || len(gone) == 0 {
		return err
	}
	founding, err := wire.Unmarshal[wire.Founding](ch.Founding)
	if err != nil || !founding.Direct {
		return err
	}
	return qpq.E(qpq.NotFound, "peer-gone", fmt.Sprintf("%s deleted the account: nobody would read it", gone[0]))
}
