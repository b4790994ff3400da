//go:build !linux && !darwin

package daemon

import "net"

// samePerson asks nothing: the mode of the socket and of its folder keep others out.
func samePerson(*net.UnixConn) error { return nil }
