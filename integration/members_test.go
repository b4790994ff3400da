//go:build linux

package integration_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/opaque"
	reach "github.com/quicproquo/qpq/transport/dial"
	"github.com/quicproquo/qpq/wire"
)

// Profiles of a story are used here without qpq: to make many of them, and to do what it would not.

// signUp makes a profile with an account whose password costs nothing to try. All else is as qpq does it.
func signUp(ctx context.Context, dir, server, name string) (err error) {
	home, err := profile.OpenHome(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	p, err := home.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	dialer := &reach.Dialer{}
	defer func() { err = errors.Join(err, dialer.Close()) }()
	c := client.New(client.Config{Profile: p, Dial: dialer.Dial, Server: server, KSF: opaque.Identity, Notice: func(client.Notice) {}})
	defer func() { err = errors.Join(err, c.Close()) }()
	password, err := client.NewPassword([]byte("correct horse " + name))
	if err != nil {
		return err
	}
	_, err = c.Register(ctx, client.Registration{User: name, Password: password})
	return err
}

func cmdProfiles(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2)
	var names []string
	for _, arg := range args[1:] {
		name, times, many := strings.Cut(arg, "*")
		if !many {
			names = append(names, name)
			continue
		}
		n, err := strconv.Atoi(times)
		ts.Check(err)
		for i := range n {
			names = append(names, name+strconv.Itoa(i+1))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	errs := make([]error, len(names))
	var busy sync.WaitGroup
	room := make(chan struct{}, 8)
	for i, name := range names {
		room <- struct{}{}
		busy.Go(func() {
			defer func() { <-room }()
			errs[i] = signUp(ctx, filepath.Join(ts.Getenv("XDG_DATA_HOME"), "qpq", name), args[0], name)
		})
	}
	busy.Wait()
	ts.Check(errors.Join(errs...))
}

// cmdProfileSQL changes the database of a profile as it is in the file: encrypted, with a checksum on each page.
func cmdProfileSQL(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	dir := filepath.Join(ts.Getenv("XDG_DATA_HOME"), "qpq", args[0])
	home, err := profile.OpenHome(dir, nil) // nobody else may have it open
	ts.Check(err)
	defer home.Close()
	text, err := os.ReadFile(filepath.Join(dir, "profile.key"))
	ts.Check(err)
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	ts.Check(err)
	db, err := sqlite3.Open("file:" + filepath.Join(dir, "profile.db") + "?vfs=adiantum&mode=rw&hexkey=" + hex.EncodeToString(key))
	ts.Check(err)
	defer db.Close()
	ts.Check(db.Exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA user_version`))
	ts.Check(db.EnableChecksums("main"))
	ts.Check(db.Exec(args[1]))
	if db.Changes() == 0 {
		ts.Fatalf("%s changed nothing", args[1])
	}
}

// cmdGarbage hands in, as the device of a profile, a commit that nobody can read.
func cmdGarbage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 3)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := qpq.ParseChannelID(args[2])
	ts.Check(err)
	home, err := profile.OpenHome(filepath.Join(ts.Getenv("XDG_DATA_HOME"), "qpq", args[1]), nil)
	ts.Check(err)
	defer home.Close()
	p, err := home.Open()
	ts.Check(err)
	defer p.Close()
	var claim wire.Claim
	for _, name := range args[3:] {
		claim.Removed = append(claim.Removed, qpq.UserID{Name: name, Domain: "localhost"})
	}
	outcome(ts, neg, "it was taken", litter(ctx, p, args[0], id, claim))
}

func litter(ctx context.Context, p *profile.Profile, server string, id qpq.ChannelID, claim wire.Claim) error {
	account, err := p.Account()
	if err != nil {
		return err
	}
	ch, err := p.Channel(id)
	if err != nil {
		return err
	}
	counter, err := p.Advance()
	if err != nil {
		return err
	}
	s, err := dial(ctx, server, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	of := &person{user: account.User, device: account.Device, counter: counter - 1}
	if _, err := of.authenticate(ctx, s); err != nil {
		return err
	}
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: id})
	if err != nil {
		return err
	}
	claim.Slot, claim.Parent = info.Head.Slot+1, ch.Slot
	commit, err := garbage(id, ch.Epoch, claim)
	if err != nil {
		return err
	}
	piece := []byte("no piece of a tree")
	hash := sha256.Sum256(piece)
	_, err = wire.Call(ctx, s, wire.ChannelCommit{Channel: id, Commit: commit, Group: wire.GroupState{
		GroupInfo: []byte("no group info"), Manifest: [][]byte{hash[:]}, Chunks: [][]byte{piece}, AccessSlot: ch.AccessSlot}})
	return err
}

// garbage is a PrivateMessage (RFC 9420, section 6.3) that is sealed with no key of the group.
func garbage(id qpq.ChannelID, epoch uint64, claim wire.Claim) ([]byte, error) {
	data, err := wire.Marshal(claim)
	if err != nil {
		return nil, err
	}
	b := append([]byte{0, 1, 0, 2}, vector(conversation.GroupID(id, 0))...)
	b = append(binary.BigEndian.AppendUint64(b, epoch), 3)
	b = append(append(b, vector(data)...), vector([]byte("no sender data"))...)
	return append(b, vector([]byte("no ciphertext"))...), nil
}

// vector is a variable-size vector (RFC 9420, section 2.1.2).
func vector(b []byte) []byte {
	if len(b) < 1<<6 {
		return append([]byte{byte(len(b))}, b...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))|1<<14), b...)
}
