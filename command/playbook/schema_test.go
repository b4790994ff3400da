package playbook_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/quicproquo/qpq/command/playbook"
)

// conforms checks a value by the keywords of JSON schemas that Schema uses, and fails the test at any other.
func conforms(t *testing.T, root, schema map[string]any, v any) error {
	t.Helper()
	for word, is := range schema {
		if err := keyword(t, root, schema, word, is, v); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}

func keyword(t *testing.T, root, schema map[string]any, word string, is, v any) error {
	text, isText := v.(string)
	object, isObject := v.(map[string]any)
	switch word {
	case "$schema", "title", "description", "$defs", "properties":
	case "$ref":
		name := strings.TrimPrefix(is.(string), "#/$defs/")
		return conforms(t, root, root["$defs"].(map[string]any)[name].(map[string]any), v)
	case "type":
		types, ok := is.([]any)
		if !ok {
			types = []any{is}
		}
		for _, one := range types {
			if typeOf(v) == one || one == "number" && typeOf(v) == "integer" {
				return nil
			}
		}
		return fmt.Errorf("%v is none of %v", v, types)
	case "pattern":
		if isText && !regexp.MustCompile(is.(string)).MatchString(text) {
			return fmt.Errorf("%q does not match %v", text, is)
		}
	case "minLength":
		if isText && float64(len(text)) < is.(float64) {
			return fmt.Errorf("%q is too short", text)
		}
	case "minimum":
		if n, ok := v.(float64); ok && n < is.(float64) {
			return fmt.Errorf("%v is too small", n)
		}
	case "required":
		for _, name := range is.([]any) {
			if _, ok := object[name.(string)]; isObject && !ok {
				return fmt.Errorf("%v is missing", name)
			}
		}
	case "additionalProperties":
		properties, _ := schema["properties"].(map[string]any)
		for name, value := range object {
			of, ok := properties[name].(map[string]any)
			if !ok {
				if of, ok = is.(map[string]any); !ok {
					return fmt.Errorf("%s is unknown", name)
				}
			}
			if err := conforms(t, root, of, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case "items":
		list, _ := v.([]any)
		for i, item := range list {
			if err := conforms(t, root, is.(map[string]any), item); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case "not":
		if conforms(t, root, is.(map[string]any), v) == nil {
			return fmt.Errorf("%v conforms to what it must not", v)
		}
	case "anyOf", "oneOf":
		var errs []error
		for _, one := range is.([]any) {
			if err := conforms(t, root, one.(map[string]any), v); err != nil {
				errs = append(errs, err)
			}
		}
		fit := len(is.([]any)) - len(errs)
		if fit == 0 || word == "oneOf" && fit > 1 {
			return fmt.Errorf("%d fit: %v", fit, errs)
		}
	default:
		t.Fatalf("the schema uses %s, which this test does not know", word)
	}
	return nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// TestSchemaAgrees: what Load takes conforms to the schema, and what has wrong keys or values does not.
func TestSchemaAgrees(t *testing.T) {
	raw, err := playbook.Schema()
	check(t, err)
	var schema map[string]any
	check(t, json.Unmarshal(raw, &schema))
	read := func(path string) any {
		data, err := os.ReadFile(path)
		check(t, err)
		b, err := yaml.YAMLToJSON(data)
		check(t, err)
		var v any
		check(t, json.Unmarshal(b, &v))
		return v
	}
	for _, pattern := range []string{"../../playbooks/*.yaml", "testdata/play/*.yaml"} {
		list, err := filepath.Glob(pattern)
		check(t, err)
		if len(list) == 0 {
			t.Fatalf("there is no %s", pattern)
		}
		for _, path := range list {
			if err := conforms(t, schema, schema, read(path)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	for _, name := range []string{"keys", "list", "missing"} {
		if conforms(t, schema, schema, read("testdata/wrong/"+name+".yaml")) == nil {
			t.Errorf("%s conforms", name)
		}
	}
	values := read("testdata/wrong/values.yaml").(map[string]any)
	step := schema["$defs"].(map[string]any)["step"].(map[string]any)
	refused := 0
	for _, s := range values["steps"].([]any) {
		if conforms(t, schema, step, s) != nil {
			refused++
		}
	}
	if refused < 6 { // it knows nothing of what is in texts but how they begin
		t.Errorf("%d steps of values.yaml are refused", refused)
	}
}
