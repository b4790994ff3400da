package world

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scenario is all that is to happen.
type Scenario struct {
	Seed    uint64
	Weather Weather
	Theme   string // what it is about beside talk
	Inbox   int    // bytes that an inbox takes; 0 is more than anybody fills here
	Steps   []Step // in the order of time
}

// Step is one thing that happens: somebody does something, or something breaks.
type Step struct {
	At   time.Duration // from the beginning
	Who  string        // a device, "alice/1"; or "server"
	Do   string        // an action or a fault
	With []string
}

func (s Step) what() string { return strings.TrimSpace(s.Do + " " + strings.Join(s.With, " ")) }

// String returns the step as Parse reads it.
func (s Step) String() string { return fmt.Sprintf("%-8v %-9s %s", s.At, s.Who, s.what()) }

// Parse reads a scenario: a line for each step, with time, who and what. Empty lines and what follows a # do not count.
func Parse(text string) (s Scenario, err error) {
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) < 3 {
			return s, fmt.Errorf("line %d: a step has a time, somebody and an action: %q", n+1, line)
		}
		at, err := time.ParseDuration(words[0])
		if err != nil {
			return s, fmt.Errorf("line %d: %w", n+1, err)
		}
		step := Step{At: at, Who: words[1], Do: words[2], With: words[3:]}
		if actions[step.Do] == nil && faults[step.Do] == nil {
			return s, fmt.Errorf("line %d: nobody can %s", n+1, step.Do)
		}
		s.Steps = append(s.Steps, step)
	}
	return s, nil
}

// devices returns the names of all devices that have a part, sorted.
func (s Scenario) devices() (names []string) {
	for _, step := range s.Steps {
		for _, name := range append([]string{step.Who}, step.With...) {
			if strings.Contains(name, "/") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
