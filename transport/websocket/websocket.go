// Package websocket carries connections over WebSocket (RFC 6455) with yamux inside: it is how browsers come in, and programs whose
// network lets nothing through but the web. It builds for browsers (js/wasm), where it uses their own WebSocket.
//
// A browser shows its pages neither the server's certificate nor a value that only the two ends know. So neither end exports one,
// whatever program it is: what a device signs here is bound to the server's name and nonce, and counts on no other carrier. Browsers
// decide themselves which servers to trust.
package websocket

import (
	"time"

	"github.com/quicproquo/qpq/transport"
)

// Path is where a server answers.
const Path = "/qpq"

// carrier is what Peer calls a connection.
const carrier = "websocket"

// protocol is the subprotocol that both ends agree on.
const protocol = transport.ALPN

// handshakeTime bounds how long a client may take until it has a connection.
const handshakeTime = 10 * time.Second
