package client

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// address returns where the server is. The caller holds the turn to connect.
func (c *Client) address(account *profile.Account, user qpq.UserID) (string, error) {
	switch {
	case c.server != "":
		return FullAddress(c.server)
	case account != nil:
		return account.Server, nil
	case !user.IsZero():
		return FullAddress(user.Domain)
	}
	return "", qpq.E(qpq.Invalid, "no-server", "no server is known yet: name it with --server, or give a full user name (name@domain)")
}

// FullAddress adds the standard port to an address, host[:port] or [v6]:port, where it has none.
func FullAddress(s string) (string, error) {
	s = strings.TrimSpace(s)
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), wire.StandardPort
	}
	host = strings.ToLower(strings.TrimSuffix(host, ".")) // one server has one name, or it would be met again and again
	ip := net.ParseIP(host)
	if ip != nil {
		host = ip.String()
	}
	if host == "" || strings.HasSuffix(host, ".") || strings.ContainsAny(host, " /@[]\t\n") || qpq.Printable(host) != host || strings.Contains(host, ":") && ip == nil {
		return "", qpq.E(qpq.Invalid, "bad-address", fmt.Sprintf("%q is no address: write host, host:port or [v6]:port", s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", qpq.E(qpq.Invalid, "bad-address", fmt.Sprintf("%q is no address: its port must be a number from 1 to 65535", s))
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}
