package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unicode"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
)

// FuzzParse: whatever comes, it is read or refused; what is read stays the same when it is written and read again, and no secret is printed.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"send","params":{"conversation":"bob","text":"hi"}}`,
		`{"jsonrpc":"2.0","method":"login","params":{"user":"alice","answers":{"password":"correct horse"}}}`,
		`[{"jsonrpc":"2.0","id":"x","method":"ping"},{"jsonrpc":"2.0","id":null,"method":"ping","params":null},7]`,
		`[]`, `{`, `"`, "\xff", `{"jsonrpc":"2.0","id":-1.5e3,"method":"ping","params":[]}`, strings.Repeat("[", 20000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, batch, err := parse(text)
		if err != nil {
			if len(list) > 0 || failed(err).Code >= 0 {
				t.Errorf("refused with %+v and %v", list, failed(err))
			}
			return
		}
		if len(list) == 0 || len(list) > maxBatch || !batch && len(list) != 1 {
			t.Fatalf("%d requests", len(list))
		}
		for _, r := range list {
			if r.id != nil && !json.Valid(r.id) || r.invalid == nil && r.method == "" {
				t.Errorf("read %+v", r)
			}
			if _, err := encode(&response{id: r.id, err: r.invalid}); r.id != nil && err != nil {
				t.Errorf("it cannot be answered: %v", err)
			}
			again(t, r)
		}
	})
}

// again writes a request and reads it.
func again(t *testing.T, r request) {
	if r.invalid != nil {
		return
	}
	params := map[string]any{}
	for name, v := range r.params {
		params[name] = v
	}
	if r.answers != nil {
		answers := map[string]string{}
		for question, a := range r.answers {
			if a.Reveal() != "[secret]" && len(a.Reveal()) > 8 && strings.Contains(fmt.Sprintf("%v %+v", a, a), a.Reveal()) {
				t.Error("an answer is printed")
			}
			answers[question] = a.Reveal()
		}
		params[answersParam] = answers
	}
	written := map[string]any{"jsonrpc": "2.0", "method": r.method, "params": params}
	if r.id != nil {
		written["id"] = r.id
	}
	line, err := encode(written)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := parse(line)
	if err != nil || len(list) != 1 || list[0].invalid != nil || list[0].method != r.method || len(list[0].params) != len(r.params) ||
		len(r.answers) != len(list[0].answers) || len(r.answers) > 0 && !reflect.DeepEqual(list[0].answers, r.answers) {
		t.Errorf("%s is read as %+v, %v and not %+v", line, list, err, r)
	}
}

// TestNoMoreIsReadThanIsAnswered: a program that asks and takes no answers is not read any more, and nothing grows.
func TestNoMoreIsReadThanIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := profile.NewMemory(nil).Open(bytes.Repeat([]byte{7}, profile.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		c := client.New(client.Config{Profile: p})
		in, asks := io.Pipe()
		answers, out := io.Pipe()
		d := New(Config{})
		d.client = c
		go d.serve(t.Context(), in, newWriter(out), "")
		const all = 10 * maxWaiting
		var taken atomic.Int64
		go func() {
			defer asks.Close()
			for i := range all {
				if _, err := fmt.Fprintf(asks, `{"jsonrpc":"2.0","id":%d,"method":"list","params":{"offline":true}}`+"\n", i); err != nil {
					return
				}
				taken.Add(1)
			}
		}()
		synctest.Wait()
		if n := taken.Load(); n < maxWaiting || n > maxWaiting+4 {
			t.Errorf("%d requests were taken", n)
		}
		seen := map[string]bool{}
		for decode := json.NewDecoder(answers); len(seen) < all; {
			var m struct{ ID json.Number }
			if err := decode.Decode(&m); err != nil {
				t.Fatal(err)
			}
			seen[m.ID.String()] = true
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryCommandIsAMethod(t *testing.T) {
	described := map[string]described{}
	for _, m := range discover("1").Methods {
		if _, twice := described[m.Name]; twice {
			t.Errorf("%s is there twice", m.Name)
		}
		described[m.Name] = m
	}
	for _, c := range command.All() {
		m, ok := described[methodName(c)]
		_, taken := ownMethod(methodName(c))
		if called, err := find(methodName(c)); !ok || taken || err != nil || called != c || m.Command != c.Name || m.Summary != c.Summary {
			t.Errorf("%s is described as %+v", c.Name, m)
		}
		if found, err := find(c.Name); err != nil || found != c {
			t.Errorf("%q with spaces: %v", c.Name, err)
		}
		for _, p := range c.Params {
			i := slices.IndexFunc(m.Params, func(d describedParam) bool { return d.Name == p.Name })
			if i < 0 || p.Name == answersParam || m.Params[i].Required == p.Optional || (m.Params[i].Schema.Type == "string") == (p.Switch || p.Number || p.List) {
				t.Errorf("%s: %s is not described as it is", c.Name, p.Name)
			}
		}
		if asks := m.Params != nil && len(m.Params) == len(c.Params)+1; asks != (len(c.Asks) > 0) {
			t.Errorf("%s: what it asks is not described as it is", c.Name)
		}
	}
	for _, m := range own {
		if _, ok := described[m.name]; !ok {
			t.Errorf("%s is not described", m.name)
		}
	}
}

func TestWhoMaySpeak(t *testing.T) {
	for _, c := range []struct {
		who, owner int
		may        bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1001, 1000, false}, {1000, 0, false}} {
		if err := allowed(c.who, c.owner); (err == nil) != c.may {
			t.Errorf("%d to %d: %v", c.who, c.owner, err)
		}
	}
}

// TestNothingForTerminals: whatever an entry, a name or an error says, the line that tells it has nothing that a terminal obeys, and means the same.
func TestNothingForTerminals(t *testing.T) {
	const bad = "a\x1b[2J\u009b5n\x7f\u202e\u2066\u200b\u2028\U000e0001\n\r<b>&👍é"
	for _, v := range []any{
		map[string]string{bad: bad},
		&response{id: quote(bad), err: errRequest(bad)},
		&response{id: null, result: json.RawMessage(quote(bad))},
		notify("notice", noticeJSON{Code: "x", Text: bad}),
	} {
		line, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(string(line), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || !strings.Contains(string(line), "<b>&👍é") {
			t.Errorf("%q has something at %d", line, i)
		}
		var found bool
		var walk func(any)
		walk = func(v any) {
			switch v := v.(type) {
			case string:
				found = found || strings.Contains(v, bad)
			case map[string]any:
				for _, one := range v {
					walk(one)
				}
			}
		}
		var decoded any
		if err := json.Unmarshal(line, &decoded); err != nil {
			t.Fatal(err)
		}
		if walk(decoded); !found {
			t.Errorf("%q does not say it any more", line)
		}
	}
}
