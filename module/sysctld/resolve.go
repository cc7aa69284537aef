// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
)

// Dirs are the directories of sysctl.d(5), the higher first: a file hides all of the same name in those below.
var Dirs = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"}

// Conf is the file that procps reads after all drop-ins and systemd-sysctl does not read at all.
const Conf = "/etc/sysctl.conf"

// File is a file as the loaders see it.
type File struct {
	Path string
	// Mask is true for a link to /dev/null and for an empty file.
	Mask bool
	// Lines name the key; nil for a file that does not.
	Lines []Line
}

// Tree is every file that a loader may read. Each path stands in it once.
type Tree []File

// Setting is the line that wins.
type Setting struct {
	Path  string
	Line  int
	Value string
}

// Source returns the setting's place as file:line.
func (s Setting) Source() string { return fmt.Sprintf("%s:%d", s.Path, s.Line) }

// Boot returns what systemd-sysctl sets at boot, and false where nothing names the key.
func (t Tree) Boot() (Setting, bool) {
	return winner(t.dropIns(func(name string) bool { return !strings.HasPrefix(name, ".") }))
}

// Reload returns what `sysctl --system` of procps sets, and false where nothing names the key. Unlike the boot's
// loader it reads hidden files, and Conf after all others.
func (t Tree) Reload() (Setting, bool) {
	files := t.dropIns(func(string) bool { return true })
	if conf, ok := t.Find(Conf); ok {
		files = append(files, conf)
	}
	return winner(files)
}

// Find returns the file at a path.
func (t Tree) Find(path string) (File, bool) {
	for _, f := range t {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// With returns the tree with a file put in place of the one at its path.
func (t Tree) With(file File) Tree { return append(t.Without(file.Path), file) }

// Without returns the tree without the file at a path.
func (t Tree) Without(path string) Tree {
	return slices.DeleteFunc(slices.Clone(t), func(f File) bool { return f.Path == path })
}

// Overrides tells whether the first file hides the second: the same name in a higher directory.
func Overrides(higher, lower string) bool {
	return path.Base(higher) == path.Base(lower) && rank(higher) < rank(lower)
}

func rank(file string) int {
	if i := slices.Index(Dirs, path.Dir(file)); i >= 0 {
		return i
	}
	return len(Dirs)
}

// dropIns returns the files of Dirs in the order they are read: one for each name, from the highest directory that has
// it, sorted by name as bytes.
func (t Tree) dropIns(reads func(name string) bool) []File {
	byName := map[string]File{}
	for _, f := range t {
		name := path.Base(f.Path)
		if rank(f.Path) == len(Dirs) || !strings.HasSuffix(name, ".conf") || !reads(name) {
			continue
		}
		if seen, ok := byName[name]; !ok || rank(f.Path) < rank(seen.Path) {
			byName[name] = f
		}
	}
	files := make([]File, 0, len(byName))
	for _, f := range byName {
		files = append(files, f)
	}
	sort.Slice(files, func(i, j int) bool { return path.Base(files[i].Path) < path.Base(files[j].Path) })
	return files
}

// winner returns the last assignment by name, or, where there is none and nothing excludes the key, the last by pattern.
func winner(files []File) (Setting, bool) {
	var named, matched *Setting
	excluded := false
	for _, f := range files {
		if f.Mask {
			continue
		}
		for _, l := range f.Lines {
			setting := &Setting{Path: f.Path, Line: l.Number, Value: l.Value}
			switch {
			case l.Exclude:
				excluded = true
			case l.Glob:
				matched = setting
			default:
				named = setting
			}
		}
	}
	switch {
	case named != nil:
		return *named, true
	case matched != nil && !excluded:
		return *matched, true
	}
	return Setting{}, false
}
