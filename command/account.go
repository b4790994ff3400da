package command

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// What commands about the account ask.
var (
	askPassword    = Question{Name: "password", Prompt: "Password: ", Secret: true}
	askChosen      = Question{Name: "password", Prompt: "Choose a password: ", Secret: true, Twice: true}
	askNewPassword = Question{Name: "new-password", Prompt: "New password: ", Secret: true, Twice: true}
	askRecovery    = Question{Name: "recovery-code", Prompt: "Recovery code: ", Secret: true}
	askToken       = Question{Name: "token", Prompt: "Registration token: ", Secret: true}
	askLinkCode    = Question{Name: "link-code", Prompt: "Code shown on the other device: ", Secret: true}
	askName        = Question{Name: "confirm", Prompt: "Type the name of the account to confirm: "}
)

// account are the commands about accounts and devices.
var account = []*Command{
	define(Command{
		Name: "register", Summary: "sign up for a new account",
		Long: "Makes an account at the server, with this device as the first one. The password never leaves this machine; " +
			"if it is forgotten, nobody can replace it. A recovery code makes it impossible for a hostile server to guess the password, and is needed beside it " +
			"whenever a device is added or the password changed.",
		Asks: []Question{askChosen, askToken},
	}, register),
	define(Command{
		Name: "login", Summary: "make this device one of your account",
		Long: "Adds this device to an account, by its password or, with --link, by a code that another device of the account shows (qpq link).",
		Asks: []Question{askPassword, askRecovery, askLinkCode},
	}, login),
	define(Command{Name: "whoami", Summary: "show who you are, and how the server is reached"}, whoami),
	define(Command{
		Name: "passwd", Summary: "change the password",
		Long: "Changes the password of the account. All devices go on working, also those that are offline.",
		Asks: []Question{askPassword, askNewPassword, askRecovery},
	}, passwd),
	define(Command{Name: "devices", Summary: "list the devices of your account"}, devices),
	define(Command{Name: "devices rename", Summary: "give a device a name that your devices see"}, renameDevice),
	define(Command{
		Name: "devices renew", Summary: "certify your devices for another year", Asks: []Question{askPassword, askRecovery},
	}, renewDevices),
	define(Command{
		Name: "link", Summary: "add a device by a code that this one shows",
		Long: "Shows a code to be typed into a new device (qpq login --link NAME), waits for it, and takes it into the account.",
		Asks: []Question{askPassword, askRecovery},
	}, link),
	define(Command{
		Name: "revoke", Summary: "take a device out of your account",
		Long: "Takes a lost or stolen device out of the account. Account key and vault key are replaced, so that what it may have kept opens nothing new.",
		Asks: []Question{askPassword, askRecovery},
	}, revoke),
	define(Command{
		Name: "delete-account", Summary: "delete your account and all that the server keeps of it",
		Long: "Deletes the account for good. The server keeps nothing but a tombstone, so that nobody else can take the name.",
		Asks: []Question{askPassword, askName},
	}, deleteAccount),
}

// text returns the answer to a question as text.
func (e *Env) text(ctx context.Context, q Question) (string, error) {
	b, err := e.UI.Ask(ctx, q)
	defer clear(b)
	return strings.TrimSpace(string(b)), err
}

func (e *Env) password(ctx context.Context, q Question) (client.Password, error) {
	typed, err := e.UI.Ask(ctx, q)
	if err != nil {
		return client.Password{}, err
	}
	return client.NewPassword(typed)
}

// proving asks for the password and runs f with it; where the account has a recovery code, it is asked for too.
func (e *Env) proving(ctx context.Context, f func(client.Credentials) error) error {
	password, err := e.password(ctx, askPassword)
	if err != nil {
		return err
	}
	defer password.Wipe()
	err = f(client.Credentials{Password: password})
	if qpq.CodeOf(err) != client.CodeRecoveryNeeded {
		return err
	}
	typed, err := e.text(ctx, askRecovery)
	if err != nil {
		return err
	}
	code, err := identity.ParseRecoveryCode(typed)
	if err != nil {
		return err
	}
	defer code.Wipe()
	return f(client.Credentials{Password: password, Recovery: code})
}

type registerArgs struct {
	User       string `arg:"user" help:"the name to sign up under: name, or name@domain"`
	DeviceName string `flag:"device-name" as:"NAME" help:"what to call this device; only your devices see it"`
	Recovery   bool   `flag:"recovery-code" help:"make a recovery code and show it once"`
}

func register(ctx context.Context, e *Env, a registerArgs) (Output, error) {
	if err := e.Client.MayRegister(ctx, a.User); err != nil { // before anything is asked, or a code shown that would count for nothing
		return Output{}, err
	}
	password, err := e.password(ctx, askChosen)
	if err != nil {
		return Output{}, err
	}
	defer password.Wipe()
	r := client.Registration{User: a.User, Password: password, DeviceName: a.DeviceName}
	if a.Recovery {
		if r.Recovery, err = identity.NewRecoveryCode(rand.Reader); err != nil {
			return Output{}, err
		}
		defer r.Recovery.Wipe()
		e.UI.Show(showRecovery(r.Recovery))
	}
	w, err := e.Client.Register(ctx, r)
	if qpq.CodeOf(err) == wire.CodeTokenRequired {
		var token string
		if token, err = e.text(ctx, askToken); err == nil {
			r.Token = wire.NewSecret(token)
			w, err = e.Client.Register(ctx, r)
		}
	}
	if err != nil {
		e.voidRecovery(a.Recovery, "whoami says that you are signed up")
		return Output{}, err
	}
	text := fmt.Sprintf("signed up as %s", w.User)
	if w.Admin {
		text += ", the administrator of this server"
	}
	return Output{about(w), text}, nil
}

func showRecovery(code *identity.RecoveryCode) Output {
	return Output{
		map[string]string{"recovery_code": code.Reveal()},
		"Your recovery code is\n\n  " + code.Reveal() + "\n\nWrite it down and keep it apart from your devices: it is shown only now.",
	}
}

// voidRecovery takes back a recovery code that was shown before something failed.
func (e *Env) voidRecovery(shown bool, unless string) {
	if shown {
		e.UI.Show(Output{map[string]bool{"recovery_code_void": true}, "The recovery code above does not count, unless " + unless + "."})
	}
}

type loginArgs struct {
	User       string `arg:"user" help:"whose account: name, or name@domain"`
	DeviceName string `flag:"device-name" as:"NAME" help:"what to call this device; only your devices see it"`
	Link       bool   `flag:"link" help:"by a code that another of your devices shows (qpq link)"`
}

func login(ctx context.Context, e *Env, a loginArgs) (Output, error) {
	var w *client.Whoami
	var err error
	if a.Link {
		w, err = joinLink(ctx, e, a)
	} else {
		err = e.proving(ctx, func(c client.Credentials) (err error) {
			w, err = e.Client.Login(ctx, a.User, c, a.DeviceName)
			return err
		})
	}
	if err != nil {
		return Output{}, err
	}
	return Output{about(w), fmt.Sprintf("signed in as %s; this is device %s, one of %d", w.User, w.Device.Short(), w.Devices)}, nil
}

func joinLink(ctx context.Context, e *Env, a loginArgs) (*client.Whoami, error) {
	typed, err := e.text(ctx, askLinkCode)
	if err != nil {
		return nil, err
	}
	code, err := identity.ParseLinkCode(typed)
	if err != nil {
		return nil, err
	}
	defer code.Wipe()
	return e.Client.LinkJoin(ctx, a.User, code, a.DeviceName, func(id qpq.DeviceID) {
		e.UI.Show(Output{
			map[string]string{"waiting": "approval", "device": id.String()},
			fmt.Sprintf("this is device %s: see that the other one shows the same, and approve there …", id.Short()),
		})
	})
}

// aboutJSON is who one is, for programs.
type aboutJSON struct {
	User         string `json:"user"`
	Device       string `json:"device"`
	DeviceName   string `json:"device_name,omitempty"`
	Devices      int    `json:"devices"`
	StateVersion uint64 `json:"state_version"`
	Admin        bool   `json:"admin"`
	Server       string `json:"server"`
	Software     string `json:"software"`
	Carrier      string `json:"carrier"`
	Fingerprint  string `json:"fingerprint,omitempty"`
}

func about(w *client.Whoami) aboutJSON {
	a := aboutJSON{w.User.String(), w.Device.String(), w.Name, w.Devices, w.StateVersion, w.Admin, w.Server, w.Software, w.Carrier, ""}
	if len(w.Fingerprint) > 0 {
		a.Fingerprint = client.FormatFingerprint(w.Fingerprint)
	}
	return a
}

type noArgs struct{}

func whoami(ctx context.Context, e *Env, _ noArgs) (Output, error) {
	w, err := e.Client.Whoami(ctx)
	if err != nil {
		return Output{}, err
	}
	if list, err := e.Client.Devices(ctx); err == nil { // another device may have named this one; else the name that it knows stands
		for _, d := range list {
			if d.This {
				w.Name = d.Name
			}
		}
	}
	a := about(w)
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-12s %s\n", name, value) }
	line("user", a.User)
	device := w.Device.Short()
	if a.DeviceName != "" {
		device += " (" + a.DeviceName + ")"
	}
	line("device", fmt.Sprintf("%s, one of %d", device, a.Devices))
	if a.Admin {
		line("role", "administrator of the server")
	}
	line("server", fmt.Sprintf("%s over %s, %s", a.Server, strings.ToUpper(a.Carrier), a.Software))
	if a.Fingerprint != "" {
		line("fingerprint", a.Fingerprint)
	}
	return Output{a, strings.TrimSuffix(b.String(), "\n")}, nil
}

type passwdArgs struct {
	Recovery   bool `flag:"recovery-code" help:"make a new recovery code and show it once"`
	NoRecovery bool `flag:"no-recovery-code" help:"do without a recovery code from now on"`
}

func passwd(ctx context.Context, e *Env, a passwdArgs) (Output, error) {
	if a.Recovery && a.NoRecovery {
		return Output{}, qpq.E(qpq.Invalid, "usage", "passwd: a new recovery code and none cannot both be wanted")
	}
	var chosen *client.Password
	var recovery *identity.RecoveryCode
	err := e.proving(ctx, func(old client.Credentials) error {
		if chosen == nil {
			p, err := e.password(ctx, askNewPassword)
			if err != nil {
				return err
			}
			chosen = &p
		}
		next := client.Credentials{Password: *chosen, Recovery: old.Recovery}
		var err error
		switch {
		case a.NoRecovery:
			next.Recovery = nil
		case a.Recovery:
			if recovery == nil {
				if recovery, err = identity.NewRecoveryCode(rand.Reader); err != nil {
					return err
				}
				e.UI.Show(showRecovery(recovery))
			}
			next.Recovery = recovery
		}
		return e.Client.ChangePassword(ctx, old, next)
	})
	if chosen != nil {
		chosen.Wipe()
	}
	if recovery != nil {
		recovery.Wipe()
	}
	if err != nil {
		e.voidRecovery(recovery != nil, "the new password does")
	}
	return Output{map[string]bool{"changed": true}, "the password was changed; all your devices go on working"}, err
}

type deleteArgs struct {
	Yes bool `flag:"yes" help:"do not ask for confirmation"`
}

func deleteAccount(ctx context.Context, e *Env, a deleteArgs) (Output, error) {
	w, err := e.Client.Whoami(ctx)
	if err != nil {
		return Output{}, err
	}
	if !a.Yes {
		typed, err := e.text(ctx, askName)
		if err != nil {
			return Output{}, err
		}
		if typed != w.User.Name && typed != w.User.String() {
			return Output{}, qpq.E(qpq.Invalid, "not-confirmed", fmt.Sprintf("%q is not %s: nothing was deleted", typed, w.User.Name))
		}
	}
	err = e.proving(ctx, func(c client.Credentials) error { return e.Client.Delete(ctx, c) })
	return Output{map[string]string{"deleted": w.User.String()}, fmt.Sprintf("%s was deleted, here and at the server", w.User)}, err
}
