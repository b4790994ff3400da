package loadtest

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// scenario is something that a load test can do.
type scenario struct {
	does     string
	accounts bool             // clients have accounts
	least    func(p Plan) int // clients
	prepare  func(ctx context.Context, r *runner) error
	run      func(r *runner, ctx context.Context) error
}

func one(Plan) int       { return 1 }
func two(Plan) int       { return 2 }
func ofGroup(p Plan) int { return p.GroupSize }

func pairs(ctx context.Context, r *runner) error  { return r.seatAll(ctx, "dm", 2) }
func groups(ctx context.Context, r *runner) error { return r.seatAll(ctx, "group", r.plan.GroupSize) }
func both(ctx context.Context, r *runner) error {
	if err := pairs(ctx, r); err != nil {
		return err
	}
	return groups(ctx, r)
}

// scenarios are all there are, by name.
var scenarios map[string]scenario

func init() { // what they do asks which there are
	scenarios = map[string]scenario{
		"dm":              {"pairs of people write to each other", true, two, pairs, (*runner).converse},
		"group":           {"people write to conversations of several", true, ofGroup, groups, (*runner).converse},
		"file":            {"pairs of people send each other files", true, two, pairs, (*runner).exchangeFiles},
		"mixed":           {"all of it, as a day has it: mostly messages to pairs and groups, some typing, new connections, logins and files", true, ofGroup, both, (*runner).mix},
		"connect":         {"clients connect and stay", true, one, nil, (*runner).connectThem},
		"login":           {"clients prove their passwords", true, one, nil, (*runner).logIn},
		"reconnect-storm": {"all clients are cut off at once and come back at once", true, one, connected, (*runner).weather},
	}
}

func connected(ctx context.Context, r *runner) error { return r.fleet.connectAll(ctx) }

// Scenarios returns the names of all scenarios.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

// Describe says of each scenario what it does.
func Describe() string {
	var list []string
	for _, name := range Scenarios() {
		list = append(list, name+" ("+scenarios[name].does+")")
	}
	return strings.Join(list, ", ")
}
