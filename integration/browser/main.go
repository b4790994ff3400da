//go:build js

// Command browser is a program as a page would run it: it has no files and no sockets but a WebSocket. Two people sign up with it at the
// server whose address is its argument, talk, and go on from what was kept of their profiles. It prints what each was shown.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/websocket"
	"github.com/quicproquo/qpq/wire"
)

// patience is how long all of it may take.
const patience = time.Minute

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := story(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func story(ctx context.Context, server string) error {
	alice, bob := newPerson("alice", server), newPerson("bob", server)
	for _, p := range []*person{alice, bob} {
		if err := p.signUp(ctx); err != nil {
			return err
		}
	}
	dm, err := alice.Direct(ctx, bob.user)
	if err != nil {
		return err
	}
	group, err := bob.CreateGroup(ctx, "friends", alice.user)
	if err != nil {
		return err
	}
	if err := talk(ctx, alice, bob, dm, group, "hello"); err != nil {
		return err
	}
	for _, p := range []*person{alice, bob} {
		if err := p.restart(); err != nil {
			return err
		}
	}
	fmt.Println("both start again")
	if err := talk(ctx, bob, alice, dm, group, "still there?"); err != nil {
		return err
	}
	for _, p := range []*person{alice, bob} {
		if err := p.tell(dm, group); err != nil {
			return err
		}
	}
	return nil
}

// talk has one person say something in both conversations, and the other answer.
func talk(ctx context.Context, one, other *person, dm, group qpq.ChannelID, text string) error {
	for _, id := range []qpq.ChannelID{dm, group} {
		if err := exchange(ctx, one, other, id, text); err != nil {
			return err
		}
		if err := exchange(ctx, other, one, id, "re: "+text); err != nil {
			return err
		}
	}
	return nil
}

// exchange sends a text and waits until it was pushed to who it is for.
func exchange(ctx context.Context, from, to *person, id qpq.ChannelID, text string) error {
	m, err := from.SendText(ctx, id, text)
	if err == nil {
		err = from.Wait(ctx, id, m)
	}
	if err != nil {
		return err
	}
	for e, err := range to.Entries(ctx, 0) {
		if err != nil {
			return err
		}
		if e.Message != nil && e.Message.ID == m && e.Message.Sender == from.user {
			fmt.Printf("%s is told by %s: %s\n", to.user.Name, from.user.Name, e.Message.Body.Body.(wire.TextBody).Text)
			return nil
		}
	}
	return fmt.Errorf("%s never saw %q: %w", to.user, text, ctx.Err())
}

// person is somebody with one device.
type person struct {
	*client.Client
	server  string
	user    qpq.UserID
	key     []byte
	memory  *profile.Memory
	profile *profile.Profile
	stop    func() error
}

func newPerson(name, server string) *person {
	p := &person{server: server, user: qpq.UserID{Name: name}, key: make([]byte, profile.KeySize), memory: new(profile.Memory)}
	rand.Read(p.key)
	return p
}

// dial reaches servers as a browser does.
func dial(ctx context.Context, address string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
	return websocket.Dial(ctx, address, nil)
}

func (p *person) open() (err error) {
	if p.profile, err = p.memory.Open(p.key); err != nil {
		return err
	}
	p.Client = client.New(client.Config{Profile: p.profile, Dial: dial, Server: p.server, KSF: opaque.Identity})
	return nil
}

// run stays connected.
func (p *person) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = func() error {
		cancel()
		return <-done
	}
}

func (p *person) signUp(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	password, err := client.NewPassword([]byte("correct horse battery"))
	if err != nil {
		return err
	}
	w, err := p.Register(ctx, client.Registration{User: p.user.Name, Password: password, DeviceName: "page"})
	if err != nil {
		return err
	}
	p.user = w.User
	fmt.Printf("%s signed up over %s\n", w.User, w.Carrier)
	p.run()
	return nil
}

// restart ends the client, and begins another one with what was kept of the profile.
func (p *person) restart() error {
	if err := p.stop(); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	image, err := p.memory.Image()
	if err != nil {
		return err
	}
	if err := p.profile.Close(); err != nil {
		return err
	}
	p.memory = profile.NewMemory(image)
	if err := p.open(); err != nil {
		return err
	}
	p.run()
	return nil
}

// tell prints how conversations look to a person at the end, and ends.
func (p *person) tell(ids ...qpq.ChannelID) error {
	for _, id := range ids {
		v, err := p.Conversation(id)
		if err != nil {
			return err
		}
		entries, err := p.History(id, 0, 100)
		if err != nil {
			return err
		}
		fmt.Printf("%s in %s:", p.user.Name, v.Name())
		for _, e := range entries {
			if e.Message != nil {
				fmt.Printf(" %s", e.Message.Sender.Name)
			}
		}
		fmt.Println()
	}
	if err := p.stop(); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	return p.profile.Close()
}
