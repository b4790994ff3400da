//go:build !js

package disk

import (
	"path/filepath"

	"github.com/quicproquo/qpq/internal/files"
)

// syncFolder makes the name of a file durable.
func syncFolder(path string) error { return files.SyncDir(filepath.Dir(path)) }
