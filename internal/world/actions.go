package world

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// action is what a person does on a device.
type action func(ctx context.Context, d *Device, with []string) error

// actions are all of them, by name.
var actions map[string]action

func init() {
	actions = map[string]action{
		"register": register,
		"login":    login,
		"link":     link,
		"password": changePassword,
		"revoke":   revoke,
		"delete":   deleteAccount,
		"whoami":   whoami,
		"put":      put,
		"restart":  restart,
	}
}

// register signs the user up.
func register(ctx context.Context, d *Device, _ []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	password := d.user.password
	end := d.w.oracle.registering(d, password)
	who, err := r.Register(ctx, client.Registration{User: d.user.name, Password: with(password).Password, DeviceName: d.name})
	end(outcomeOf(d, err))
	d.w.oracle.knows(d, who)
	return err
}

// login makes the device one of the user's account, by the password.
func login(ctx context.Context, d *Device, _ []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	who, err := r.Login(ctx, d.user.name, with(d.user.password), d.name)
	if qpq.CodeOf(err) == "login-failed" {
		who, err = d.tryOthers(ctx, r)
	}
	d.w.oracle.knows(d, who)
	return err
}

// tryOthers logs in with passwords that may count, where a person does not know which one does.
func (d *Device) tryOthers(ctx context.Context, r *running) (who *client.Whoami, err error) {
	for _, password := range d.w.oracle.passwords(d.user) {
		if who, err = r.Login(ctx, d.user.name, with(password), d.name); err == nil {
			d.user.password = password
			return who, nil
		}
	}
	return nil, err
}

// link takes another device into the account, by a code that this one shows.
func link(ctx context.Context, d *Device, args []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	other := d.w.devices[args[0]]
	theirs, err := other.program()
	if err != nil {
		return err
	}
	linking, err := r.LinkStart(ctx)
	if err != nil {
		return err
	}
	joining, giveUp := other.patience(ctx)
	defer giveUp()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	joined := make(chan error, 1)
	go func() {
		who, err := theirs.LinkJoin(joining, d.user.name, linking.Code, other.name, func(qpq.DeviceID) {})
		d.w.oracle.knows(other, who)
		joined <- err
		stop() // nobody comes any more
	}()
	request, err := linking.Wait(waiting)
	if err == nil {
		d.w.oracle.linking(request.ID(), other)
		err = linking.Approve(ctx, with(d.user.password))
	}
	if err != nil {
		time.AfterFunc(d.w.soon(5*time.Second), giveUp) // its person sees what the other device says
	}
	return errors.Join(<-joined, err)
}

// changePassword chooses another password.
func changePassword(ctx context.Context, d *Device, _ []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	old, next := d.user.password, d.user.nextPassword()
	end := d.w.oracle.changingPassword(d, next)
	err = r.ChangePassword(ctx, with(old), with(next))
	if err == nil {
		d.user.password = next
	}
	end(outcomeOf(d, err))
	return err
}

// revoke takes another device out of the account.
func revoke(ctx context.Context, d *Device, args []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	id, ok := d.w.oracle.lastID(args[0])
	if !ok {
		return qpq.E(qpq.NotFound, "no-device", "it never was in the account")
	}
	end := d.w.oracle.revoking(id)
	err = r.RevokeDevice(ctx, id, with(d.user.password))
	end(outcomeOf(d, err))
	return err
}

// deleteAccount deletes the account.
func deleteAccount(ctx context.Context, d *Device, _ []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	end := d.w.oracle.deleting(d)
	err = r.Delete(ctx, with(d.user.password))
	end(outcomeOf(d, err))
	return err
}

// whoami asks the server.
func whoami(ctx context.Context, d *Device, _ []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	who, err := r.Whoami(ctx)
	d.w.oracle.knows(d, who)
	return err
}

// cause returns what an error says less to people than to developers.
func cause(err error) string {
	var e *qpq.Error
	if errors.As(err, &e) && e.Err != nil {
		return fmt.Sprintf("%v: %v", err, e.Err)
	}
	return err.Error()
}

// put keeps something in the vault of the account.
func put(ctx context.Context, d *Device, args []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	_, version, err := r.VaultGet(ctx, args[0])
	if err != nil && !errors.Is(err, qpq.NotFound) {
		return err
	}
	end := d.w.oracle.putting(d, args[0], args[1])
	err = r.VaultPut(ctx, args[0], []byte(args[1]), version)
	end(outcomeOf(d, err))
	return err
}

// restart ends the program in an orderly way and starts it again.
func restart(ctx context.Context, d *Device, _ []string) error {
	d.off()
	d.on(ctx)
	return nil
}

// outcome is what somebody knows who did something.
type outcome int

const (
	done    outcome = iota // it took place
	refused                // it did not
	unknown                // either
)

func outcomeOf(d *Device, err error) outcome {
	switch {
	case err == nil && !d.disk.Dead():
		return done
	case d.disk.Dead(), qpq.CodeOf(err) == "disk-full", errors.Is(err, qpq.Unavailable), errors.Is(err, qpq.Internal), errors.Is(err, qpq.Damaged),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), qpq.KindOf(err) == 0:
		return unknown
	}
	return refused
}
