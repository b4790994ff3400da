package command

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/quicproquo/qpq"
)

// Whole returns arguments with whole paths in place of those that begin at the folder that here returns, which stands for those that are missing: a
// command may run in another process, which is elsewhere. Front ends that people call from a folder do this before they call a command.
func (c *Command) Whole(args json.RawMessage, here func() (string, error)) (json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	if len(args) > 0 {
		if err := json.Unmarshal(args, &values); err != nil {
			return args, nil // Run says what is wrong with it
		}
	}
	changed := false
	for _, p := range c.Params {
		if !p.Path {
			continue
		}
		path := ""
		if raw, given := values[p.Name]; given && json.Unmarshal(raw, &path) != nil || !given && !p.Optional || given && path == "" {
			continue // Run says what is wrong with it
		}
		if !filepath.IsAbs(path) {
			folder, err := here()
			if err != nil {
				return nil, qpq.Wrap(qpq.NotFound, "no-folder", fmt.Sprintf("%s is no whole path, and the folder that it begins at is gone: write it from the root", p.Name), err)
			}
			path = filepath.Join(folder, path)
		}
		raw, err := json.Marshal(path)
		if err != nil {
			return nil, err
		}
		values[p.Name], changed = raw, true
	}
	if !changed {
		return args, nil
	}
	return json.Marshal(values)
}
