package world

import (
	"fmt"

	"github.com/quicproquo/qpq/client"
)

// User is a person. What a person knows does not get lost with a device.
type User struct {
	name     string
	password string // the one to try first: the newest that a change was begun to
	changes  int
}

func (w *World) user(name string) *User {
	u := w.users[name]
	if u == nil {
		u = &User{name: name, password: "password 0 of " + name}
		w.users[name] = u
	}
	return u
}

// nextPassword makes up another password.
func (u *User) nextPassword() string {
	u.changes++
	return fmt.Sprintf("password %d of %s", u.changes, u.name)
}

// with returns credentials of a password.
func with(password string) client.Credentials {
	p, err := client.NewPassword([]byte(password))
	if err != nil {
		panic(err) // all are made up here
	}
	return client.Credentials{Password: p}
}
