// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"path"
	"slices"
	"strings"
)

// alpineDirs is the order of Alpine's /etc/init.d/sysctl: main/openrc/sysctl.initd of aports. It
// gives one file after the other to `sysctl -p`, which is busybox's or that of procps. No directory
// has a higher rank there: the last write counts.
var alpineDirs = []string{LibDir, VendorDir, etcDir, Conf, runDir}

// alpineRuns returns what the programs read that Alpine's script starts.
func (t Tree) alpineRuns() (runs []run) {
	files := t.byPath()
	for _, dir := range alpineDirs {
		from := t.dropIns(func(f *File) bool {
			return path.Dir(f.Path) == dir && f.alpineReads() && hiderOf(files, f, Alpine) == nil
		})
		if f := files[dir]; f != nil && f.regular {
			from = []*File{f} // of Conf
		}
		for _, f := range from {
			opened := []*File{f}
			if t.boots() == AlpineProcps {
				opened = t.opened(f)
			}
			var r run
			for _, f := range opened {
				r.lines = f.say(f.boot, r.lines)
			}
			runs = append(runs, r)
		}
	}
	return runs
}

// alpineReads tells whether Alpine's script reads a file, unless another one hides it.
func (f *File) alpineReads() bool {
	dir, name := path.Split(f.Path)
	dropIn := slices.Contains(alpineDirs, path.Clean(dir)) && strings.HasSuffix(name, ".conf") && name[0] != '.'
	return f.regular && (dropIn || f.Path == Conf)
}

// parseBusybox returns the lines of a file that set the key, as `sysctl -p` of busybox reads them:
// procps/sysctl.c and libbb/parse_config.c of busybox 1.35 to 1.37. It knows no patterns, and a
// minus is part of a name.
func parseBusybox(content []byte, key string) (lines []line) {
	all := string(content)
	itself := &spelling{written: key, name: key, target: key, ours: true, usual: true}
	for number, at := 1, 0; at < len(all); {
		l := line{spelling: itself, number: number, at: at}
		text := ""
		for again := true; again && at < len(all); number++ {
			part, _, _ := strings.Cut(all[at:], "\n")
			at += len(part) + 1
			part, again = strings.CutSuffix(part, `\`)
			text += part
		}
		text, _, _ = strings.Cut(text, "\x00") // to C, a line ends there
		name, value, _ := strings.Cut(strings.TrimLeft(text, reloadBlanks), "=")
		if value != "" && value[0] != '#' && busyboxReaches(strings.TrimRight(name, reloadBlanks), key) {
			l.value = strings.Trim(value, reloadBlanks)
			l.scope = scopeIn(l.value)
			lines = append(lines, l)
		}
	}
	return lines
}

// busyboxReaches tells whether a name becomes the key's file: sysctl_dots_to_slashes() swaps dots
// and slashes where a dot is the first of them. Otherwise it makes as few dots slashes as lead to a
// file that exists. A comment begins with no name.
func busyboxReaches(name, key string) bool {
	name = strings.TrimPrefix(name, "/proc/sys/")
	first := strings.IndexAny(name, "./")
	if first <= 0 {
		return false
	}
	if name[first] == '.' && strings.Contains(name, "/") {
		name = dotted(name)
	} else if _, ours := reach(strings.ReplaceAll(name, ".", "/"), key, false); ours {
		return true
	}
	_, ours := reach(name, key, false)
	return ours
}
