package world

import (
	"fmt"
	"math/rand/v2"
)

// deeds are what people do to messages, each as often as it is there.
var deeds = []string{"reply", "reply", "react", "react", "react", "unreact", "edit", "edit", "edit", "unsay", "meddle", "whisper", "view", "read", "read",
	"file", "fetch", "fetch", "file-once", "timer"}

// enrich has people do something to messages, beside all that was drawn already: the same seed still means the same talk. In every third history
// messages disappear.
func (c *chance) enrich() {
	if c.deeds == nil {
		c.deeds = rand.New(rand.NewPCG(c.s.Seed, 2))
	}
	r := c.deeds
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	who, number, name := pick(c.devices), fmt.Sprint(r.IntN(few)), fmt.Sprint(len(c.s.Steps))
	where := pick(append(c.groups[:len(c.groups):len(c.groups)], c.directsOf(who)...))
	do := pick(deeds)
	with := map[string][]string{
		"reply": {number, "reply" + name}, "edit": {number, "edit" + name}, "meddle": {number, "meddled" + name}, "unsay": {number}, "view": {number}, "fetch": {number},
		"react": {number, pick([]string{"👍", "👎"})}, "unreact": {number, pick([]string{"👍", "👎"})},
		"whisper": {"secret" + name}, "file": {"file" + name}, "file-once": {"secretfile" + name},
		"timer": {pick([]string{"1s", "5s", "5s", "1h", "0s"})},
	}
	if do == "timer" && (c.s.Seed%3 != 0 || len(c.s.Theme) > 0 && r.IntN(3) > 0) {
		do = "react"
	}
	c.s.Steps = append(c.s.Steps, Step{c.at, who, do, append([]string{where}, with[do]...)})
}

// directsOf returns whom a device's user talks with directly.
func (c *chance) directsOf(who string) (list []string) {
	for _, pair := range c.directs {
		switch userOf(who) {
		case pair[0]:
			list = append(list, pair[1])
		case pair[1]:
			list = append(list, pair[0])
		}
	}
	return list
}
