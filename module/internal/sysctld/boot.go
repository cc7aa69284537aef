// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// systemd-sysctl: src/sysctl/sysctl.c of systemd 252 to 262, which agree in all that is here.

// bootLineLimit is LONG_LINE_MAX: a line that is longer ends the reading of its file.
const bootLineLimit = 1 << 20

// bootBlanks is systemd's WHITESPACE.
const bootBlanks = " \t\n\r"

// parseBoot returns the lines of a file that name the key, as systemd-sysctl reads them.
func parseBoot(content []byte, key string) []line {
	var lines []line
	for number, at := 1, 0; len(content) > 0; {
		length, next := bootLine(content)
		if length >= bootLineLimit {
			break
		}
		if l, ok := parseBootLine(strings.Trim(string(content[:length]), bootBlanks), key); ok {
			l.number, l.at = number, at
			lines = append(lines, l)
		}
		at += next
		number += bytes.Count(content[:next], []byte("\n")) // as editors count, not as systemd does
		content = content[next:]
	}
	return lines
}

// bootLine returns how long the first line is, and where the next one begins. A line feed, a carriage return and a NUL end
// a line, and so do different ones of them together, a NUL last: read_line() in src/basic/fileio.c.
func bootLine(text []byte) (length, next int) {
	const ends = "\n\r\x00"
	for length < len(text) && strings.IndexByte(ends, text[length]) < 0 {
		length++
	}
	seen := ""
	for next = length; next < len(text); next++ {
		end := text[next]
		if strings.IndexByte(ends, end) < 0 || strings.IndexByte(seen, end) >= 0 || strings.HasSuffix(seen, "\x00") {
			break
		}
		seen += string(end)
	}
	return length, next
}

func parseBootLine(text, key string) (line, bool) {
	if text == "" || text[0] == '#' || text[0] == ';' {
		return line{}, false
	}
	name, value, assigned := strings.Cut(text, "=")
	// A leading minus on an assignment means "ignore a failure"; alone it excludes the key from patterns.
	name, minus := strings.CutPrefix(name, "-")
	if !assigned && !minus {
		return line{}, false
	}
	l := line{name: simplify(dotted(strings.Trim(name, bootBlanks))), value: strings.Trim(value, bootBlanks), exclude: !assigned}
	l.pattern = isPattern(l.name)
	if l.pattern {
		l.target = key
		reaches := func(name string) bool { return matchPath(name, key) }
		return l, slices.ContainsFunc(braces(l.name), reaches) || reaches(l.name)
	}
	return l, l.name == key
}

// simplify removes what a path does not need, and a slash in front: path_simplify() and sysctl_normalize().
func simplify(name string) string {
	parts := slices.DeleteFunc(strings.Split(name, "/"), func(part string) bool { return part == "" || part == "." })
	return strings.Join(parts, "/")
}

// ReadCommandLine returns what the kernel's command line says about the key: process_sysctl_arg() of
// fs/proc/proc_sysctl.c. Every dot stands for a slash there.
func ReadCommandLine(content []byte, key string) File {
	f := File{Path: CommandLine}
	for _, word := range strings.Fields(string(content)) {
		if word == "--" {
			break // the rest is for init
		}
		name, value, assigned := strings.Cut(word, "=")
		name, ours := strings.CutPrefix(name, "sysctl")
		if ours && assigned && name != "" && strings.ReplaceAll(name, ".", "/") == "/"+key {
			f.boot = append(f.boot, line{number: 1, name: key, value: strings.Trim(value, `"`)})
		}
	}
	return f
}

// Boot returns what the next boot leaves in the kernel, and false where nothing sets the key.
func (t Tree) Boot() (Setting, bool) { return kept(t.bootWrites()) }

// bootWrites returns what the kernel and then systemd-sysctl write, in that order. A key and each pattern have one setting, the last one said,
// even where that excludes the key; and a key that is named is set by no pattern.
func (t Tree) bootWrites() []Setting {
	files := t.dropIns(func(f File) bool { return !f.unseen && !strings.HasPrefix(path.Base(f.Path), ".") })
	for _, name := range Credentials {
		if credential, ok := t.Find(name); ok {
			files = append(files, credential)
			break
		}
	}
	type option struct {
		line
		path string
		gone bool
	}
	var options []option
	turn := map[string]int{}
	named := false
	for _, f := range files {
		for _, l := range f.boot {
			now := option{line: l, path: f.Path}
			named = named || !l.pattern
			if i, said := turn[l.name]; said {
				if options[i].value == l.value && options[i].exclude == l.exclude {
					options[i] = now // the same again keeps its turn
					continue
				}
				options[i].gone = true
			}
			turn[l.name] = len(options)
			options = append(options, now)
		}
	}
	var writes []Setting
	if kernel, ok := t.Find(CommandLine); ok {
		for _, l := range kernel.boot {
			writes = append(writes, Setting{kernel.Path, l.number, l.value})
		}
	}
	for _, o := range options {
		if !o.gone && !o.exclude && (!o.pattern || !named) {
			writes = append(writes, Setting{o.path, o.number, o.value})
		}
	}
	return writes
}
