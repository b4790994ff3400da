package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/quicproquo/qpq/client"
)

// orFail ends a program of these pages where something fails.
func orFail(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Somebody answers a message, puts an emoji on it, and changes what the answer says. Entries show messages as they stand now.
func ExampleClient_Reply() {
	server := startServer()
	defer server.Close()
	alice, bob := server.SignUp("alice"), server.SignUp("bob")
	ctx := context.Background()
	dm, err := alice.Direct(ctx, bob.User)
	orFail(err)
	_, err = alice.SendText(ctx, dm, "when do we meet?")
	orFail(err)
	orFail(alice.Sync(ctx))
	orFail(bob.Sync(ctx))

	lines, err := bob.History(dm, 0, 1) // the newest one
	orFail(err)
	question := lines[0].Ref() // names it, for all that is done with it
	answer, err := bob.Reply(ctx, dm, question, "at noon")
	orFail(err)
	_, err = bob.React(ctx, dm, question, "👍", false) // true takes it off
	orFail(err)
	said, err := bob.Message(dm, answer.String())
	orFail(err)
	_, err = bob.EditMessage(ctx, dm, said.Ref(), "at one") // DeleteMessage has all devices forget it
	orFail(err)

	orFail(bob.Sync(ctx))
	orFail(alice.Sync(ctx))
	lines, err = alice.History(dm, 0, 10)
	orFail(err)
	for _, line := range lines {
		if m := line.Message; m != nil {
			fmt.Println(m.Sender.Name, m.Kind == client.KindReply, m.Text, m.Edited, m.Reactions, m.Replies)
		}
	}
	// Output:
	// alice false when do we meet? false [{👍 [bob@example.org]}] 1
	// bob true at one true [] 0
}

// Who read a message says so, unless that person chose otherwise.
func ExampleClient_MarkRead() {
	server := startServer()
	defer server.Close()
	alice, bob := server.SignUp("alice"), server.SignUp("bob")
	ctx := context.Background()
	dm, err := alice.Direct(ctx, bob.User)
	orFail(err)
	sent, err := alice.SendText(ctx, dm, "are you there?")
	orFail(err)
	orFail(alice.Sync(ctx))
	orFail(bob.Sync(ctx))

	lines, err := bob.History(dm, 0, 1)
	orFail(err)
	orFail(bob.MarkRead(dm, lines[0].Position)) // SetReceipts(dm, false) tells nobody
	orFail(bob.Sync(ctx))

	orFail(alice.Sync(ctx))
	line, err := alice.Message(dm, sent.String())
	orFail(err)
	for _, r := range line.Message.Receipts {
		fmt.Println(r.User, "had it:", !r.Delivered.IsZero(), "read it:", !r.Read.IsZero())
	}
	// Output: bob@example.org had it: true read it: true
}

// What is said after a timer was set disappears.
func ExampleClient_SetTimer() {
	server := startServer()
	defer server.Close()
	alice, bob := server.SignUp("alice"), server.SignUp("bob")
	ctx := context.Background()
	dm, err := alice.Direct(ctx, bob.User)
	orFail(err)

	orFail(alice.SetTimer(ctx, dm, time.Hour)) // 0 has messages stay
	sent, err := alice.SendText(ctx, dm, "forget this")
	orFail(err)
	orFail(alice.Sync(ctx))
	line, err := alice.Message(dm, sent.String())
	orFail(err)
	fmt.Println("disappears after", line.Message.Timer, "at a time that is known:", !line.Message.Expires.IsZero())
	// Output: disappears after 1h0m0s at a time that is known: true
}

// Messages are looked up on the device that has them.
func ExampleClient_Search() {
	server := startServer()
	defer server.Close()
	alice := server.SignUp("alice")
	ctx := context.Background()
	notes, err := alice.Direct(ctx, alice.User)
	orFail(err)
	for _, text := range []string{"buy milk", "call the dentist", "milk the cow"} {
		_, err := alice.SendText(ctx, notes, text)
		orFail(err)
	}

	hits, next, err := alice.Search(ctx, client.Query{Text: "milk -cow", Limit: 20})
	orFail(err)
	for _, hit := range hits {
		text, at := hit.Entry.Message.Text, hit.Spans[0]
		fmt.Printf("%s: %q\n", text, text[at.Start:at.End])
	}
	fmt.Println("more before:", next) // Query.Before goes on there; 0 is the end
	// Output:
	// buy milk: "milk"
	// more before: 0
}
