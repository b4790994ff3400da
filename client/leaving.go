package client

import (
	"context"
	"fmt"

	"github.com/quicproquo/qpq"
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
