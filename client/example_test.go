package client_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Somebody signs up, and writes a note to herself. The profile keeps the device's keys and all it knows of conversations, encrypted with
// its key: in a folder (profile.OpenHome), or in memory as here. Dial is how servers are reached: in a program of yours, the method Dial of a
// dial.Dialer (package transport/dial), and in a browser websocket.Dial (package transport/websocket).
func Example() {
	server := startServer()
	defer server.Close()
	ctx := context.Background()

	var memory profile.Memory
	p, err := memory.Open(newProfileKey())
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	alice := client.New(client.Config{Profile: p, Dial: server.Dial, Server: "example.org"})
	defer alice.Close()

	password, err := client.NewPassword([]byte("correct horse battery"))
	if err != nil {
		log.Fatal(err)
	}
	me, err := alice.Register(ctx, client.Registration{User: "alice", Password: password, DeviceName: "laptop"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed up as", me.User)

	notes, err := alice.Direct(ctx, me.User)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := alice.SendText(ctx, notes, "buy milk"); err != nil { // it is on this device now
		log.Fatal(err)
	}
	if err := alice.Sync(ctx); err != nil { // and at the server
		log.Fatal(err)
	}
	// Output: signed up as alice@example.org
}

// Two people have a direct conversation. Run keeps a client connected: it receives, sends what is queued, and connects again. Entries returns
// what there is, and then what comes.
func ExampleClient_Entries() {
	server := startServer()
	defer server.Close()
	alice, bob := server.SignUp("alice"), server.SignUp("bob")
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { bob.Run(ctx) })
	defer running.Wait()
	defer cancel()

	dm, err := alice.Direct(ctx, bob.User)
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"hello", "are you there?"} {
		if _, err := alice.SendText(ctx, dm, text); err != nil {
			log.Fatal(err)
		}
	}
	if err := alice.Sync(ctx); err != nil {
		log.Fatal(err)
	}

	left := 2
	for e, err := range bob.Entries(ctx, 0) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Message == nil {
			continue // e.Notice tells what happened to the conversation
		}
		if text, ok := e.Message.Body.Body.(wire.TextBody); ok {
			fmt.Printf("%s: %s\n", e.Message.Sender, text.Text)
		}
		if left--; left == 0 {
			break
		}
	}
	// Output:
	// alice@example.org: hello
	// alice@example.org: are you there?
}

// A group is made, grows, and everybody reads what was said after they joined.
func ExampleClient_CreateGroup() {
	server := startServer()
	defer server.Close()
	alice, bob, carol := server.SignUp("alice"), server.SignUp("bob"), server.SignUp("carol")
	ctx := context.Background()

	group, err := alice.CreateGroup(ctx, "friends", bob.User)
	if err != nil {
		log.Fatal(err)
	}
	say := func(text string) {
		id, err := alice.SendText(ctx, group, text)
		if err == nil {
			err = alice.Sync(ctx)
		}
		if err == nil {
			err = alice.Wait(ctx, group, id) // until the server has it for good
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	say("shall we ask carol?")
	if err := alice.Invite(ctx, group, carol.User); err != nil {
		log.Fatal(err)
	}
	say("welcome, carol")

	for _, p := range []*member{bob, carol} {
		if err := p.Sync(ctx); err != nil {
			log.Fatal(err)
		}
		entries, err := p.History(group, 0, 10)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range entries {
			if e.Message != nil {
				fmt.Printf("%s reads: %s\n", p.User.Name, e.Message.Body.Body.(wire.TextBody).Text)
			}
		}
	}
	// Output:
	// bob reads: shall we ask carol?
	// bob reads: welcome, carol
	// carol reads: welcome, carol
}

// What was sent while nobody was connected waits, on this device or at the server. Who starts again goes on where it ended.
func ExampleClient_Sync() {
	server := startServer()
	defer server.Close()
	alice, bob := server.SignUp("alice"), server.SignUp("bob")
	ctx := context.Background()

	dm, err := alice.Direct(ctx, bob.User)
	if err != nil {
		log.Fatal(err)
	}
	id, err := alice.SendText(ctx, dm, "read this when you are back")
	if err != nil {
		log.Fatal(err)
	}
	alice.Restart() // the message is in her profile
	if err := alice.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	if err := alice.Wait(ctx, dm, id); err != nil {
		log.Fatal(err)
	}
	if err := bob.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	v, err := bob.FindConversation("alice")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("bob has", v.Unread, "unread")
	// Output: bob has 1 unread
}
