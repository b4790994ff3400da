package playbook

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/quicproquo/qpq/command"
)

// checker finds what is wrong with a playbook whose keys and values are right each for itself.
type checker struct {
	*decoder
	playbook *Playbook
	known    []string // variables
}

func (c *checker) all() {
	f := &c.playbook.File
	for i := range f.Vars {
		c.variable(&f.Vars[i])
	}
	for i := range f.Users {
		c.user(&f.Users[i])
	}
	c.steps(f.Steps, "", 0)
	c.steps(f.Always, "", 0)
	c.uses(reflect.ValueOf(f).Elem(), Position{1, 1})
}

// reserved are variables that there are in every playbook.
var reserved = []string{"run", "n", "dir", "temp"}

func (c *checker) name(name string, at Position) {
	switch {
	case !isName(name):
		c.problem(at, "%q is no name of a variable: it takes letters, digits, _ and -", name)
	case slices.Contains(reserved, name):
		c.problem(at, "%s is a variable that there is in every playbook: choose another name", name)
	}
}

func (c *checker) variable(e *Entry[Var]) {
	c.name(e.Name, e.At)
	if e.Value.File.given && e.Value.Value.tree != nil {
		c.problem(e.Value.At, "%s has a value and a file: one of them", e.Name)
	}
	if len(e.Value.File.uses()) > 0 || len(e.Value.Value.uses()) > 0 {
		for _, name := range append(e.Value.File.uses(), e.Value.Value.uses()...) {
			if !slices.Contains([]string{"run", "dir", "temp"}, name) {
				c.problem(e.Value.At, "%s is made of the variable %s: of run, dir and temp alone; set makes one of others in a step", e.Name, name)
			}
		}
	}
}

func (c *checker) user(e *Entry[User]) {
	u := &e.Value
	switch {
	case u.Register && (u.Login || u.Of != ""):
		c.problem(u.At, "%s is to register and to log in: one of them", e.Name)
	case u.Login && u.Of == "" && u.Password == nil && u.PasswordFile == nil:
		c.problem(u.At, "%s is to log in without a password: add password, password_file, or of for another user's device", e.Name)
	case u.Password != nil && u.PasswordFile != nil:
		c.problem(u.At, "%s has password and password_file: one of them", e.Name)
	case u.Of != "" && (u.Password != nil || u.PasswordFile != nil || u.Account.given):
		c.problem(u.At, "%s has account and password of %s: leave them out", e.Name, u.Of)
	}
	if u.Of == "" {
		return
	}
	other := c.playbook.Users.Find(u.Of)
	switch {
	case other == nil:
		c.problem(u.At, "there is no user %q: %s", u.Of, hint(u.Of, c.playbook.Users.names()))
	case other.Of != "":
		c.problem(u.At, "%s is itself a device of %s: write of: %s", u.Of, other.Of, other.Of)
	}
}

func (c *checker) steps(list []Step, as string, depth int) {
	for i := range list {
		c.step(&list[i], as, depth)
	}
}

func (c *checker) step(s *Step, as string, depth int) {
	has := s.has()
	switch len(has) {
	case 0:
		c.problem(s.At, "the step does nothing: it takes one of %s", among(actions))
	case 1:
	default:
		c.problem(s.At, "the step has %s: split it into steps that have one of them each", among(has))
	}
	if s.As.given {
		if as = s.As.source(); len(s.As.uses()) == 0 && c.playbook.Users.Find(as) == nil {
			c.problem(s.As.At, "there is no user %q: %s", as, hint(as, c.playbook.Users.names()))
		}
	}
	calls := s.Run != nil || s.Command != ""
	if calls && as == "" && len(c.playbook.Users) > 1 {
		c.problem(s.At, "nobody is said to do the step: add as, one of %s", among(first(c.playbook.Users.names(), 12)))
	}
	c.combinations(s, calls)
	c.command(s)
	for _, n := range s.Needs {
		if !slices.Contains(c.known, n) {
			c.problem(s.At, "nothing sets the variable %q: %s", n, hint(n, c.known))
		}
	}
	for _, name := range s.names() {
		c.name(name.Name, name.At)
	}
	for i := range s.Expect {
		c.check(&s.Expect[i])
	}
	c.steps(s.Steps, as, depth+1)
	c.steps(s.Parallel, as, depth+1)
}

func first(names []string, n int) []string { return names[:min(n, len(names))] }

// has returns which of the keys a step has that say what it does.
func (s *Step) has() (list []string) {
	for i, given := range []bool{s.Run != nil, s.Command != "", s.Set != nil, s.Steps != nil, s.Parallel != nil} {
		if given {
			list = append(list, actions[i])
		}
	}
	return list
}

// names returns the names of variables that a step sets.
func (s *Step) names() (list []Entry[struct{}]) {
	for _, e := range slices.Concat(s.Set, s.Each) {
		list = append(list, Entry[struct{}]{e.Name, e.At, struct{}{}})
	}
	for _, e := range s.Capture {
		list = append(list, Entry[struct{}]{e.Name, e.At, struct{}{}})
	}
	return list
}

// combinations refuses keys that mean nothing beside others, or without them.
func (c *checker) combinations(s *Step, calls bool) {
	for _, k := range []struct {
		name  string
		given bool
	}{{"input", s.Input != nil}, {"answers", s.Answers != nil}, {"expect", s.Expect != nil}, {"capture", s.Capture != nil}, {"within", s.Within.given}, {"needs", s.Needs != nil}} {
		if k.given && !calls {
			c.problem(s.At, "%s is for steps with run or command: put it into one of the steps within", k.name)
		}
	}
	loops := 0
	for _, given := range []bool{s.Repeat.given, s.Each != nil, s.Rate.given} {
		if given {
			loops++
		}
	}
	switch {
	case loops > 1:
		c.problem(s.At, "repeat, each and rate do not go together: put one of them into steps within")
	case s.Rate.given != s.For.given:
		c.problem(s.At, "rate and for go together: rate says how often, for says how long")
	case s.Limit.given && s.Parallel == nil && !s.Rate.given:
		c.problem(s.Limit.At, "limit is for parallel and rate")
	case s.Each != nil && len(s.Each) != 1:
		c.problem(s.At, "each takes one variable with a list: put others into steps within")
	case s.Args != nil && s.Command == "":
		c.problem(s.At, "args are for command; with run they are part of the line")
	case s.Steps != nil && len(s.Steps) == 0, s.Parallel != nil && len(s.Parallel) == 0:
		c.problem(s.At, "there are no steps within")
	}
	if len(s.Each) == 1 {
		switch v := s.Each[0].Value.tree.(type) {
		case []any, *Text:
		default:
			c.problem(s.Each[0].Value.At, "each takes a list of values, and this is %s", shorten(v))
		}
	}
}

// command checks the arguments of a step with command.
func (c *checker) command(s *Step) {
	if s.Command == "" {
		return
	}
	cmd, err := command.Find(s.Command)
	if err != nil {
		c.problem(s.At, "%s", unknownCommand(s.Command, err))
		return
	}
	var names []string
	for _, p := range cmd.Params {
		names = append(names, p.Name)
		if !p.Optional && s.Args.Find(p.Name) == nil {
			c.problem(s.At, "%s takes the argument %s, and args does not have it: %s", cmd.Name, p.Name, p.Help)
		}
	}
	for _, a := range s.Args {
		i := slices.Index(names, a.Name)
		if i < 0 {
			c.problem(a.At, "%s has no argument %q: %s", cmd.Name, a.Name, hint(a.Name, names))
			continue
		}
		if wrong := fitsParam(cmd.Params[i], a.Value.tree); wrong != "" {
			c.problem(a.Value.At, "the argument %s of %s takes %s", a.Name, cmd.Name, wrong)
		}
	}
}

// fitsParam returns what a parameter takes where a value is none of that.
func fitsParam(p command.Param, tree any) string {
	text, isText := tree.(*Text)
	later := isText && len(text.uses()) > 0
	_, isList := tree.([]any)
	_, isMap := tree.(map[string]any)
	_, isBool := tree.(bool)
	_, isInt := tree.(int64)
	switch {
	case isMap || tree == nil:
		return "no mapping, and not nothing"
	case p.List:
		return ""
	case isList:
		return "one value"
	case p.Switch && !isBool && !later:
		return "true or false"
	case p.Number && !isInt && !later:
		return "a whole number"
	}
	return ""
}

func (c *checker) check(k *Check) {
	given := k.Equals != nil || k.Differs != nil || k.Contains != nil || k.Lacks != nil || k.Matches.given || k.Count.given || k.AtLeast.given || k.AtMost.given
	switch {
	case k.Fails != nil && (given || k.Path.raw != ""):
		c.problem(k.At, "fails stands alone: what else is expected, as of the path error, is a check of its own")
	case k.Fails == nil && !given:
		c.problem(k.At, "nothing is expected: add equals, differs, contains, lacks, matches, count, at_least, at_most, or fails")
	}
}

// uses refuses variables that nothing sets, anywhere in v.
func (c *checker) uses(v reflect.Value, at Position) {
	if v.Kind() == reflect.Struct {
		if p := v.FieldByName("At"); p.IsValid() {
			if own, ok := p.Interface().(Position); ok && own.Line > 0 {
				at = own
			}
		}
	}
	if v.CanAddr() {
		if u, ok := v.Addr().Interface().(interface{ uses() []string }); ok {
			for _, name := range u.uses() {
				c.used(name, at)
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.uses(v.Elem(), at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.uses(v.Index(i), at)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.uses(v.Field(i), at)
			}
		}
	}
}

func (c *checker) used(name string, at Position) {
	if slices.Contains(c.known, name) {
		return
	}
	user, ok := strings.CutPrefix(name, "user.")
	if ok {
		c.problem(at, "there is no user %q: %s", user, hint(user, c.playbook.Users.names()))
		return
	}
	about := hint(name, c.known)
	if !strings.HasPrefix(about, "did") {
		about = fmt.Sprintf("add it to vars, or capture it; ${user.NAME} has the account of a user, and $${%s} stands for itself", name)
	}
	c.problem(at, "nothing sets the variable %q: %s", name, about)
}
