package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/quicproquo/qpq"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the schema as goose migrations, one SQL file a version.
func Migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return sub
}

// Migration says how a backend brings its schema up to date.
type Migration struct {
	DB      *sql.DB
	Dialect goose.Dialect
	Files   fs.FS // nil means Migrations
	// Clustered is appended to tables that the schema marks so, as WITHOUT ROWID; empty appends nothing.
	Clustered string
	// Copy keeps the data as they are before an upgrade from the version given; not called for a new
	// store. Nil leaves copies to the operator.
	Copy func(ctx context.Context, from int64) error
}

// clusteredMark marks tables in the schema.
const clusteredMark = "/* clustered */"

// rewritten is a file system whose files have text replaced.
type rewritten struct {
	fs.FS
	by *strings.Replacer
}

// Open implements fs.FS.
func (r rewritten) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if info.IsDir() {
		return f, nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return rewrittenFile{f, strings.NewReader(r.by.Replace(string(text)))}, nil
}

// rewrittenFile is a file with another text.
type rewrittenFile struct {
	fs.File
	text *strings.Reader
}

// Read implements fs.File.
func (f rewrittenFile) Read(p []byte) (int, error) { return f.text.Read(p) }

// Migrate brings the schema to the newest version it knows. It returns Unsupported with code
// "schema-too-new", having changed nothing, if a later release has been here.
func Migrate(ctx context.Context, m Migration) error {
	if m.Files == nil {
		m.Files = Migrations()
	}
	if m.Clustered != "" {
		m.Files = rewritten{m.Files, strings.NewReplacer(clusteredMark, m.Clustered)}
	}
	p, err := goose.NewProvider(m.Dialect, m.DB, m.Files, goose.WithTableName("schema_version"),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case have > want:
		return qpq.E(qpq.Unsupported, "schema-too-new", fmt.Sprintf("the store has schema %d, and this program "+
			"knows schemas up to %d: run a release that knows schema %d, or restore the copy made before the upgrade",
			have, want, have))
	case have == want:
		return nil
	case have > 0 && m.Copy != nil:
		if err := m.Copy(ctx, have); err != nil {
			return fmt.Errorf("copy the store before its upgrade from schema %d to %d: %w", have, want, err)
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("upgrade the store from schema %d to %d: %w", have, want, err)
	}
	return nil
}
