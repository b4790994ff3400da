package profile

import "fmt"

// Schemas is how many versions of the schema there are.
func Schemas() int { return len(migrations) }

// OpenAt opens a database as the release did that knew n versions of the schema, and some that there are not yet.
func OpenAt(c Config, n int, further ...string) (*Profile, error) {
	return open(c, append(migrations[:n:n], further...))
}

// Version returns that of the schema.
func (p *Profile) Version() (int, error) { return p.version() }

// SetSchema pretends that the database has another version of the schema.
func SetSchema(p *Profile, version int) error {
	return p.db.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, version))
}

// ImageAt makes a profile in memory as a release that knows n versions of the schema would.
func ImageAt(key []byte, n int) ([]byte, error) {
	var m Memory
	folder := memories.enter(&m)
	defer memories.leave(folder)
	p, err := OpenAt(Config{Path: folder + fileMemory, Key: key, VFS: memoryVFS}, n)
	if err != nil {
		return nil, err
	}
	if err := p.Close(); err != nil {
		return nil, err
	}
	return m.Image()
}

// Files returns the names of the files in a memory.
func (m *Memory) Files() (names []string) {
	for name := range m.files {
		names = append(names, name)
	}
	return names
}

// Backlog returns how many entries are not in the index.
func (p *Profile) Backlog() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.backlog()
	if err != nil {
		panic(err)
	}
	return n
}

// Undo makes of the newest schema an older one: 7 counts no entries that are new as they come, 8 has them counted, and an index without pairs of words.
func Undo(p *Profile, version int) error {
	undo := `ALTER TABLE entries DROP COLUMN placed;`
	if version < 8 {
		undo += `DROP TABLE unread;`
	}
	return p.db.Exec(undo + fmt.Sprintf(`PRAGMA user_version = %d`, version))
}
