package command

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// privacy is the command about what others learn besides what is said.
var privacy = []*Command{
	define(Command{
		Name: "privacy", Summary: "show or choose what others learn besides what you say",
		Long: "Without a value, shows all. receipts on or off chooses whether others learn what you had and read, and that you are typing, in conversations of up to 32 people; receipts CONVERSATION chooses for one. " +
			"cover N has this device send N messages without content an hour, at random times, while it stays connected, so that it is harder for the server and the network to tell when you really say something (docs/privacy.md says what still shows); " +
			"cover off sends none. All messages are padded to size classes, always.",
		Example: []string{"privacy", "privacy receipts off", "privacy cover 12"},
	}, showPrivacy),
}

type privacyArgs struct {
	Setting string `arg:"setting?" of:"privacy" help:"receipts or cover"`
	Value   string `arg:"value?" help:"on or off; of cover, how many an hour"`
}

// Privacies are the settings of privacy.
var Privacies = []string{"receipts", "cover"}

func showPrivacy(_ context.Context, e *Env, a privacyArgs) (Output, error) {
	p, err := e.Client.Privacy()
	if err != nil {
		return Output{}, err
	}
	if a.Setting != "" {
		if err := setPrivacy(&p, a); err != nil {
			return Output{}, err
		}
		if err := e.Client.SetPrivacy(p); err != nil {
			return Output{}, err
		}
	}
	receipts, cover := "on", "off"
	if !p.Receipts {
		receipts = "off"
	}
	if p.Cover > 0 {
		cover = fmt.Sprintf("%s an hour while connected, at random times", count(p.Cover, "message"))
	}
	lines := []string{
		"padding   always: each message to 256, 512, 1024, 2048 or 4096 bytes, beyond that to steps of at most an eighth",
		"receipts  " + receipts,
		"cover     " + cover,
	}
	return Output{map[string]any{"padding": "size-classes", "receipts": p.Receipts, "cover": p.Cover}, strings.Join(lines, "\n")}, nil
}

func setPrivacy(p *client.Privacy, a privacyArgs) error {
	switch {
	case a.Value == "" && slices.Contains(Privacies, a.Setting): // shown, as all else
	case a.Setting == "receipts" && (a.Value == "on" || a.Value == "off"):
		p.Receipts = a.Value == "on"
	case a.Setting == "cover" && a.Value == "off":
		p.Cover = 0
	case a.Setting == "cover":
		n, err := strconv.Atoi(a.Value)
		if err != nil {
			return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("privacy cover: %q is no number of messages an hour, nor off", a.Value))
		}
		p.Cover = n
	case a.Setting == "receipts":
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("privacy receipts: %q is neither on nor off", a.Value))
	default:
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("privacy: there is no setting %q: there are %s", a.Setting, strings.Join(Privacies, ", ")))
	}
	return nil
}
