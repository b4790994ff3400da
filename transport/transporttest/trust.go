package transporttest

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"testing"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
)

func testPeer(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	r.call(s, echo, nil)
	there := <-r.server.conns
	if s.Peer().Carrier == "" || s.Peer().Carrier != there.Peer().Carrier || there.Peer().Address == nil {
		t.Errorf("peers %+v and %+v", s.Peer(), there.Peer())
	}
	mine, err := s.Peer().Exporter("label", 32)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := there.Peer().Exporter("label", 32)
	if err != nil || !bytes.Equal(mine, theirs) || (len(mine) == 32) != (c.TLS && !c.Unbound) {
		t.Errorf("exported %x and %x, %v", mine, theirs, err)
	}
	if other, _ := s.Peer().Exporter("another", 32); len(mine) > 0 && bytes.Equal(other, mine) {
		t.Error("another label exports the same")
	}
}

// testKeyExchange looks at what both ends agree on when neither asks for anything: TLS 1.3, this protocol, and a key exchange that
// holds against a quantum computer too.
func testKeyExchange(t *testing.T, c Carrier) {
	if !c.TLS {
		return
	}
	here, there := testcert.Pair(t)
	states := make(chan tls.ConnectionState, 2)
	for _, config := range []*tls.Config{here, there} {
		config.VerifyConnection = func(s tls.ConnectionState) error {
			states <- s
			return nil
		}
	}
	_, dial := c.Listen(t, here, there)
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := <-states
		if s.CurveID != tls.X25519MLKEM768 || s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != cmp.Or(c.Protocol, "qpq") {
			t.Errorf("agreed on %v, %s, %q", s.CurveID, tls.VersionName(s.Version), s.NegotiatedProtocol)
		}
	}
	_ = conn.Close(transport.CodeDone, "")
}

// testNotTrusted connects to a server whose certificate is another's.
func testNotTrusted(t *testing.T, c Carrier) {
	if !c.TLS {
		return
	}
	here, _ := testcert.Pair(t)
	_, there := testcert.Pair(t)
	_, dial := c.Listen(t, here, there)
	if conn, err := dial(t.Context()); err == nil {
		_ = conn.Close(transport.CodeDone, "")
		t.Error("connected to a server that is not trusted")
	}
}
