// Package signin has a person sign up or log in, where nobody is signed in.
package signin

import (
	"context"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

var (
	askHave = command.Question{Name: "new-or-login", Prompt: "Do you have an account already? [y/N] "}
	askUser = command.Question{Name: "user", Prompt: "Name: "}
)

// Config is what Run needs.
type Config struct {
	// Call runs a command of the registry by its name.
	Call func(ctx context.Context, name string, args map[string]any, ui command.UI) (command.Output, error)
	// UI shows and asks. Failed tells that something went wrong, after which it is asked anew.
	UI     command.UI
	Failed func(error)
	// DeviceName is what to call this device.
	DeviceName string
}

// Needed fails with code "not-signed-in" where nobody is signed in. It asks no server.
func (c *Config) Needed(ctx context.Context) error {
	_, err := c.Call(ctx, "list", map[string]any{"offline": true}, silent{})
	return err
}

// Run asks until somebody is signed in, or gives up.
func (c *Config) Run(ctx context.Context) (command.Output, error) {
	for {
		out, err := c.enter(ctx)
		if err == nil || ctx.Err() != nil || qpq.CodeOf(err) == "cancelled" || qpq.CodeOf(err) == "no-answer" {
			return out, err
		}
		c.Failed(err)
	}
}

func (c *Config) enter(ctx context.Context) (command.Output, error) {
	have, err := c.UI.Ask(ctx, askHave)
	if err != nil {
		return command.Output{}, err
	}
	name := "register"
	switch strings.ToLower(strings.TrimSpace(string(have))) {
	case "y", "yes", "login":
		name = "login"
	case "", "n", "no", "register":
	default:
		return command.Output{}, qpq.E(qpq.Invalid, "usage", "answer y or n")
	}
	user, err := c.UI.Ask(ctx, askUser)
	if err != nil {
		return command.Output{}, err
	}
	return c.Call(ctx, name, map[string]any{"user": strings.TrimSpace(string(user)), "device-name": c.DeviceName}, c.UI)
}

// silent is the UI of commands that the person did not call.
type silent struct{}

func (silent) Show(command.Output) {}

func (silent) Result(command.Output) error { return nil }

func (silent) Ask(context.Context, command.Question) ([]byte, error) {
	return nil, qpq.E(qpq.Invalid, "no-answer", "nobody was asked")
}
