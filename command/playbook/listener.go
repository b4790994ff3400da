package playbook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// listener is the user interface of a command that a step calls.
type listener struct {
	user    *user
	answers map[string]string
	shows   func(map[string]any) error // what is shown on the way; nil for nobody
	parts   func(any)                  // a part of the result came; nil for nobody

	mu    sync.Mutex
	shown map[string]any
	list  []any
	texts []string
	wrong error // of what was shown
}

// maxParts bounds how many parts of a result are kept.
const maxParts = 20_000

// Show implements command.UI.
func (l *listener) Show(o command.Output) {
	v, err := plain(o.Value)
	m, ok := v.(map[string]any)
	if err != nil || !ok || m["notice"] != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == nil {
		l.shown = map[string]any{}
	}
	maps.Copy(l.shown, m)
	if l.shows != nil && l.wrong == nil {
		l.wrong = l.shows(l.shown)
	}
}

// Result implements command.UI.
func (l *listener) Result(o command.Output) error {
	v, err := plain(o.Value)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= maxParts {
		return qpq.E(qpq.TooLarge, "usage", fmt.Sprintf("the result has more than %d parts: ask for fewer", maxParts))
	}
	l.list, l.texts = append(l.list, v), append(l.texts, o.Text)
	if l.parts != nil {
		l.parts(v)
	}
	return nil
}

// Ask implements command.UI: from the answers of the step, else the password of the user.
func (l *listener) Ask(_ context.Context, q command.Question) ([]byte, error) {
	if a, ok := l.answers[q.Name]; ok {
		return []byte(a), nil
	}
	if password := l.user.secret(); q.Name == "password" && password != "" {
		return []byte(password), nil
	}
	return nil, qpq.E(qpq.Invalid, "no-answer", fmt.Sprintf("it asks for %s, and the step does not answer: add answers: {%s: ...}", q.Name, q.Name))
}

// plain returns a value as JSON has it, with whole numbers as int64.
func plain(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out any
	err = d.Decode(&out)
	return numbers(out), err
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
