package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quicproquo/qpq/client"
)

// deviceJSON is one device, for programs.
type deviceJSON struct {
	ID      string     `json:"id"`
	Short   string     `json:"short"` // as people see it
	Name    string     `json:"name,omitempty"`
	This    bool       `json:"this"`
	Added   time.Time  `json:"added"`
	Seen    *time.Time `json:"seen,omitempty"`
	Expires time.Time  `json:"expires"`
}

func devices(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	list, err := e.Client.Devices(ctx)
	if err != nil {
		return Output{}, err
	}
	rows := [][]string{{"ID", "NAME", "ADDED", "SEEN", "EXPIRES"}}
	out := []deviceJSON{}
	for _, d := range list {
		j := deviceJSON{ID: d.ID.String(), Short: d.ID.Short(), Name: d.Name, This: d.This, Added: d.Added, Expires: d.Expires}
		name, seen := d.Name, "never"
		if name == "" {
			name = "-"
		}
		if d.This {
			name += " (this one)"
		}
		if !d.Seen.IsZero() {
			j.Seen, seen = &d.Seen, d.Seen.Format(time.DateOnly)
		}
		out = append(out, j)
		rows = append(rows, []string{d.ID.Short(), name, d.Added.Format(time.DateOnly), seen, d.Expires.Format(time.DateOnly)})
	}
	return Output{out, table(rows)}, nil
}

type renameArgs struct {
	Device string `arg:"device" of:"devices" help:"its name, or the beginning of its id"`
	Name   string `arg:"name" takes:"rest" help:"what to call it from now on"`
}

func renameDevice(ctx context.Context, e *Env, a renameArgs) (Output, error) {
	d, err := e.Client.FindDevice(ctx, a.Device)
	if err != nil {
		return Output{}, err
	}
	err = e.Client.RenameDevice(ctx, d.ID, a.Name)
	return Output{map[string]string{"device": d.ID.String(), "name": a.Name}, fmt.Sprintf("device %s is now called %s", d.ID.Short(), a.Name)}, err
}

func renewDevices(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	err := e.proving(ctx, func(c client.Credentials) error { return e.Client.RenewDevices(ctx, c) })
	return Output{map[string]bool{"renewed": true}, "your devices are certified for another year"}, err
}

type revokeArgs struct {
	Device string `arg:"device" of:"devices" help:"its name, or the beginning of its id"`
}

func revoke(ctx context.Context, e *Env, a revokeArgs) (Output, error) {
	d, err := e.Client.FindDevice(ctx, a.Device)
	if err != nil {
		return Output{}, err
	}
	if d.This {
		return Output{}, client.ErrOwnDevice
	}
	e.UI.Show(Output{ // names are what devices say: a stolen one may have taken another's
		map[string]string{"revoking": d.ID.String(), "name": d.Name},
		fmt.Sprintf("revoking device %s (%s), added on %s", d.ID.Short(), d.Name, d.Added.Format(time.DateOnly)),
	})
	err = e.proving(ctx, func(c client.Credentials) error { return e.Client.RevokeDevice(ctx, d.ID, c) })
	return Output{map[string]string{"revoked": d.ID.String()}, fmt.Sprintf("device %s was revoked: it is no longer part of your account", d.ID.Short())}, err
}

// quoted returns an address as shells take it: brackets are a pattern to some of them.
func quoted(address string) string {
	if strings.Contains(address, "[") {
		return "'" + address + "'"
	}
	return address
}

func link(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	w, err := e.Client.Whoami(ctx)
	if err != nil {
		return Output{}, err
	}
	linking, err := e.Client.LinkStart(ctx)
	if err != nil {
		return Output{}, err
	}
	defer linking.Code.Wipe()
	code, server := linking.Code.Reveal(), ""
	if usual, err := client.FullAddress(w.User.Domain); err != nil || usual != w.Server {
		server = "--server " + quoted(w.Server) + " "
	}
	e.UI.Show(Output{
		map[string]any{"link_code": code, "expires": linking.Expires},
		fmt.Sprintf("On the new device, run\n\n  qpq %slogin --link %s\n\nand type the code\n\n  %s\n\nIt counts until %s. Waiting for the new device …",
			server, w.User, code, linking.Expires.Local().Format(time.TimeOnly)),
	})
	request, err := linking.Wait(ctx)
	if err != nil {
		return Output{}, err
	}
	e.UI.Show(Output{map[string]string{"device": request.ID().String()}, fmt.Sprintf("device %s asks to be part of your account: see that the new device shows the same", request.ID().Short())})
	err = e.proving(ctx, func(c client.Credentials) error { return linking.Approve(ctx, c) })
	return Output{map[string]string{"linked": request.ID().String()}, fmt.Sprintf("device %s is now part of your account", request.ID().Short())}, err
}
