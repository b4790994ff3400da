package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/quicproquo/qpq"
)

// method is one that the daemon has beside the commands.
type method struct {
	name, summary string
	params        []field
}

// field is a parameter of a method.
type field struct {
	name, help, kind string // kind is a type of JSON schema; empty for any
	required         bool
}

const methodSubscribe = "subscribe"

// own are the methods that the daemon has beside the commands.
var own = []method{
	{name: "rpc.discover", summary: "list the methods, as OpenRPC"},
	{name: "ping", summary: `answer "pong"`},
	{name: "version", summary: "say which release this is"},
	{name: methodSubscribe, summary: "take entries as they come: notifications entry and notice, and end once that is over", params: []field{
		{"after", "begin after the entry at this position; else with what comes from now on", "integer", false},
		{"conversation", "its name, or the beginning of its id; all, if none is given", "string", false},
	}},
	{name: "unsubscribe", summary: "end a subscription", params: []field{{"subscription", "its number, as subscribe returned it", "integer", true}}},
	{name: "cancel", summary: "give up a request of this connection", params: []field{{"id", "of the request", "", true}}},
}

// ownMethod returns the method of a name.
func ownMethod(name string) (method, bool) {
	i := slices.IndexFunc(own, func(m method) bool { return m.name == name })
	if i < 0 {
		return method{}, false
	}
	return own[i], true
}

// quick answers what can be answered at once, whatever else is under way.
func (s *session) quick(r *request) (result any, ok bool, err error) {
	switch r.method {
	case "rpc.discover":
		result, err = discover(s.d.cfg.Release), decode(r, nil)
	case "ping":
		result, err = "pong", decode(r, nil)
	case "version":
		result, err = map[string]string{"release": s.d.cfg.Release}, decode(r, nil)
	case "unsubscribe":
		result, err = s.unsubscribe(r)
	case "cancel":
		result, err = s.cancel(r)
	default:
		return nil, false, nil
	}
	return result, true, err
}

// decode reads parameters into those that a method has, by their names.
func decode(r *request, into map[string]any) error {
	m, _ := ownMethod(r.method)
	for _, f := range m.params {
		raw, given := r.params[f.name]
		if !given {
			if f.required {
				return errParams(r.method + ": " + f.name + " is missing")
			}
			continue
		}
		if err := json.Unmarshal(raw, into[f.name]); err != nil || string(raw) == "null" {
			return errParams(r.method + ": " + f.name + " is of the wrong type")
		}
	}
	for name := range r.params {
		if !slices.ContainsFunc(m.params, func(f field) bool { return f.name == name }) {
			return errParams(fmt.Sprintf("%s: it has no parameter %q", r.method, clip(name)))
		}
	}
	if len(r.answers) > 0 {
		return errParams(r.method + ": it asks nothing")
	}
	return nil
}

// cancel gives up a request. That it has ended already is no failure.
func (s *session) cancel(r *request) (any, error) {
	var id json.RawMessage
	if err := decode(r, map[string]any{"id": &id}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for p := range s.calls {
		if p.id == string(bytes.TrimSpace(id)) {
			p.cancel(errCancelled)
			found = true
		}
	}
	return map[string]bool{"cancelled": found}, nil
}

func (s *session) unsubscribe(r *request) (any, error) {
	var number int
	if err := decode(r, map[string]any{"subscription": &number}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.subs[number]
	if !ok {
		return nil, qpq.E(qpq.NotFound, "no-subscription", fmt.Sprintf("there is no subscription %d, or it has ended", number))
	}
	end(errCancelled)
	return map[string]bool{"unsubscribed": true}, nil
}
