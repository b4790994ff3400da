package world

import (
	"slices"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// lingers reports whether somebody may have left, and be in the group still: who was to commit that may have lost the goodbye, or the server forgot
// by whom they handed their role over, and nobody may remove who has as high a role. Nothing is sent to them, and all their devices know that they left.
func (o *Oracle) lingers(c *chat, views map[*Device]*client.Conversation, agreed *client.Conversation, user string) bool {
	for d, v := range views {
		if v.Standing == client.Active && o.present[d] && (d.user.name == user || outranks(agreed, d.user.name, user)) && !o.anyLost() {
			return false
		}
	}
	return (o.back || len(o.excused) > 0) && slices.ContainsFunc(c.changed(), func(x *change) bool {
		return x.user == user && !x.in && x.result != refused && x.by != nil && x.by.user.name == user
	})
}

// outranks reports whether an account may remove another one by its role.
func outranks(v *client.Conversation, name, other string) bool {
	role := func(name string) wire.Role {
		i := slices.IndexFunc(v.Members, func(m client.Member) bool { return m.User.Name == name })
		if i < 0 {
			return wire.RoleMember
		}
		return v.Members[i].Role
	}
	return role(name) >= wire.RoleModerator && role(name) > role(other)
}
