package world

import (
	"strconv"
	"time"
)

// fault is trouble that somebody has. It takes no time.
type fault func(w *World, s Step)

// faults are all of them, by name. Who is the device that has it, or "server".
var faults map[string]fault

func init() {
	faults = map[string]fault{
		"crash":      func(w *World, s Step) { w.diskOf(s.Who).Die(false) },
		"blackout":   func(w *World, s Step) { w.diskOf(s.Who).Die(true) },
		"crash-at":   func(w *World, s Step) { w.diskOf(s.Who).DieAfter(number(s.With), false) },
		"power-at":   func(w *World, s Step) { w.diskOf(s.Who).DieAfter(number(s.With), true) },
		"full":       func(w *World, s Step) { w.diskOf(s.Who).fill(true) },
		"room":       func(w *World, s Step) { w.diskOf(s.Who).fill(false) },
		"offline":    func(w *World, s Step) { w.devices[s.Who].line.cut(true) },
		"online":     func(w *World, s Step) { w.devices[s.Who].line.cut(false) },
		"deaf":       func(w *World, s Step) { w.devices[s.Who].line.deafen(true) },
		"hearing":    func(w *World, s Step) { w.devices[s.Who].line.deafen(false) },
		"hang-up":    func(w *World, s Step) { w.devices[s.Who].line.breakAll() },
		"lose":       func(w *World, s Step) { w.devices[s.Who].line.breakAt(s.With[0], lost) },
		"lose-reply": func(w *World, s Step) { w.devices[s.Who].line.breakAt(s.With[0], unanswered) },
		"skew":       func(w *World, s Step) { w.devices[s.Who].setSkew(duration(s.With)) },
		"save":       save,
		"restore":    restore,
	}
}

// diskOf returns the disk of a machine.
func (w *World) diskOf(who string) *Disk {
	if who == "server" {
		return w.server.disk
	}
	return w.devices[who].disk
}

// save copies a disk while it is in use.
func save(w *World, s Step) {
	d := w.diskOf(s.Who)
	if !d.Dead() {
		d.copy, d.made = d.Image(), time.Now()
	}
}

// restore sets a machine back to the last copy of its disk.
func restore(w *World, s Step) {
	d := w.diskOf(s.Who)
	if d.copy == nil {
		return
	}
	if s.Who == "server" {
		w.oracle.setBack(d.made)
	} else {
		w.oracle.setBackDevice(w.devices[s.Who])
	}
	d.DieInto(d.copy)
}

func number(with []string) int {
	n, err := strconv.Atoi(with[0])
	if err != nil {
		panic(err)
	}
	return n
}

func duration(with []string) time.Duration {
	d, err := time.ParseDuration(with[0])
	if err != nil {
		panic(err)
	}
	return d
}
