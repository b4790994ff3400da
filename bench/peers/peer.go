package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// payloadSize is how many bytes a message carries: those of a sentence or two, encrypted and padded.
const payloadSize = 512

// stamp tells messages apart: when one was due, in nanoseconds since 1970.
type stamp int64

const stampDigits = 20

// payload is what a message carries: its stamp, and letters, which no protocol has to escape.
func (s stamp) payload() []byte {
	return fmt.Appendf(nil, "%0*d%s", stampDigits, int64(s), strings.Repeat("abcdefgh", payloadSize/8)[:payloadSize-stampDigits])
}

// stampOf reads the stamp of a payload.
func stampOf(payload []byte) (stamp, error) {
	if len(payload) < stampDigits {
		return 0, fmt.Errorf("a message of %d bytes came, which has no stamp", len(payload))
	}
	n, err := strconv.ParseInt(string(payload[:stampDigits]), 10, 64)
	return stamp(n), err
}

// site is where a peer's server lives: a folder of its own, the tools that were built, and who it is run as.
type site struct {
	dir      string // of this server alone; servers of other users of the system can enter it
	tools    string // folder of the programs built from this tree
	users    int    // who have accounts: user0, user1, …
	pairs    int    // of users who talk: user2i to user2i+1
	together int    // the first so many are in a group too, where the peer has groups
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

// server is what a peer offers, always on loopback. Its methods are called one at a time, except client.
type server interface {
	// prepare makes accounts and settings in the site's folder, which is empty. It runs once, before the first start.
	prepare(ctx context.Context) error
	// start starts the processes and returns them. Whether they serve already is found out by who connects.
	start(ctx context.Context) (*processes, error)
	// client connects user n, who is then told the stamp of each message that comes and acknowledges it.
	client(ctx context.Context, n int, received func(stamp)) (client, error)
	// settings are what was chosen that is not stock, a line each.
	settings() []string
}

// client is a connected user.
type client interface {
	// send hands a message for another user to the server, and returns when the server has acknowledged it.
	send(ctx context.Context, to int, s stamp) error
	// fetch has everything that waits come, for a user who was away. It may come before fetch returns, or soon after.
	fetch(ctx context.Context) error
	close() error
}

// collector is a server that can be told to collect its garbage.
type collector interface{ collect() error }

// peer is a kind of server that is measured.
type peer struct {
	name     string
	what     string // version and role, for the table
	durable  string // what an acknowledgement means, by its documentation
	ack      string // what the sender waits for
	source   string // where that is documented
	programs []string
	version  func(tools string) string
	open     func(site) server
	rates    bool // only messages are measured, because the server is that of another peer
}

// peers are all that can be measured, in order.
func allPeers() []peer {
	return []peer{qpqPeer(), qpqMLSPeer(), ejabberdPeer("ejabberd-pg", postgresArchive), ejabberdPeer("ejabberd-sqlite", sqliteArchive),
		prosodyPeer(), natsPeer("nats", true), mosquittoPeer(), natsPeer("nats-debian", false)}
}

// choose returns the peers with these names.
func choose(names string) ([]peer, error) {
	var chosen []peer
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, p := range allPeers() {
			if p.name == name {
				chosen, found = append(chosen, p), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no peer %q: choose from %s", name, peerNames())
		}
	}
	return chosen, nil
}

func peerNames() string {
	var names []string
	for _, p := range allPeers() {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// installed fails with what to do where programs of a peer are missing.
func (p peer) installed() error {
	var missing []error
	for _, name := range p.programs {
		if _, err := program(name); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s cannot be measured: install what is missing (scripts/setup %s) or leave it out with -peers: %w", p.name, packages, errors.Join(missing...))
}

const packages = "ejabberd erlang-p1-pgsql erlang-p1-sqlite3 prosody mosquitto nats-server postgresql strace"

// program finds a program in the path, or where Debian puts those that are not in everybody's.
func program(name string) (string, error) {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return name, err
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/lib/postgresql/*/bin") {
		found, err := filepath.Glob(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("there is no program %s", name)
}
