// SPDX-License-Identifier: GPL-3.0-or-later

// Package sysctld is the format of sysctl.d(5): what a file says about one key, and which file wins at boot
// (systemd-sysctl) and on `sysctl --system` (procps). It does no I/O: a Tree holds what was read.
package sysctld

import (
	"bytes"
	"path"
	"strconv"
	"strings"
)

// Line is a line of a file that says something about a key.
type Line struct {
	// Number counts from 1.
	Number int
	// Value is what follows the equals sign, without blanks around it.
	Value string
	// Glob is true where the line names the key by a pattern.
	Glob bool
	// Exclude is true for a line `-key` without a value: patterns skip this key.
	Exclude bool
}

// Parse returns the lines of a file that name the key, in their order. The key is written with dots, as
// kernel.yama.ptrace_scope. Lines that are no assignment, comments (# and ;) and other keys are passed over.
func Parse(content []byte, key string) []Line {
	want := normalize(key)
	var lines []Line
	for number := 1; len(content) > 0; number++ {
		var text []byte
		text, content, _ = bytes.Cut(content, []byte{'\n'})
		if line, ok := parseLine(string(text), want); ok {
			line.Number = number
			lines = append(lines, line)
		}
	}
	return lines
}

const blanks = " \t\r\n"

func parseLine(text, want string) (Line, bool) {
	text = strings.Trim(text, blanks)
	if text == "" || text[0] == '#' || text[0] == ';' {
		return Line{}, false
	}
	name, value, assigned := strings.Cut(text, "=")
	// A leading minus on an assignment means "ignore a failure"; alone it excludes the key from patterns.
	name, minus := strings.CutPrefix(name, "-")
	if !assigned && !minus {
		return Line{}, false
	}
	name = normalize(strings.Trim(name, blanks))
	glob := strings.ContainsAny(name, "*?[")
	if name != want {
		if matched, err := path.Match(name, want); !glob || err != nil || !matched {
			return Line{}, false
		}
	}
	return Line{Value: strings.Trim(value, blanks), Glob: glob, Exclude: !assigned}, true
}

// normalize turns a key's spelling into a path below /proc/sys. Where a slash comes before the first dot, the name is
// a path already; otherwise dots separate and slashes stand for dots.
func normalize(name string) string {
	i := strings.IndexAny(name, "./")
	if i < 0 || name[i] == '/' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

// Number returns the number the kernel reads from a value, as strtoul(3) with base 0 does, and whether it accepts it
// as one.
func Number(value string) (int, bool) {
	// The kernel knows 0x and leading zeros, not Go's 0b, 0o and underscores.
	if strings.ContainsAny(value, "_bBoO+") {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 0, 32)
	return int(n), err == nil
}
