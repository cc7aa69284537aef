// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"bytes"
	"path"
	"slices"
	"sort"
	"strings"
)

// procps: src/sysctl.c of procps 4.0.2 to 4.0.7, which agree in all that is here but what `-pattern` excludes.

// reloadBlanks is isspace(3) in the C locale.
const reloadBlanks = " \t\n\v\f\r"

// parseReload returns the lines of a file that name the key, as `sysctl --system` reads them.
func parseReload(content []byte, key string, patternsExclude bool) []line {
	var lines []line
	for number, at := 1, 0; at < len(content); number++ {
		whole, _, _ := bytes.Cut(content[at:], []byte{'\n'})
		text, _, _ := bytes.Cut(whole, []byte{0}) // to C, a line ends there
		if l, ok := parseReloadLine(string(text), key, patternsExclude); ok {
			l.number, l.at = number, at
			lines = append(lines, l)
		}
		at += len(whole) + 1
	}
	return lines
}

func parseReloadLine(text, key string, patternsExclude bool) (line, bool) {
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
	l := line{name: dotted(name), value: strings.Trim(value, reloadBlanks), exclude: !assigned}
	l.pattern = isPattern(l.name)
	var reached bool
	l.target, reached = reach(l.name, key, l.pattern)
	if !l.exclude {
		return l, reached
	}
	l.aside = !reached
	if patternsExclude {
		// Every exclusion is a pattern then, which differs from a name where there is a mark or a backslash.
		l.pattern = l.pattern || strings.Contains(l.name, `\`)
		return l, reached || l.pattern
	}
	return l, reached && !l.pattern
}

// reach returns the path that a name becomes below /proc/sys and whether that is the key's file. Unlike systemd, procps
// leaves superfluous slashes and dots where they are, so the path may be spelled in other ways than the key.
func reach(name, key string, pattern bool) (string, bool) {
	want := strings.Split(key, "/")
	parts := strings.Split(name, "/")
	if pattern {
		parts = pathParts(name)
	}
	at := 0
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case (part == "" || part == ".") && !last:
		case part == ".." && !last && at > 0:
			at--
		case at < len(want) && (part == want[at] || pattern && match(part, want[at])):
			parts[i] = want[at]
			at++
		default:
			return "", false
		}
	}
	return strings.Join(parts, "/"), at == len(want)
}

// Reload returns what `sysctl --system` leaves in the kernel, and false where it sets nothing.
func (t Tree) Reload() (Setting, bool) { return kept(t.reloadWrites()) }

// reloadWrites returns what `sysctl --system` writes, in that order: every assignment, except by patterns that become a
// path which some line names, be it to exclude it.
func (t Tree) reloadWrites() []Setting {
	var files []File
	for _, f := range t.dropIns(func(File) bool { return true }) {
		files = append(files, t.opened(f)...)
	}
	if conf, ok := t.Find(Conf); ok {
		files = append(files, conf)
	}
	named := map[string]bool{}
	var excluded []string
	for _, f := range files {
		for _, l := range f.reload {
			switch {
			case !l.pattern:
				named[l.name] = true
			case l.exclude:
				excluded = append(excluded, l.name)
			}
		}
	}
	var writes []Setting
	for _, f := range files {
		for _, l := range f.reload {
			// fnmatch(3) without FNM_PATHNAME: here a star matches slashes.
			skipped := l.pattern && (named[l.target] || slices.ContainsFunc(excluded, func(p string) bool { return match(p, l.target) }))
			if !l.exclude && !skipped {
				writes = append(writes, Setting{f.Path, l.number, l.value})
			}
		}
	}
	return writes
}

// opened returns the files that procps reads for a drop-in. It takes the file's own name for a pattern, and for the name
// only where that matches nothing.
func (t Tree) opened(f File) []File {
	dir, name := path.Split(f.Path)
	if !strings.ContainsAny(name, patternMarks+"{\\") {
		return []File{f}
	}
	matched := func(patterns ...string) (files []File) {
		for _, pattern := range patterns {
			from := len(files)
			for _, other := range t {
				otherDir, otherName := path.Split(other.Path)
				hidden := strings.HasPrefix(otherName, ".") && !strings.HasPrefix(strings.TrimPrefix(pattern, `\`), ".")
				if otherDir == dir && !hidden && match(pattern, otherName) {
					files = append(files, other)
				}
			}
			matches := files[from:]
			sort.Slice(matches, func(i, j int) bool { return matches[i].Path < matches[j].Path })
		}
		return files
	}
	files := matched(braces(name)...)
	if files == nil {
		files = matched(name) // its braces stand for themselves
	}
	if files == nil {
		return []File{f}
	}
	// The first that cannot be opened ends it.
	if broken := slices.IndexFunc(files, func(f File) bool { return f.broken }); broken >= 0 {
		return files[:broken]
	}
	return files
}
