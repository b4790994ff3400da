package slash

import (
	"slices"
	"strings"

	"github.com/quicproquo/qpq/command"
)

// Complete returns what a line may go on with: candidates that replace it from a byte on. names returns what a parameter may name.
func (t Table) Complete(before string, names func(command.Of) []string) (from int, candidates []string) {
	if !strings.HasPrefix(before, "/") {
		return 0, nil
	}
	if !strings.Contains(before, " ") {
		for _, s := range t {
			candidates = append(candidates, "/"+s.Name)
		}
		return 0, Starting(candidates, before)
	}
	name, rest, _ := strings.Cut(before[1:], " ")
	s := t.Find(name)
	if s == nil {
		return 0, nil
	}
	var words []string
	for rest = strings.TrimLeft(rest, " "); ; rest = strings.TrimLeft(rest, " ") {
		word, after := Next(rest)
		if after == "" && !strings.HasSuffix(rest, " ") {
			break
		}
		words, rest = append(words, word), after
	}
	return len(before) - len(rest), Starting(t.candidates(s, words, names), rest)
}

// candidates returns what may stand after some arguments of a command.
func (t Table) candidates(s *Command, words []string, names func(command.Of) []string) (list []string) {
	switch {
	case s.Of == OfCommands:
		for _, s := range t {
			list = append(list, s.Name)
		}
		return list
	case s.Command == nil && s.Of == "":
		return nil
	case s.Command == nil:
		return names(s.Of)
	}
	places := positions(s.Command)
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
	return slices.DeleteFunc(names(places[at].Of), func(w string) bool { return places[at].List && slices.Contains(words, w) })
}

// Starting returns the words that begin like one that is being typed; those of several words in quotes.
func Starting(words []string, typed string) (list []string) {
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
