// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"fmt"
	"path"
)

// procps compares each drop-in whose name is a pattern with each name in its directory, and each
// pattern that excludes names with each path that another pattern becomes. No host has many of
// them; where they are many, it takes procps minutes.
const (
	// namesLimit bounds the comparisons of names.
	namesLimit = 1 << 14
	// excludedLimit bounds the comparisons of patterns with other spellings of the key, each by the
	// product of the lengths.
	excludedLimit = 10_000_000
)

// Check returns an error where `sysctl --system` would have too much to compare for us to follow.
func (t Tree) Check() error {
	count := map[string]int{} // of the files in a directory
	for i := range t {
		count[path.Dir(t[i].Path)]++
	}
	compared, excluding, excluded := 0, 0, 0
	last := ""
	for i := range t {
		f := &t[i]
		if namesOthers(path.Base(f.Path)) {
			names, complete := braces(path.Base(f.Path))
			if compared += len(names) * count[path.Dir(f.Path)]; !complete || compared > namesLimit {
				return fmt.Errorf("read %.300q: its name is a pattern to `sysctl --system`, which is compared with too many names: rename the file", f.Path)
			}
		}
		for j := range f.reload {
			switch l := &f.reload[j]; {
			case !l.pattern:
			case l.exclude:
				excluding += len(l.name)
			case !l.usual:
				excluded += len(l.target)
				last = Setting{Path: f.Path, Line: l.number}.Source()
			}
		}
	}
	if excluding > 0 && excluded > excludedLimit/excluding {
		return fmt.Errorf("read %s: this and other lines spell the key in an unusual way, and `sysctl --system` compares them with too many patterns "+
			"that exclude names: remove the slashes and dots from the names that are not needed", last)
	}
	return nil
}
