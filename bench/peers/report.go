package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// report writes everything in Markdown.
func (r *run) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Side by side\n\n<!-- written by: make bench-peers -->\n\n")
	r.machine(&b)
	b.WriteString(`
Pairs of users: one sends messages of 512 bytes, one after the other, and waits for the server's acknowledgement of each before the next; the other is connected, gets each message and acknowledges it.
Each peer keeps messages in the archive that it has for that. The peers took turns, and figures are medians of the turns. Clients and servers share the processors. *Accepted* is until the sender has the
acknowledgement, *delivered* until the receiver has the message; latencies at fixed rates count from when a message was due. Server CPU is user and system time of all processes of a server, a database's too.

`)
	r.table(&b)
	r.meaning(&b)
	r.chosenSettings(&b)
	r.targets(&b)
	return b.String()
}

func (r *run) machine(b *strings.Builder) {
	cpu, kernel := "unknown processor", "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name := between(text, "model name\t: ", "\n"); name != nil {
			cpu = string(name)
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	var ids []string
	for _, s := range r.subjects {
		ids = append(ids, s.name)
	}
	fmt.Fprintf(b, "- machine: %d cores, %s, Linux %s %s, %s, servers' files on %s; load average at the beginning %s, at the end %s\n",
		runtime.NumCPU(), cpu, kernel, runtime.GOARCH, runtime.Version(), fileSystem(r.dir), r.load, load())
	commit, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	fmt.Fprintf(b, "- commit: %s, %s, %.0f s in all\n", strings.TrimSpace(string(commit)), time.Now().UTC().Format(time.DateOnly), time.Since(r.began).Seconds())
	fmt.Fprintf(b, "- %s of %s, each measurement %v, %v pairs, %.0f messages a second as the equal rate\n", plural(r.rounds, "turn"), strings.Join(ids, ", "), r.time, r.pairs, r.equal)
}

// load is the load average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}

// fileSystem names the kind of file system that a folder is on.
func fileSystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "an unknown file system"
	}
	names := map[int64]string{0xEF53: "ext4", 0x01021994: "tmpfs (which makes syncs free)", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x794c7630: "overlayfs"}
	if name, ok := names[int64(s.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", s.Type)
}

// line is a row of the table: what it says, and how to get it of a peer; an empty text is a dash, or says that the measurement failed that
// the line is of.
type line struct {
	name  string
	of    func(s *subject) string
	stage string // with what the names of these measurements begin
}

func (r *run) table(b *strings.Builder) {
	heads, rule := []string{""}, []string{"---"}
	for _, s := range r.subjects {
		heads, rule = append(heads, s.name), append(rule, "--:")
	}
	fmt.Fprintf(b, "| %s |\n|%s|\n", strings.Join(heads, " | "), strings.Join(rule, "|"))
	for _, l := range r.lines() {
		cells := []string{l.name}
		for _, s := range r.subjects {
			text := l.of(s)
			switch {
			case text == "" && (s.broken || s.voided(l.stage)):
				text = "failed"
			case text == "":
				text = "–"
			}
			cells = append(cells, text)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

// inRound is of lines that all rounds find.
const inRound = "round "

func (r *run) lines() []line {
	var lines []line
	most := r.pairs[len(r.pairs)-1]
	for _, n := range r.pairs {
		lines = append(lines, line{fmt.Sprintf("delivered a second, %s", plural(n, "pair")), func(s *subject) string { return number(s.rate(n)) }, inRound})
	}
	for _, n := range r.pairs {
		lines = append(lines, line{fmt.Sprintf("server CPU a message, µs, %s", plural(n, "pair")), func(s *subject) string { return number(s.cpu(n)) }, inRound})
	}
	lines = append(lines,
		line{fmt.Sprintf("clients' CPU a message, µs, %s", plural(most, "pair")), func(s *subject) string { return number(over(s.found.closed[most], figures.clientCPU)) }, inRound},
		line{"one pair alone: delivered p50 / p99, ms", func(s *subject) string { return times(s.found.closed[r.pairs[0]], wasDelivered) }, inRound},
		line{"one pair alone: accepted p50 / p99, ms", func(s *subject) string { return times(s.found.closed[r.pairs[0]], wasAccepted) }, inRound},
		line{"half of its maximum: messages a second", func(s *subject) string { return number(over(s.found.half, figures.rate)) }, inRound},
		line{"– delivered p50 / p99, ms", func(s *subject) string { return times(s.found.half, wasDelivered) }, inRound},
		line{"– accepted p50 / p99, ms", func(s *subject) string { return times(s.found.half, wasAccepted) }, inRound},
		line{fmt.Sprintf("%.0f messages a second: delivered p50 / p99, ms", r.equal), func(s *subject) string { return times(s.found.equal, wasDelivered) }, inRound},
		line{"– accepted p50 / p99, ms", func(s *subject) string { return times(s.found.equal, wasAccepted) }, inRound},
		line{"– server CPU a message, µs", func(s *subject) string { return number(over(s.found.equal, figures.serverCPU)) }, inRound},
		line{"start-up until a client is connected, ms", func(s *subject) string { return number(median(s.found.startups)) }, inRound})
	return append(append(lines, r.idleLines()...), r.durabilityLines()...)
}

func (r *run) idleLines() (lines []line) {
	for _, n := range r.idle {
		at := func(f func(idle) string) func(*subject) string {
			return func(s *subject) string {
				for _, found := range s.found.idle {
					if found.clients == n {
						return f(found)
					}
				}
				return ""
			}
		}
		lines = append(lines,
			line{fmt.Sprintf("memory an idle client, %d of them: RSS / PSS, KB", n), at(func(m idle) string { return m.perClient.String() }), idleStage(n)},
			line{"– after a collection", at(func(m idle) string {
				if m.collected == nil {
					return "–"
				}
				return m.collected.String()
			}), idleStage(n)})
	}
	return lines
}

func (m memory) String() string {
	return fmt.Sprintf("%.1f / %.1f", float64(m.rss)/1000, float64(m.pss)/1000)
}

func (r *run) durabilityLines() []line {
	traced := func(f func(*syncs) string) func(*subject) string {
		return func(s *subject) string {
			if s.found.syncs == nil {
				return ""
			}
			return f(s.found.syncs)
		}
	}
	return []line{
		{"syncs a message, one at a time", traced(func(y *syncs) string { return fmt.Sprintf("%.2f", y.perAlone) }), stageSyncs},
		{fmt.Sprintf("syncs a message, %d senders", r.several()), traced(func(y *syncs) string { return fmt.Sprintf("%.2f", y.perMany) }), stageSyncs},
		{"a sync ended between sending and acknowledgement", traced(func(y *syncs) string { return fmt.Sprintf("%d of %d", y.before, y.alone) }), stageSyncs},
		{"acknowledged messages lost when all processes are killed", func(s *subject) string {
			if s.found.crash == nil {
				return ""
			}
			return fmt.Sprintf("%d of %d", s.found.crash.lost, s.found.crash.acknowledged)
		}, stageCrash},
		{"**acknowledged means on disk**", func(s *subject) string { return s.verdict() }, stageSyncs},
	}
}

// verdict is what was seen of durability, in a word or two.
func (s *subject) verdict() string {
	switch y, c := s.found.syncs, s.found.crash; {
	case s.rates:
		return "as qpq"
	case y == nil || c == nil:
		return ""
	case c.lost > 0:
		return "no, and not in the system's hands either"
	case y.before == y.alone:
		return "yes"
	case y.before == 0:
		return "no: in the system's hands"
	default:
		return fmt.Sprintf("not always: %d of %d", y.before, y.alone)
	}
}

func (r *run) meaning(b *strings.Builder) {
	b.WriteString("\nSyncs (fsync, fdatasync and their like) were counted by strace in runs of their own, which slows a server down: the counts hold, the share of syncs that many share is less at full speed. " +
		"What is lost was tried with receivers who are away: all processes of a server get SIGKILL while users send, it is started again, and the receivers fetch. A loss of power was not tried: it would lose " +
		"what was never synced.\n\n## What each acknowledges\n\n| | what it is | version | the sender waits for | acknowledged, as its documentation and code have it |\n|---|---|---|---|---|\n")
	for _, s := range r.subjects {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s (%s) |\n", s.name, s.what, s.version(s.site.tools), s.ack, s.durable, s.source)
	}
}

func (r *run) chosenSettings(b *strings.Builder) {
	b.WriteString("\n## Settings that are not stock\n\n")
	for _, s := range r.subjects {
		for _, text := range s.server.settings() {
			fmt.Fprintf(b, "- %s: %s\n", s.name, text)
		}
	}
	for _, s := range r.subjects {
		if s.found.untraced != nil {
			fmt.Fprintf(b, "\nSyncs of %s were not counted: %v.\n", s.name, s.found.untraced)
		}
	}
	r.voids(b)
}

// voids says what could not be measured. The rest was.
func (r *run) voids(b *strings.Builder) {
	head := "\n## What could not be measured\n\nOnly this; what else is above was measured all the same.\n\n"
	for _, s := range r.subjects {
		for _, v := range s.voids {
			fmt.Fprintf(b, "%s- %s, %s: `%s`\n", head, v.peer, v.what, strings.ReplaceAll(v.cause.Error(), "\n", " "))
			head = ""
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// number writes what is above zero with as many digits as mean something.
func number(n float64) string {
	switch {
	case n == 0:
		return ""
	case n < 10:
		return fmt.Sprintf("%.2f", n)
	case n < 100:
		return fmt.Sprintf("%.1f", n)
	default:
		return fmt.Sprintf("%.0f", n)
	}
}

// over returns the median of something over turns.
func over(all []figures, f func(figures) float64) float64 {
	var list []float64
	for _, one := range all {
		list = append(list, f(one))
	}
	return median(list)
}

func (s *subject) rate(pairs int) float64 { return over(s.found.closed[pairs], figures.rate) }
func (s *subject) cpu(pairs int) float64  { return over(s.found.closed[pairs], figures.serverCPU) }

func wasDelivered(f figures) []time.Duration { return f.delivered }
func wasAccepted(f figures) []time.Duration  { return f.accepted }

// at returns the median over turns of a percentile.
func at(all []figures, of func(figures) []time.Duration, share float64) float64 {
	return over(all, func(f figures) float64 { return percentile(of(f), share) })
}

func times(all []figures, of func(figures) []time.Duration) string {
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("%s / %s", number(at(all, of, .5)), number(at(all, of, .99)))
}
