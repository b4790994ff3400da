package repl

import (
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// Complete returns what a line may go on with: candidates that replace it from a byte on.
func (r *REPL) Complete(before string) (from int, candidates []string) {
	return slashes.Complete(before, r.named)
}

// named returns what a parameter may name.
func (r *REPL) named(of command.Of) (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch of {
	case command.OfConversations:
		for _, p := range r.places {
			if !p.ended {
				list = append(list, command.ShortUser(r.self, qpq.OneLine(p.name)))
			}
		}
	case command.OfUsers:
		for _, p := range r.places {
			for _, m := range p.members {
				list = append(list, command.ShortUser(r.self, qpq.OneLine(m)))
			}
		}
	case command.OfSwitch:
		list = []string{"off", "on"}
	case command.OfPrivacy:
		list = slices.Clone(command.Privacies)
	case command.OfRoles:
		list = slices.Clone(command.Roles)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
