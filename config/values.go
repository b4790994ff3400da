package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The functions below return the value of a setting. Each keeps what p holds as the default.

// Text is any text.
func Text(p *string) pflag.Value { return text{p, "text", nil} }

// File is a path.
func File(p *string) pflag.Value { return text{p, "file", nil} }

// OneOf is one of some words.
func OneOf(p *string, words ...string) pflag.Value {
	return text{p, strings.Join(words, "|"), func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("it must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}}
}

// Address is where to listen: host[:port], [v6]:port or :port, the port being standard where it is
// left out, and empty where may be nothing.
func Address(p *string, standard string, optional bool) pflag.Value {
	return &address{p, standard, optional}
}

// Duration is a span of time, "90s", not negative.
func Duration(p *time.Duration) pflag.Value { return duration{p} }

// Int is a whole number between two bounds.
func Int(p *int, least, most int) pflag.Value { return &number{p, least, most} }

// Bool is true or false.
func Bool(p *bool) pflag.Value { return truth{p} }

type text struct {
	p     *string
	kind  string
	check func(string) error
}

func (t text) String() string { return *t.p }
func (t text) Type() string   { return t.kind }
func (t text) Set(s string) error {
	if t.check != nil {
		if err := t.check(s); err != nil {
			return err
		}
	}
	*t.p = s
	return nil
}

type address struct {
	p        *string
	standard string
	optional bool
}

func (a *address) String() string { return *a.p }
func (a *address) Type() string   { return "address" }
func (a *address) Set(s string) error {
	if s == "" && a.optional {
		*a.p = ""
		return nil
	}
	full, err := splitAddress(s, a.standard)
	if err == nil {
		*a.p = full
	}
	return err
}

// splitAddress returns an address with its port, in the form that package net takes.
func splitAddress(s, standard string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil { // no port: a name, an IPv4 address, or an IPv6 address with or without brackets
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), standard
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("it is no address: write host:port, [v6]:port or :port")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("its port is not between 0 and 65535: write host:port, [v6]:port or :port")
	} else {
		port = strconv.FormatUint(n, 10)
	}
	if strings.ContainsAny(host, " /@\"'") {
		return "", fmt.Errorf("it is no address: write host:port, [v6]:port or :port")
	}
	return net.JoinHostPort(host, port), nil
}

type duration struct{ p *time.Duration }

func (d duration) String() string { return d.p.String() }
func (d duration) Type() string   { return "duration" }
func (d duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("it is no span of time: write 90s, 15m or 24h")
	}
	*d.p = v
	return nil
}

type number struct {
	p           *int
	least, most int
}

func (n *number) String() string { return strconv.Itoa(*n.p) }
func (n *number) Type() string   { return "int" }
func (n *number) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < n.least || v > n.most {
		return fmt.Errorf("it must be a whole number from %d to %d", n.least, n.most)
	}
	*n.p = v
	return nil
}

type truth struct{ p *bool }

func (t truth) String() string { return strconv.FormatBool(*t.p) }
func (t truth) Type() string   { return "bool" }
func (t truth) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("it must be true or false")
	}
	*t.p = v
	return nil
}
