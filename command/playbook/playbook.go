// Package playbook plays what a file says several people do, by the commands of package command, and checks what comes of it.
//
// Load reads and checks a file: every problem has a line, a column and what to do about it. Play carries it out, with an opener of profiles from
// the front end. The keys of files are the structs of keys.go, from which the JSON schema and the reference in docs/playbooks.md are made too.
package playbook

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/quicproquo/qpq/command"
)

// Playbook is a file that was read and checked.
type Playbook struct {
	File
	path string
}

// Load reads a playbook. path is where it is, for errors and for files that it names. It fails with *Problems.
func Load(path string, data []byte) (*Playbook, error) {
	p := &Playbook{path: path}
	root, problem := read(data)
	d := &decoder{}
	switch {
	case problem != nil:
		d.problems = []Problem{*problem}
	case root == nil:
		d.problem(Position{1, 1}, "the file is empty: see docs/playbooks.md for what a playbook looks like")
	default:
		d.decode(root, reflect.ValueOf(&p.File).Elem(), "the playbook")
		if len(d.problems) == 0 {
			p.users(d)
			(&checker{decoder: d, playbook: p, known: p.variables()}).all()
		}
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			if a.At.Line != b.At.Line {
				return a.At.Line - b.At.Line
			}
			return a.At.Column - b.At.Column
		})
		d.problems = slices.Compact(d.problems)
		return nil, &Problems{path, d.problems}
	}
	if p.Name == "" {
		p.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	return p, nil
}

// users checks users, and puts those in that others stand for.
func (p *Playbook) users(d *decoder) {
	var all Map[User]
	for _, e := range p.Users {
		if !isName(e.Name) {
			d.problem(e.At, "%q is no name: it takes letters, digits, _ and -, and no dot", e.Name)
		}
		n, err := e.Value.Count.value(&scope{all: &variables{}}, 0)
		switch {
		case err != nil:
			d.problem(e.Value.Count.At, "the count of users is known before variables are: write a number")
		case n > maxUsers || n == 0 && e.Value.Count.given:
			d.problem(e.Value.Count.At, "%d users: there are from 1 to %d", n, maxUsers)
		case !e.Value.Count.given:
			all = append(all, e)
		default:
			for i := range n {
				one := e
				one.Name = fmt.Sprintf("%s%d", e.Name, i+1)
				if e.Value.Account.given {
					one.Value.Account.parts = append(slices.Clone(e.Value.Account.parts), part{literal: fmt.Sprintf("-%d", i+1)})
				}
				if all.Find(one.Name) != nil || p.Users.Find(one.Name) != nil {
					d.problem(e.At, "%s would be two users: call them differently", one.Name)
				}
				all = append(all, one)
			}
		}
		if len(all) > maxUsers {
			d.problem(e.At, "there are more than %d users", maxUsers)
			return
		}
	}
	p.Users = all
	if len(all) == 0 {
		d.problem(Position{1, 1}, "users has nobody: name who takes part")
	}
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, strings.TrimSuffix(nameLetters, ".")) == ""
}

// variables returns the names of all variables that anything sets.
func (p *Playbook) variables() (names []string) {
	names = append(p.Vars.names(), "run", "n", "dir", "temp")
	for _, e := range p.Users {
		names = append(names, "user."+e.Name)
	}
	var walk func([]Step)
	walk = func(list []Step) {
		for _, s := range list {
			names = append(names, slices.Concat(s.Set.names(), s.Capture.names(), s.Each.names())...)
			walk(s.Steps)
			walk(s.Parallel)
		}
	}
	walk(p.Steps)
	walk(p.Always)
	slices.Sort(names)
	return slices.Compact(names)
}

// Commands returns the names of the commands that a playbook calls, each once.
func (p *Playbook) Commands() (names []string) {
	var walk func([]Step)
	walk = func(list []Step) {
		for i := range list {
			if c := list[i].command(); c != nil && !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
			walk(list[i].Steps)
			walk(list[i].Parallel)
		}
	}
	walk(p.Steps)
	walk(p.Always)
	return names
}

// command returns the command of a step, nil where it has none.
func (s *Step) command() *command.Command {
	if s.Run != nil {
		return s.Run.command
	}
	c, err := command.Find(s.Command)
	if err != nil {
		return nil
	}
	return c
}
