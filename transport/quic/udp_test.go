package quic

import (
	"net"
	"testing"
)

// TestSendingAllocatesNothing: packets go out without an allocation, to addresses of both kinds and in both forms of the older.
func TestSendingAllocatesNothing(t *testing.T) {
	for _, c := range []struct{ from, to string }{{"127.0.0.1:0", "127.0.0.1:0"}, {"[::1]:0", "[::1]:0"}, {"[::]:0", "127.0.0.1:0"}} {
		listen := func(address string) *net.UDPConn {
			a, err := net.ResolveUDPAddr("udp", address)
			if err != nil {
				t.Fatal(err)
			}
			s, err := net.ListenUDP("udp", a)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		from, at := udp{listen(c.from)}, listen(c.to)
		to := at.LocalAddr().(*net.UDPAddr)
		short := *to
		if v4 := to.IP.To4(); v4 != nil {
			short.IP = v4
		}
		got := make([]byte, 16)
		for _, to := range []*net.UDPAddr{to, &short} {
			allocations := testing.AllocsPerRun(20, func() {
				if n, _, err := from.WriteMsgUDP([]byte("packet"), nil, to); err != nil || n != 6 {
					t.Errorf("%d bytes were sent from %s to %s: %v", n, c.from, to, err)
				}
			})
			if n, err := at.Read(got); err != nil || string(got[:n]) != "packet" {
				t.Errorf("%q came from %s: %v", got[:n], c.from, err)
			}
			if allocations != 0 {
				t.Errorf("a packet from %s to %s allocates %v objects", c.from, to, allocations)
			}
		}
	}
}
