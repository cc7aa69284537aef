// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"path"
	"slices"
	"strings"
)

// procps: src/sysctl.c of procps 4.0.2 to 4.0.7, which agree in all that is here but what
// `-pattern` excludes.

// reloadBlanks is isspace(3) in the C locale.
const reloadBlanks = " \t\n\v\f\r"

// parseReload returns the lines of a file that name the key, as `sysctl --system` reads them.
func parseReload(content []byte, key string, patternsExclude bool) []line {
	all := string(content)
	var lines []line
	last := &spelling{}
	for number, at := 1, 0; at < len(all); number++ {
		whole, _, _ := strings.Cut(all[at:], "\n")
		text, _, _ := strings.Cut(whole, "\x00") // to C, a line ends there
		if l, ok := parseReloadLine(text, key, patternsExclude, &last); ok {
			l.number, l.at = number, at
			lines = append(lines, l)
		}
		at += len(whole) + 1
	}
	return lines
}

// parseReloadLine reads a line. The spelling of the last one is used again where it is the same.
func parseReloadLine(text, key string, patternsExclude bool, last **spelling) (line, bool) {
	text = strings.TrimLeft(text, reloadBlanks)
	if len(text) < 1 || text[0] == '#' || text[0] == ';' {
		return line{}, false
	}
	name, value, assigned := strings.Cut(text, "=")
	name, minus := strings.CutPrefix(name, "-")
	if !assigned && !minus {
		return line{}, false
	}
	name = strings.TrimPrefix(strings.TrimRight(name, reloadBlanks), "-") // a second one is dropped as well
	if name != (*last).written || (*last).exclude == assigned {
		*last = reloadSpelling(name, key, !assigned, patternsExclude)
	}
	if !(*last).ours {
		return line{}, false
	}
	value = strings.Trim(value, reloadBlanks)
	return line{spelling: *last, value: value, scope: scopeIn(value)}, true
}

func reloadSpelling(written, key string, exclude, patternsExclude bool) *spelling {
	s := &spelling{written: written, exclude: exclude}
	// Every exclusion is a pattern to a new procps, which differs from a name where there is a mark
	// or a backslash.
	marked := isPattern(written)
	s.pattern = marked || exclude && patternsExclude && strings.Contains(written, `\`)
	if !s.pattern && !strings.HasSuffix(written, path.Base(key)) {
		return s // most lines of most files
	}
	s.name = dotted(written)
	s.target, s.ours = reach(s.name, key, marked)
	s.usual = s.target == key
	if exclude {
		s.aside = !s.ours
		s.hits = s.pattern && match(s.name, key)
		s.ours = s.pattern && patternsExclude || s.ours && !s.pattern
	}
	return s
}

// pathLimit is PATH_MAX, with the NUL at the end: open(2) and stat(2) refuse a path that is longer.
const pathLimit = 4096

// reach returns the path that a name becomes below /proc/sys and whether that is the key's file.
// Unlike systemd, procps leaves superfluous slashes and dots where they are, so the path may be
// spelled in other ways than the key, and become too long.
func reach(name, key string, pattern bool) (string, bool) {
	want := strings.Split(key, "/")
	var target strings.Builder
	at := 0
	for last := false; !last; {
		var part string
		var more bool
		part, name, more = strings.Cut(name, "/")
		last = !more
		if pattern && !last {
			part = withoutEscapedEnd(part)
		}
		switch {
		case (part == "" || part == ".") && !last:
		case part == ".." && !last && at > 0:
			at--
		case at < len(want) && (part == want[at] || pattern && match(part, want[at])):
			part = want[at]
			at++
		default:
			return "", false
		}
		target.WriteString(part)
		if !last {
			target.WriteByte('/')
		}
		if len("/proc/sys/")+target.Len() >= pathLimit {
			return "", false
		}
	}
	return target.String(), at == len(want)
}

// Reload returns what `sysctl --system` leaves in the kernel, and false where it sets nothing.
func (t Tree) Reload() (Setting, bool) { return stays([]run{t.reloadRun()}) }

// reloadRun returns what `sysctl --system` reads. busybox has no such command.
func (t Tree) reloadRun() (r run) {
	if t.boots() == Alpine {
		return r
	}
	for _, dropIn := range t.dropIns(func(*File) bool { return true }) {
		for _, f := range t.opened(dropIn) {
			r.lines = f.say(f.reload, r.lines)
		}
	}
	if conf := t.find(Conf); conf != nil {
		r.lines = conf.say(conf.reload, r.lines)
	}
	return r
}

// namesOf returns how many lines name each path, and what tells whether a pattern excludes the path
// that a pattern becomes. Where no pattern assigns the key, which is most hosts, nobody asks for
// either.
func namesOf(lines []said) (named map[string]int, excluded func(*spelling) bool) {
	excluded = func(*spelling) bool { return false }
	assigns := false
	for _, l := range lines {
		assigns = assigns || l.pattern && !l.exclude
	}
	if !assigns {
		return nil, excluded
	}
	named = map[string]int{}
	var patterns []string
	hits := false
	for _, l := range lines {
		switch {
		case !l.pattern:
			named[l.name]++
		case l.exclude:
			patterns = append(patterns, l.name)
			hits = hits || l.hits
		}
	}
	// fnmatch(3) without FNM_PATHNAME: here a star matches slashes.
	known := map[string]bool{}
	return named, func(l *spelling) bool {
		if l.usual {
			return hits
		}
		answer, asked := known[l.target]
		if !asked {
			answer = slices.ContainsFunc(patterns, func(p string) bool { return match(p, l.target) })
			known[l.target] = answer
		}
		return answer
	}
}

// opened returns the files that procps reads for a drop-in. It takes the file's own name for a
// pattern, and for the name only where that matches nothing.
func (t Tree) opened(f *File) []*File {
	dir, name := path.Split(f.Path)
	if !namesOthers(name) {
		return []*File{f}
	}
	byPath := t.byPath()
	matched := func(patterns ...string) (files []*File) {
		for _, pattern := range patterns {
			var paths []string
			for file := range byPath {
				other, below := strings.CutPrefix(file, dir)
				hidden := strings.HasPrefix(other, ".") && !strings.HasPrefix(strings.TrimPrefix(pattern, `\`), ".")
				if below && !strings.Contains(other, "/") && !hidden && match(pattern, other) {
					paths = append(paths, file)
				}
			}
			slices.Sort(paths)
			for _, file := range paths {
				files = append(files, byPath[file])
			}
		}
		return files
	}
	names, _ := braces(name)
	files := matched(names...)
	if files == nil {
		files = matched(name) // its braces stand for themselves
	}
	if files == nil {
		return []*File{f}
	}
	// The first that cannot be opened ends it.
	for i, f := range files {
		if f.broken {
			return files[:i]
		}
	}
	return files
}

// namesOthers tells whether a file's name may stand for others, to procps.
func namesOthers(name string) bool { return strings.ContainsAny(name, patternMarks+"{\\") }
