package config

import (
	"runtime/debug"
	"time"
)

// written is when this source was released: no clock that is right shows an earlier time.
var written = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// Release returns the version of this program.
func Release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	if revision := buildSetting(info, "vcs.revision"); version == "(devel)" && len(revision) >= 12 {
		version += " " + revision[:12]
	}
	return version
}

// Built returns a time before which this program cannot have been built.
func Built() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		if t, err := time.Parse(time.RFC3339, buildSetting(info, "vcs.time")); err == nil && t.After(written) {
			return t
		}
	}
	return written
}

func buildSetting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
