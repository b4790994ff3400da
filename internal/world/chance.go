package world

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Chance makes up a scenario: what some users with some devices do, and what goes wrong. It follows from the seed alone.
func Chance(seed uint64) Scenario {
	c := &chance{r: rand.New(rand.NewPCG(seed, 1))}
	c.s.Seed = seed
	c.s.Weather = Weather{Delay: []time.Duration{0, 20 * time.Millisecond, 2 * time.Second}[c.r.IntN(3)], Loss: []float64{0, 0, 0.02, 0.1}[c.r.IntN(4)]}
	users := []string{"alice", "bob"}[:1+c.r.IntN(2)]
	for _, u := range users {
		for i := range 1 + c.r.IntN(3) {
			c.devices = append(c.devices, fmt.Sprintf("%s/%d", u, i+1))
		}
		c.step(u+"/1", "register")
	}
	c.trouble = c.r.IntN(4) // how much of it: none, some, much
	for range 10 + c.r.IntN(30) {
		c.more()
	}
	return c.s
}

type chance struct {
	r       *rand.Rand
	s       Scenario
	at      time.Duration
	devices []string
	trouble int
}

// step adds a step, soon after the one before.
func (c *chance) step(who, do string, with ...string) {
	c.s.Steps = append(c.s.Steps, Step{c.at, who, do, with})
	gaps := []time.Duration{0, 10 * time.Millisecond, time.Second, 10 * time.Second}
	c.at += time.Duration(c.r.Int64N(int64(gaps[c.r.IntN(len(gaps))]) + 1))
}

func (c *chance) pick(from []string) string { return from[c.r.IntN(len(from))] }

// more adds something that somebody does, or trouble.
func (c *chance) more() {
	if c.r.IntN(6) < c.trouble {
		c.mishap()
		return
	}
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

// methods are calls at which it hurts when the connection breaks.
var methods = []string{"registerFinish", "loginFinish", "accountPublish", "passwordFinish", "authenticate", "keyPackagesUpload", "vaultPut", "linkOffer",
	"linkAnswer", "linkTake", "linkWait", "accountDelete", "deviceRename"}

// mishap adds trouble.
func (c *chance) mishap() {
	who := c.pick(append(slices.Clone(c.devices), "server", "server"))
	if who == "server" {
		switch c.r.IntN(5) {
		case 0:
			c.step(who, "crash")
		case 1:
			c.step(who, "blackout")
		case 2:
			c.step(who, "crash-at", fmt.Sprint(c.r.IntN(60)))
		default:
			c.step(who, "power-at", fmt.Sprint(c.r.IntN(60)))
		}
		return
	}
	switch n := c.r.IntN(16); {
	case n < 3:
		c.step(who, "crash-at", fmt.Sprint(c.r.IntN(80)))
	case n < 6:
		c.step(who, "power-at", fmt.Sprint(c.r.IntN(80)))
	case n < 7:
		c.step(who, "crash")
	case n < 8:
		c.step(who, "offline")
	case n < 9:
		c.step(who, "online")
	case n < 10:
		c.step(who, "deaf")
	case n < 11:
		c.step(who, "hang-up")
	case n < 13:
		c.step(who, "lose", c.pick(methods))
	default:
		c.step(who, "lose-reply", c.pick(methods))
	}
}
