package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/quicproquo/qpq"
)

// maxLog is how large the log gets before it is set aside, in bytes; one older log is kept.
const maxLog = 1 << 20

// openLog opens the log of the profile: what commands were run and how they ended, never names, arguments or contents.
func openLog(s *settings) (*slog.Logger, func() error, error) {
	if err := os.MkdirAll(filepath.Dir(s.log), 0o700); err != nil {
		return nil, nil, logError(s.log, err)
	}
	if info, err := os.Stat(s.log); err == nil && info.Size() > maxLog {
		if err := os.Rename(s.log, s.log+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, nil, logError(s.log, err)
		}
	}
	f, err := os.OpenFile(s.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, logError(s.log, err)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: level})), f.Close, nil
}

func logError(path string, cause error) error {
	return qpq.Wrap(qpq.Unavailable, "log-unusable", fmt.Sprintf("the log %s cannot be written: %v: make its folder writable, or set XDG_STATE_HOME", path, cause), cause)
}
