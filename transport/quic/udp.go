package quic

import (
	"net"
	"net/netip"
)

// udp is a UDP socket that allocates nothing to send a packet, as net.UDPConn does for an address that is a pointer.
type udp struct{ *net.UDPConn }

// WriteMsgUDP implements quic-go's OOBCapablePacketConn.
func (u udp) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if to == nil {
		return u.UDPConn.WriteMsgUDPAddrPort(b, oob, netip.AddrPort{})
	}
	return u.UDPConn.WriteMsgUDPAddrPort(b, oob, to.AddrPort())
}
