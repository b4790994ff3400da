package world

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Chance makes up a scenario: what some users with some devices do, and what goes wrong. It follows from the seed alone. Every fourth
// is about accounts alone.
func Chance(seed uint64) Scenario { return ChanceOf(seed, themes[seed%uint64(len(themes))]) }

// ChanceOf makes up a scenario of a theme.
func ChanceOf(seed uint64, theme string) Scenario {
	c := &chance{r: rand.New(rand.NewPCG(seed, 1))}
	c.s.Seed = seed
	c.s.Weather = Weather{Delay: []time.Duration{0, 20 * time.Millisecond, 2 * time.Second}[c.r.IntN(3)], Loss: []float64{0, 0, 0.02, 0.1}[c.r.IntN(4)]}
	c.trouble = c.r.IntN(4) // how much of it: none, some, much
	if seed%4 == 0 {
		c.accounts()
	} else {
		c.conversations(theme)
	}
	return c.s
}

// accounts is about people who sign up, in and out.
func (c *chance) accounts() {
	for _, u := range []string{"alice", "bob"}[:1+c.r.IntN(2)] {
		c.user(u, 1+c.r.IntN(3))
	}
	for range 10 + c.r.IntN(30) {
		c.more(c.change)
	}
}

// conversations is about people who talk.
func (c *chance) conversations(theme string) {
	names := []string{"alice", "bob", "carol", "dave"}[:2+c.r.IntN(3)]
	c.s.Theme = theme
	most := 2
	if c.s.Seed%150 == 149 {
		c.s.Theme, most = "many", 1
		for len(names) < 50 {
			names = append(names, fmt.Sprintf("user%d", len(names)))
		}
	}
	for _, u := range names {
		c.user(u, 1+c.r.IntN(most))
	}
	for _, d := range c.devices {
		if !strings.HasSuffix(d, "/1") && c.r.IntN(3) > 0 {
			c.step(d, "login")
		}
	}
	c.at += 5 * time.Second
	c.begin()
	for n := range 15 + c.r.IntN(40) {
		if n%2 == 1 && len(c.groups) > 0 {
			c.enrich()
		}
		switch c.r.IntN(12) {
		case 0:
			c.more(c.change)
		case 1:
			c.open()
		case 2, 3:
			c.ordeal()
		default:
			c.more(c.talk)
		}
	}
}

// begin opens the first conversation: a group, with everybody where there are many, or a direct one that both open at once.
func (c *chance) begin() {
	if len(c.users) > 10 {
		c.groups = append(c.groups, "g1")
		c.step(c.devices[0], "group", append([]string{"g1"}, c.users[1:]...)...)
		c.at += 30 * time.Second
		return
	}
	if c.r.IntN(4) == 0 {
		a, b := c.users[0], c.users[1]
		c.directs = append(c.directs, [2]string{a, b})
		at := c.at
		c.step(a+"/1", "direct", b)
		c.at = at
		c.step(b+"/1", "direct", a)
	}
	c.open()
}

// user adds a user with devices, who registers on the first.
func (c *chance) user(name string, devices int) {
	c.users = append(c.users, name)
	for i := range devices {
		c.devices = append(c.devices, fmt.Sprintf("%s/%d", name, i+1))
	}
	c.step(name+"/1", "register")
}

// open opens another conversation.
func (c *chance) open() {
	who := c.pick(c.devices)
	var others []string
	for _, u := range c.users {
		if u != userOf(who) && c.r.IntN(3) > 0 {
			others = append(others, u)
		}
	}
	if len(others) > 0 && len(c.groups) > 0 && c.r.IntN(3) == 0 {
		c.step(who, "direct", others[0])
		c.directs = append(c.directs, [2]string{userOf(who), others[0]})
		return
	}
	name := fmt.Sprintf("g%d", len(c.groups)+1)
	c.groups = append(c.groups, name)
	if c.madeBy == nil {
		c.madeBy = map[string]made{}
	}
	c.madeBy[name] = made{name, who, others}
	c.step(who, "group", append([]string{name}, others...)...)
}

// where picks a conversation that somebody may be in.
func (c *chance) where(who string) string {
	if len(c.directs) > 0 && c.r.IntN(3) == 0 {
		pair := c.directs[c.r.IntN(len(c.directs))]
		switch userOf(who) {
		case pair[0]:
			return pair[1]
		case pair[1]:
			return pair[0]
		}
	}
	if len(c.groups) == 0 {
		return c.pick(c.users)
	}
	return c.pick(c.groups)
}

// talk adds something that somebody says or changes in a conversation.
func (c *chance) talk() {
	who := c.pick(c.devices)
	where := c.where(who)
	switch n := c.r.IntN(24); {
	case n < 14:
		c.step(who, "send", where, fmt.Sprintf("text%d", len(c.s.Steps)))
	case n < 16:
		c.step(who, "invite", where, c.pick(c.users))
	case n < 18:
		c.step(who, "remove", where, c.pick(c.users))
	case n < 19:
		c.step(who, "leave", where)
	case n < 20:
		c.step(who, "title", where, fmt.Sprintf("title%d", len(c.s.Steps)))
	case n < 21:
		c.step(who, "role", where, c.pick(c.users), c.pick([]string{"member", "moderator", "admin", "owner"}))
	case n < 22:
		c.step(who, "update", where)
	case n < 23:
		c.step(who, "restart")
	default:
		c.step(who, "sync")
	}
}

// made is how a group came about.
type made struct {
	name, device string
	with         []string
}

type chance struct {
	r       *rand.Rand
	deeds   *rand.Rand // for what is done to messages
	s       Scenario
	at      time.Duration
	devices []string
	users   []string
	groups  []string
	directs [][2]string
	madeBy  map[string]made
	trouble int
	away    string // a device that is off
}

// step adds a step, soon after the one before.
func (c *chance) step(who, do string, with ...string) {
	c.s.Steps = append(c.s.Steps, Step{c.at, who, do, with})
	gaps := []time.Duration{0, 10 * time.Millisecond, time.Second, 10 * time.Second}
	c.at += time.Duration(c.r.Int64N(int64(gaps[c.r.IntN(len(gaps))]) + 1))
}

func (c *chance) pick(from []string) string { return from[c.r.IntN(len(from))] }

// more adds something that somebody does, or trouble.
func (c *chance) more(what func()) {
	if c.r.IntN(6) < c.trouble {
		c.mishap()
		return
	}
	what()
}

// change adds something that somebody does with an account.
func (c *chance) change() {
	who := c.pick(c.devices)
	var others []string
	for _, d := range c.devices {
		if d != who && userOf(d) == userOf(who) {
			others = append(others, d)
		}
	}
	switch n := c.r.IntN(20); {
	case n < 5:
		c.step(who, "login")
	case n < 8 && len(others) > 0:
		c.step(who, "link", c.pick(others))
	case n < 10:
		c.step(who, "password")
	case n < 12 && len(others) > 0:
		c.step(who, "revoke", c.pick(others))
	case n < 16:
		c.step(who, "put", c.pick([]string{"a", "b"}), fmt.Sprintf("v%d", len(c.s.Steps)))
	case n < 18:
		c.step(who, "restart")
	case n == 18 && c.r.IntN(4) == 0:
		c.step(who, "delete")
	default:
		c.step(who, "whoami")
	}
}
