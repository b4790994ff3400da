package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"
)

// value is what the file says of a setting.
type value struct {
	text string
	line int
}

// parse reads a TOML file of flat keys. An unknown key is an error: a misspelt setting must not be
// taken for one at its default.
func (t *Table) parse(b []byte) (map[string]value, error) {
	raw := map[string]any{}
	if _, err := toml.Decode(string(b), &raw); err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %s", at.Position.Line, at.Message)
		}
		return nil, err
	}
	known := map[string]bool{}
	for _, s := range t.Settings {
		known[s.Name] = !s.NoFile
	}
	values := map[string]value{}
	for key, v := range raw {
		line := lineOf(b, key)
		if !known[key] {
			return nil, fmt.Errorf("line %d: there is no setting %q%s", line, key, t.similar(key))
		}
		text, err := scalar(v)
		if err != nil {
			return nil, fmt.Errorf("line %d: %s %w", line, key, err)
		}
		values[key] = value{text, line}
	}
	return values, nil
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int64, float64:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("takes one text, number, or true or false")
}

// lineOf finds the line where a key of the top level stands.
func lineOf(b []byte, key string) int {
	at := regexp.MustCompile(`^\s*\[*\s*["']?` + regexp.QuoteMeta(key) + `["']?\s*[=.\]]`)
	for i, line := range strings.Split(string(b), "\n") {
		if at.MatchString(line) {
			return i + 1
		}
	}
	return 1
}

// similar suggests the setting that was probably meant.
func (t *Table) similar(key string) string {
	bare := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
	}
	for _, s := range t.Settings {
		if a, b := bare(s.Name), bare(key); !s.NoFile && (a == b || strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
			return fmt.Sprintf(": perhaps %q is meant", s.Name)
		}
	}
	return ": --print-config lists them all"
}

func quote(v pflag.Value) string {
	switch v.Type() {
	case "bool", "int":
		return v.String()
	}
	return strconv.Quote(v.String())
}
