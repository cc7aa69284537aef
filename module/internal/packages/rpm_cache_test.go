// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hardening.yama/module/plugin/port"
)

// TestRPMCache: an answer is given again as long as nothing has touched what it is true of, and
// only if it lies where nobody else could have written it.
func TestRPMCache(t *testing.T) {
	found := []port.Package{{Name: "gdb", Version: "17.1-1"}, {Name: "strace", Version: "2:7.0-1"}}
	names := []string{"gdb", "rr", "strace"}
	later := func() time.Time { return time.Now().Add(time.Hour) }
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		names  []string
		again  bool
	}{
		"nothing happened": {again: true},
		"somebody asked": {change: func(t *testing.T,
			dir string) {
			chmod(t, filepath.Join(dir, "db-wal"), 0o640)
		}, again: true},
		"something was installed": {change: func(t *testing.T,
			dir string) {
			write(t, filepath.Join(dir, "db"), "longer than before")
		}},
		"as long as before": {change: func(t *testing.T,
			dir string) {
			write(t, filepath.Join(dir, "db"), "DATABASE")
		}},
		"replaced, with its time": {change: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "new"), "database")
			info := stat(t, filepath.Join(dir, "db"))
			if err := os.Chtimes(filepath.Join(dir, "new"), info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			rename(t, filepath.Join(dir, "new"), filepath.Join(dir, "db"))
		}},
		"written, with its time": {change: func(t *testing.T, dir string) {
			info := stat(t, filepath.Join(dir, "db"))
			write(t, filepath.Join(dir, "db"), "DATABASE")
			if err := os.Chtimes(filepath.Join(dir, "db"), info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}},
		"not yet in the file": {change: func(t *testing.T,
			dir string) {
			write(t, filepath.Join(dir, "db-wal"), "a change")
		}},
		"the journal is gone": {change: func(t *testing.T,
			dir string) {
			remove(t, filepath.Join(dir, "db-wal"))
		}},
		"the database is gone": {change: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "db")) }},
		"another database": {change: func(t *testing.T,
			dir string) {
			write(t, filepath.Join(dir, "other"), "")
		}},
		"another question": {names: []string{"gdb", "strace"}},
		"others can write it": {change: func(t *testing.T,
			dir string) {
			chmod(t, filepath.Join(dir, "cache"), 0o666)
		}},
		"a link": {change: func(t *testing.T, dir string) { link(t, filepath.Join(dir, "cache")) }},
		"a run was ended too early": {change: func(t *testing.T,
			dir string) {
			shorten(t, filepath.Join(dir, "cache"))
		}},
		"a directory": {change: func(t *testing.T,
			dir string) {
			directory(t, filepath.Join(dir, "cache"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "db"), "database")
			write(t, filepath.Join(dir, "db-wal"), "")
			files := []string{filepath.Join(dir, "db"), filepath.Join(dir, "db-wal"), filepath.Join(dir, "other")}
			file := filepath.Join(dir, "cache")
			if _, ok := rpmCacheFor(file, files, names, later()).read(); ok {
				t.Fatal("an answer before there is one")
			}
			if c := rpmCacheFor(file, files, names, time.Now()); c.state != "" {
				t.Error("the database has just changed, and yet an answer would be kept")
			}
			rpmCacheFor(file, files, names, later()).write(found)
			time.Sleep(20 * time.Millisecond) // longer than time stamps are coarse; outside of tests there is quiet
			if c.change != nil {
				c.change(t, dir)
			}
			if c.names == nil {
				c.names = names
			}
			got, ok := rpmCacheFor(file, files, c.names, later()).read()
			if ok != c.again || ok && !slices.Equal(got, found) {
				t.Errorf("got %v, %v", got, ok)
			}
		})
	}
	rpmCache{}.write(found)
	if _, ok := (rpmCache{}).read(); ok {
		t.Error("an answer of what cannot be kept")
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	check(t, os.WriteFile(file, []byte(content), 0o600))
}

func chmod(t *testing.T, file string, mode os.FileMode) { t.Helper(); check(t, os.Chmod(file, mode)) }
func remove(t *testing.T, file string)                  { t.Helper(); check(t, os.Remove(file)) }
func rename(t *testing.T, from, to string)              { t.Helper(); check(t, os.Rename(from, to)) }

func link(t *testing.T, file string) {
	t.Helper()
	rename(t, file, file+".real")
	check(t, os.Symlink(file+".real", file))
}

func directory(t *testing.T, file string) {
	t.Helper()
	remove(t, file)
	check(t, os.Mkdir(file, 0o600))
}

func shorten(t *testing.T, file string) {
	t.Helper()
	check(t, os.Truncate(file, stat(t, file).Size()-1))
}

func stat(t *testing.T, file string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(file)
	check(t, err)
	return info
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
