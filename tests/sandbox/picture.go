// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package sandbox

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Picture has the stat(2) fields of all files below some directories, except the access time.
// Writing anything changes it, even the same bytes again.
type Picture map[string]string

// PictureOf takes the picture of directories. It stays on their file systems.
func PictureOf(dirs ...string) Picture {
	picture := Picture{}
	for _, dir := range dirs {
		var device uint64
		_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			var s syscall.Stat_t
			if err == nil {
				err = syscall.Lstat(name, &s)
			}
			if err != nil {
				picture[name] = err.Error()
				return nil //nolint:nilerr // that it cannot be seen is part of the picture
			}
			if device == 0 {
				device = s.Dev
			}
			if s.Dev != device {
				if entry.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
			target, _ := os.Readlink(name)
			picture[name] = fmt.Sprintf("%o %d:%d %d inode %d links %d %d.%09d %d.%09d %s",
				s.Mode, s.Uid, s.Gid, s.Size, s.Ino, s.Nlink, s.Mtim.Sec, s.Mtim.Nsec, s.Ctim.Sec, s.Ctim.Nsec, target)
			return nil
		})
	}
	return picture
}

// Without returns the picture without some names.
func (p Picture) Without(leave func(name string) bool) Picture {
	rest := maps.Clone(p)
	maps.DeleteFunc(rest, func(name, _ string) bool { return leave(name) })
	return rest
}

// Since returns the changes since an earlier picture, one on each line.
func (p Picture) Since(before Picture) string {
	var changes []string
	for name, now := range p {
		switch then, there := before[name]; {
		case !there:
			changes = append(changes, "new: "+name+" "+now)
		case then != now:
			changes = append(changes, "changed: "+name+" from "+then+" to "+now)
		}
	}
	for name := range before {
		if _, there := p[name]; !there {
			changes = append(changes, "gone: "+name)
		}
	}
	slices.Sort(changes)
	return strings.Join(changes, "\n")
}

// Picture takes the picture of the upper layer and the running value. It leaves out the lock files.
func (h *Host) Picture() Picture {
	return PictureOf(h.Upper, h.Root+"/proc/sys/kernel").Without(func(name string) bool {
		file := strings.TrimPrefix(name, h.Upper)
		// Other new files in /run and in the root directory have entries of their own.
		return slices.Contains([]string{"", "/run", "/run/hardening.yama.lock", "/run/hardening.yama.cache.lock"}, file)
	})
}
