package playbook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// user is somebody who takes part, whose profile is opened when it is used first.
type user struct {
	run     *run
	name    string
	with    User
	at      Position
	account string
	device  string
	server  string

	opening chan struct{} // has room for one: who opens the profile
	session Session
	ready   bool // somebody is signed in, if that is wanted

	mu       sync.Mutex
	password string
}

// prepare takes what the playbook says of a user, without opening anything.
func (u *user) prepare(sc *scope) (err error) {
	u.opening = make(chan struct{}, 1)
	if u.server, err = u.run.Server.text(sc); err != nil {
		return err
	}
	account, of := u.with.Account, u.run.users[u.with.Of]
	if of != nil {
		account = of.with.Account
	}
	switch u.account, err = account.text(sc); {
	case err != nil:
		return err
	case u.account == "" && of != nil:
		u.account = of.name
	case u.account == "":
		u.account = u.name
	}
	if u.device, err = u.with.Device.text(sc); err != nil {
		return err
	}
	if u.device == "" {
		u.device = u.name
	}
	switch {
	case u.with.Password != nil:
		u.password, err = u.with.Password.text(sc)
	case u.with.PasswordFile != nil:
		var path string
		if path, err = u.with.PasswordFile.text(sc); err == nil {
			u.password, err = u.run.firstLine(path)
		}
	case of == nil:
		u.password = rand.Text()
	}
	if err == nil && u.password != "" {
		err = u.run.variables.conceal("password of "+u.name, u.password)
	}
	return err
}

// keeper returns whose password it is.
func (u *user) keeper() *user {
	if u.with.Of != "" {
		return u.run.users[u.with.Of]
	}
	return u
}

func (u *user) notice(text string) {
	u.run.report(Event{Event: "note", As: u.name, Text: text})
}

// secret returns the password of a user's account.
func (u *user) secret() string {
	k := u.keeper()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.password
}

// changed notes a new password.
func (u *user) changed(password string) {
	k := u.keeper()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.password = password
}

// open returns the session of a user, with somebody signed in if the playbook says so.
func (u *user) open(ctx context.Context) (Session, error) {
	select {
	case u.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, given(ctx)
	}
	defer func() { <-u.opening }()
	if u.session == nil {
		s, err := u.run.cfg.Open(ctx, Profile{u.name, u.with.Profile, u.server, u.notice})
		if err != nil {
			return nil, err
		}
		u.session = s
	}
	if u.ready {
		return u.session, nil
	}
	if err := u.signIn(ctx); err != nil {
		return nil, err
	}
	u.ready = true
	return u.session, nil
}

// mentioned has those users sign up that values name who are to when they are used first.
func (r *run) mentioned(ctx context.Context, trees ...any) error {
	for _, tree := range trees {
		for _, name := range usesOf(tree) {
			name, ok := strings.CutPrefix(name, "user.")
			if u := r.users[name]; ok && u.with.Register {
				if _, err := u.open(ctx); err != nil {
					return why(ctx, err)
				}
			}
		}
	}
	return nil
}

// signIn makes somebody be signed in who is to be.
func (u *user) signIn(ctx context.Context) error {
	name := "login"
	switch {
	case u.with.Register:
		name = "register"
	case u.with.Of != "":
		if _, err := u.keeper().open(ctx); err != nil {
			return fmt.Errorf("%s, whose account %s is to be a device of: %w", u.with.Of, u.name, err)
		}
	case !u.with.Login:
		return nil
	}
	_, err := u.do(ctx, "whoami", nil)
	if err == nil || qpq.CodeOf(err) != "not-signed-in" && u.with.Profile != "" {
		return nil // whatever else is wrong, the step will be told
	}
	if qpq.CodeOf(err) == "not-signed-in" {
		began := time.Now()
		_, err = u.do(ctx, name, map[string]any{"user": u.account, "device-name": u.device})
		u.run.report(Event{Event: "user", As: u.name, Step: name + " " + u.account, Line: u.at.Line, Status: statusOf(err), Seconds: seconds(time.Since(began)),
			Error: u.run.eventError(err)})
	}
	if err != nil {
		return fmt.Errorf("%s cannot %s as %s: %w", u.name, map[string]string{"login": "log in", "register": "sign up"}[name], u.account, err)
	}
	return nil
}

// do runs a command whose result nobody looks at.
func (u *user) do(ctx context.Context, name string, args map[string]any) (command.Output, error) {
	c, err := command.Find(name)
	if err != nil {
		return command.Output{}, err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return command.Output{}, err
	}
	if args == nil {
		raw = nil
	}
	return u.session.Call(ctx, c, raw, &listener{user: u, answers: map[string]string{}})
}
