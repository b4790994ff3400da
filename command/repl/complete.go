package repl

import (
	"slices"
	"strings"

	"github.com/quicproquo/qpq/command"
)

// Complete returns what a line may go on with: candidates that replace it from a byte on.
func (r *REPL) Complete(before string) (from int, candidates []string) {
	if !strings.HasPrefix(before, "/") {
		return 0, nil
	}
	if !strings.Contains(before, " ") {
		for _, s := range slashes {
			candidates = append(candidates, "/"+s.name)
		}
		return 0, starting(candidates, before)
	}
	name, rest, _ := strings.Cut(before[1:], " ")
	s := find(name)
	if s == nil {
		return 0, nil
	}
	var words []string
	for rest = strings.TrimLeft(rest, " "); ; rest = strings.TrimLeft(rest, " ") {
		word, after := next(rest)
		if after == "" && !strings.HasSuffix(rest, " ") {
			break
		}
		words, rest = append(words, word), after
	}
	return len(before) - len(rest), starting(r.candidates(s, words), rest)
}

// candidates returns what may stand after some arguments of a command.
func (r *REPL) candidates(s *slash, words []string) (list []string) {
	switch s.name {
	case "switch":
		return r.named(command.OfConversations)
	case "help":
		for _, s := range slashes {
			list = append(list, s.name)
		}
		return list
	}
	if s.command == nil {
		return nil
	}
	places := positions(s.command)
	if s.fixed {
		places = places[1:]
	}
	at := len(words)
	if n := len(places); n > 0 && at >= n && places[n-1].List {
		at = n - 1
	}
	if at >= len(places) {
		return nil
	}
	return slices.DeleteFunc(r.named(places[at].Of), func(w string) bool { return places[at].List && slices.Contains(words, w) })
}

// named returns what a parameter may name.
func (r *REPL) named(of command.Of) (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch of {
	case command.OfConversations:
		for _, p := range r.places {
			if !p.ended {
				list = append(list, short(r.self, oneLine(p.name)))
			}
		}
	case command.OfUsers:
		for _, p := range r.places {
			for _, m := range p.members {
				list = append(list, short(r.self, oneLine(m)))
			}
		}
	case command.OfSwitch:
		list = []string{"off", "on"}
	case command.OfPrivacy:
		list = slices.Clone(command.Privacies)
	case command.OfRoles:
		list = slices.Clone(command.Roles)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// starting returns the words that begin like one that is being typed; those of several words in quotes.
func starting(words []string, typed string) (list []string) {
	bare := strings.ToLower(strings.TrimLeft(typed, `"'`))
	for _, w := range words {
		if !strings.HasPrefix(strings.ToLower(w), bare) {
			continue
		}
		if strings.Contains(w, " ") || typed != "" && strings.ContainsAny(typed[:1], `"'`) {
			w = `"` + w + `"`
		}
		list = append(list, w)
	}
	return list
}
