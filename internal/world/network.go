package world

import (
	"context"
	"sync"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
)

// network is what a server listens on, and devices reach it over. It is there for as long as the world.
type network interface {
	// Listen is for a server that starts. One runs at a time.
	Listen() (transport.Listener, error)
	// Dial connects a device to the server that runs.
	Dial(ctx context.Context, device string) (transport.Conn, error)
	// Part lets nothing of a device pass, or lets it pass again. It reports false where that is not up to the network.
	Part(device string, off bool) bool
	// Kill lets a machine vanish without a word: a device, or the server. It does not block. It reports false where others see at once that it is
	// gone, for which the caller cares.
	Kill(machine string) bool
	// Carries reports whether the weather is of what the network carries, not of calls.
	Carries() bool
	Close() error
}

// memory is a network without datagrams.
type memory struct {
	mu       sync.Mutex
	listener *mem.Listener // nil while no server runs
}

func (n *memory) Listen() (transport.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = mem.Listen("server")
	return n.listener, nil
}

func (n *memory) Dial(ctx context.Context, device string) (transport.Conn, error) {
	n.mu.Lock()
	l := n.listener
	n.mu.Unlock()
	if l == nil {
		return nil, errDown
	}
	return l.Dial(ctx, device)
}

func (n *memory) Kill(machine string) bool {
	if machine == "server" {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.listener = nil
	}
	return false
}

func (n *memory) Part(string, bool) bool { return false }
func (n *memory) Carries() bool          { return false }
func (n *memory) Close() error           { return nil }
