package main

import (
	"runtime/debug"
	"time"
)

// written is when this source was released: no clock that is right shows an earlier time.
var written = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// release returns the version of this program.
func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	if revision := setting(info, "vcs.revision"); version == "(devel)" && len(revision) >= 12 {
		version += " " + revision[:12]
	}
	return version
}

// built returns a time before which this program cannot have been built.
func built() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		if t, err := time.Parse(time.RFC3339, setting(info, "vcs.time")); err == nil && t.After(written) {
			return t
		}
	}
	return written
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
