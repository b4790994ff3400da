package world

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// simulatedSockets exist in memory only.
type simulatedSockets struct {
	router simnet.PerfectRouter

	mu    sync.Mutex
	ports int
	ways  map[string]*way // by the address of the device
}

var simulatedServer = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4433}

func (s *simulatedSockets) serve() (net.PacketConn, error) {
	return simnet.NewBlockingSimConn(simulatedServer, s), nil
}

func (s *simulatedSockets) attach(w *way) (net.PacketConn, string, error) {
	s.mu.Lock()
	s.ports++
	address := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: s.ports}
	s.ways[address.String()] = w
	s.mu.Unlock()
	return simnet.NewBlockingSimConn(address, s), simulatedServer.String(), nil
}

func (s *simulatedSockets) detach(w *way) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, other := range s.ways {
		if other == w {
			delete(s.ways, address)
		}
	}
}

// AddNode implements simnet.Router.
func (s *simulatedSockets) AddNode(address net.Addr, to simnet.PacketReceiver) {
	s.router.AddNode(address, to)
}

// SendPacket implements simnet.Router.
func (s *simulatedSockets) SendPacket(p simnet.Packet) error {
	s.mu.Lock()
	from, to := s.ways[p.From.String()], s.ways[p.To.String()]
	s.mu.Unlock()
	deliver := func() { _ = s.router.SendPacket(p) } // to nobody: it is lost
	switch {
	case from != nil:
		from.up.carry(deliver)
	case to != nil:
		to.down.carry(deliver)
	}
	return nil
}

// realSockets are UDP on loopback. Each device reaches the server through a relay.
type realSockets struct {
	server atomic.Pointer[netip.AddrPort]

	mu     sync.Mutex
	relays map[*way]*relay
}

func (s *realSockets) serve() (net.PacketConn, error) {
	c, err := loopback()
	if err != nil {
		return nil, err
	}
	address := c.LocalAddr().(*net.UDPAddr).AddrPort()
	s.server.Store(&address)
	return c, nil
}

func (s *realSockets) attach(w *way) (net.PacketConn, string, error) {
	c, err := loopback()
	if err != nil {
		return nil, "", err
	}
	r, err := s.relay(w)
	if err != nil {
		return nil, "", errors.Join(err, c.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relays[w] = r
	return c, r.front.LocalAddr().String(), nil
}

func (s *realSockets) detach(w *way) {
	s.mu.Lock()
	r := s.relays[w]
	delete(s.relays, w)
	s.mu.Unlock()
	r.close()
}

func loopback() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
}

// relay passes the datagrams of one device on, to the server that runs, and its answers back.
type relay struct {
	front, back *net.UDPConn // for the device, and for the server
	work        sync.WaitGroup
}

func (s *realSockets) relay(w *way) (*relay, error) {
	front, err := loopback()
	if err != nil {
		return nil, err
	}
	back, err := loopback()
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	r := &relay{front: front, back: back}
	var device atomic.Pointer[netip.AddrPort]
	r.work.Go(func() {
		pass(front, back, w.up, func(from netip.AddrPort) bool { device.Store(&from); return true }, &s.server)
	})
	r.work.Go(func() {
		pass(back, front, w.down, func(from netip.AddrPort) bool { return from == *s.server.Load() }, &device)
	})
	return r, nil
}

// pass passes on what comes from those who may send, by a road, until a socket is closed.
func pass(from, to *net.UDPConn, by *road, may func(netip.AddrPort) bool, target *atomic.Pointer[netip.AddrPort]) {
	b := make([]byte, 64<<10)
	for {
		n, source, err := from.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if address := target.Load(); address != nil && may(source) {
			datagram := slices.Clone(b[:n])
			by.carry(func() { _, _ = to.WriteToUDPAddrPort(datagram, *address) }) // what cannot be sent is lost
		}
	}
}

func (r *relay) close() {
	_, _ = r.front.Close(), r.back.Close()
	r.work.Wait()
}
