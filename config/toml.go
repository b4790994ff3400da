package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
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
		if table, ok := v.(map[string]any); ok && slices.ContainsFunc(t.Groups, func(g Group) bool { return g.Name == key }) {
			if err := group(values, b, key, table); err != nil {
				return nil, err
			}
			continue
		}
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

// group reads the lines of a table of the file.
func group(values map[string]value, b []byte, name string, table map[string]any) error {
	for key, v := range table {
		line := lineWithin(b, name, key)
		text, err := scalar(v)
		if list, ok := v.([]any); ok { // several with a space between them
			var texts []string
			for _, v := range list {
				one, wrong := scalar(v)
				texts, err = append(texts, one), wrong
			}
			text = strings.Join(texts, " ")
		}
		if err != nil {
			return fmt.Errorf("line %d: %s %w", line, key, err)
		}
		values[name+"."+key] = value{text, line}
	}
	return nil
}

// lineWithin finds the line where a key of a table stands.
func lineWithin(b []byte, name, key string) int {
	start := lineOf(b, name)
	lines := strings.Split(string(b), "\n")
	rest := strings.Join(lines[min(start, len(lines)):], "\n")
	if dotted := lineOf(b, name+"."+key); dotted > 1 || strings.HasPrefix(strings.TrimSpace(lines[0]), name+".") {
		return dotted
	}
	return start + lineOf([]byte(rest), key)
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
	if near := t.near(key); near != nil && !near.NoFile {
		return fmt.Sprintf(": perhaps %q is meant", near.Name)
	}
	if t.Listed != "" {
		return ": " + t.Listed + " lists them all"
	}
	return ": --print-config lists them all"
}

// near returns the setting that a key is probably meant to be, nil if none is like it.
func (t *Table) near(key string) *Setting {
	bare := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
	}
	for i := range t.Settings {
		a, b := bare(t.Settings[i].Name), bare(key)
		if b != "" && (distance(a, b) <= 1+len(a)/6 || len(b) > 3 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))) {
			return &t.Settings[i]
		}
	}
	return nil
}

// distance is how many letters must be put in, left out or replaced to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Line returns a setting as it stands in a file, without the line break.
func (s Setting) Line() string {
	text := s.Value.String()
	switch s.Value.Type() {
	case "bool", "int":
		return s.Name + " = " + text
	}
	line, err := toml.Marshal(map[string]string{s.Name: text})
	if err != nil {
		panic(err) // a table of one text
	}
	return strings.TrimSuffix(string(line), "\n")
}
