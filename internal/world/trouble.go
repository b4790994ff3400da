package world

import (
	"fmt"
	"slices"
	"time"
)

// methods are calls at which it hurts when the connection breaks.
var methods = []string{"registerFinish", "loginFinish", "accountPublish", "passwordFinish", "authenticate", "keyPackagesUpload", "vaultPut", "linkOffer",
	"linkAnswer", "linkTake", "linkWait", "accountDelete", "deviceRename",
	"send", "send", "send", "channelCommit", "channelCommit", "channelCommit", "channelCreate", "channelLeave", "channelGroup", "inboxFetch", "inboxAck",
	"keyPackagesClaim"}

// mishap adds trouble that passes by itself.
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

// themes are what a history is about beside talk and mishaps: something that people have to be brought through.
var themes = []string{"", "", "backups", "yesterday", "clocks", "crowds", "weeks", "damage", "malice", snapshots, amnesty, answers}

// amnesty has the server forget removals, snapshots has devices copied while they are in use, answers are lost.
const (
	amnesty   = "amnesty"
	snapshots = "snapshots"
	answers   = "answers"
)

// ordeal adds a part of the theme.
func (c *chance) ordeal() {
	who := c.pick(c.devices)
	switch c.s.Theme {
	case "backups", snapshots: // a device is set back to an older copy of itself
		c.backup(who)
	case "yesterday", amnesty: // the server is
		c.yesterday()
	case "clocks":
		c.step(who, "skew", (time.Duration(c.r.IntN(7200)-3600) * time.Second).String())
	case "crowds": // more waits for somebody than an inbox takes
		c.s.Inbox = 24 << 10
		c.step(who, "off")
		for range 20 + c.r.IntN(20) {
			c.talk()
		}
		c.step(who, "on")
	case "weeks":
		c.weeks(who)
	case "damage":
		c.step(who, "damage", c.pick([]string{"lost", "garbled"}))
	case answers: // what was sent got through, and nobody knows
		c.step(who, "lose-reply", "send")
		c.step(who, "send", c.where(who), fmt.Sprintf("text%d", len(c.s.Steps)))
		c.at += 5 * time.Second
	case "malice":
		c.step(who, "garbage", c.where(who), c.pick([]string{"commit", "all"}))
	default:
		c.more(c.talk)
	}
}

// backup has a device be used, set back to before, and used again.
func (c *chance) backup(who string) {
	where := c.where(who)
	c.step(who, "save")
	if c.s.Theme != snapshots {
		c.step(who, "restart") // another session begins: by that the server knows the copy
		c.at += 5 * time.Second
	}
	for range 1 + c.r.IntN(3) {
		c.step(who, "send", where, fmt.Sprintf("text%d", len(c.s.Steps)))
		c.at += time.Second
	}
	if c.r.IntN(2) == 0 {
		c.talk()
	}
	if c.r.IntN(3) > 0 {
		c.step(who, "restore")
		c.at += time.Duration(5+c.r.IntN(10)) * time.Second
		c.step(who, "send", where, fmt.Sprintf("text%d", len(c.s.Steps)))
	}
}

// yesterday has the server forget something, perhaps that somebody was removed.
func (c *chance) yesterday() {
	c.step("server", "save")
	c.at += time.Duration(1+c.r.IntN(20)) * time.Second
	for range c.r.IntN(4) {
		c.talk()
	}
	if g := c.madeBy[c.pick(c.groups)]; c.s.Theme == amnesty && len(g.with) > 0 && c.r.IntN(3) > 0 {
		c.step(g.device, "remove", g.name, c.pick(g.with))
		c.at += time.Duration(1+c.r.IntN(20)) * time.Second
	}
	if c.r.IntN(2) == 0 {
		c.step("server", "restore")
		c.at += time.Duration(c.r.IntN(20)) * time.Second
	}
	if c.r.IntN(2) == 0 {
		c.step(c.pick(c.devices), "restart")
	}
}

// weeks lets a device be away for long, while others talk. Few are on meanwhile, for the days to pass soon.
func (c *chance) weeks(who string) {
	if c.away != "" {
		return
	}
	c.away = who
	c.step(who, "off")
	c.talk()
	rest := slices.DeleteFunc(slices.Clone(c.devices), func(d string) bool { return d == who })
	for _, d := range rest {
		c.step(d, "off")
	}
	c.at += time.Duration(5+c.r.IntN(36)) * 24 * time.Hour
	for _, d := range rest {
		c.step(d, "on")
	}
	c.at += time.Minute
	for range c.r.IntN(6) {
		c.talk()
	}
	c.step(who, "on")
	c.at += time.Minute
}
