package node

import (
	"context"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

func (s *Server) devicesList(ctx context.Context, c *conn, _ wire.DevicesList) (wire.DevicesListReply, error) {
	var r wire.DevicesListReply
	user, _ := c.who()
	list, err := s.cfg.Store.Devices(ctx, user.Name)
	if err != nil {
		return r, contract(err)
	}
	state, err := s.cfg.Store.LatestState(ctx, user.Name)
	if err != nil {
		return r, contract(err)
	}
	r.StateVersion = uint64(state.Version)
	for _, d := range list {
		if d.Revoked.IsZero() {
			r.Devices = append(r.Devices, wire.DeviceEntry{Device: d.ID, SealedName: d.Label, Added: d.Created, Seen: d.Seen})
		}
	}
	return r, nil
}

func (s *Server) deviceRename(ctx context.Context, c *conn, q wire.DeviceRename) (wire.DeviceRenameReply, error) {
	user, _ := c.who()
	err := s.cfg.Store.RenameDevice(ctx, user.Name, q.Device, q.SealedName)
	if qpq.CodeOf(err) == "no-device" {
		return wire.DeviceRenameReply{}, qpq.E(qpq.NotFound, "no-device", "the account has no such device: list the devices to see which it has")
	}
	return wire.DeviceRenameReply{}, contract(err)
}
