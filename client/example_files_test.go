package client_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quicproquo/qpq/client"
)

// A file goes from one person to another. Both transfers are kept in the profiles: Run goes on with them, after a restart too.
func ExampleClient_SendFile() {
	server := startServer()
	defer server.Close()
	alice, bob := server.SignUp("alice"), server.SignUp("bob")
	ctx := context.Background()
	dm, err := alice.Direct(ctx, bob.User)
	orFail(err)
	folder, err := os.MkdirTemp("", "qpq-example-")
	orFail(err)
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "report.txt")
	orFail(os.WriteFile(path, []byte("all is well\n"), 0o600))

	upload, err := alice.SendFile(ctx, dm, client.Attachment{Path: path, Caption: "for Monday"})
	orFail(err)
	done, err := alice.Transfer(ctx, upload, func(done, total int64) { fmt.Println(done, "of", total, "bytes") })
	orFail(err)
	orFail(alice.Sync(ctx)) // Run would do both
	orFail(alice.Wait(ctx, dm, done.Message))

	orFail(bob.Sync(ctx))
	lines, err := bob.History(dm, 0, 1)
	orFail(err)
	f := lines[0].Message.File() // nil where it is no file
	fmt.Println(f.Name, f.Size, f.MediaType, f.Caption)
	download, err := bob.SaveFile(dm, lines[0].Ref(), folder) // under its name, or one near that
	orFail(err)
	saved, err := bob.Transfer(ctx, download, nil)
	orFail(err)
	fmt.Println("saved as", filepath.Base(saved.Path))
	// Output:
	// 0 of 12 bytes
	// 12 of 12 bytes
	// report.txt 12 text/plain for Monday
	// saved as report (1).txt
}
