// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
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
	text := string(content)
	var lines []line
	last := &spelling{}
	for number, at := 1, 0; at < len(text); {
		length, next := bootLine(text[at:])
		if length >= bootLineLimit {
			break
		}
		if l, ok := parseBootLine(strings.Trim(text[at:at+length], bootBlanks), key, &last); ok {
			l.number, l.at = number, at
			lines = append(lines, l)
		}
		number += strings.Count(text[at:at+next], "\n") // as editors count, not as systemd does
		at += next
	}
	return lines
}

// bootLine returns how long the first line is, and where the next one begins. A line feed, a
// carriage return and a NUL end a line, and so do different ones of them together, a NUL last:
// read_line() in src/basic/fileio.c.
func bootLine(text string) (length, next int) {
	const ends = "\n\r\x00"
	if length = strings.IndexAny(text, ends); length < 0 {
		length = len(text)
	}
	var seen [len(ends)]bool
	for next = length; next < len(text); next++ {
		end := strings.IndexByte(ends, text[next])
		if end < 0 || seen[end] || seen[len(ends)-1] {
			break
		}
		seen[end] = true
	}
	return length, next
}

// parseBootLine reads a line. The spelling of the last one is used again where it is the same.
func parseBootLine(text, key string, last **spelling) (line, bool) {
	if text == "" || text[0] == '#' || text[0] == ';' {
		return line{}, false
	}
	name, value, assigned := strings.Cut(text, "=")
	// A leading minus on an assignment means "ignore a failure"; alone it excludes the key from
	// patterns.
	name, minus := strings.CutPrefix(name, "-")
	if !assigned && !minus {
		return line{}, false
	}
	if name = strings.Trim(name, bootBlanks); name != (*last).written || (*last).exclude == assigned {
		*last = bootSpelling(name, key, !assigned)
	}
	if !(*last).ours {
		return line{}, false
	}
	value = strings.Trim(value, bootBlanks)
	return line{spelling: *last, value: value, scope: scopeIn(value)}, true
}

func bootSpelling(written, key string, exclude bool) *spelling {
	s := &spelling{written: written, exclude: exclude}
	if !isPattern(written) && !strings.HasSuffix(strings.TrimRight(written, "./"), path.Base(key)) {
		return s // most lines of most files
	}
	s.name = simplify(dotted(written))
	if s.pattern = isPattern(s.name); s.pattern {
		s.target = key
		s.ours = bracesReach(s.name, key) || matchPath(s.name, key)
	} else {
		s.ours = s.name == key
	}
	return s
}

// simplify removes what a path does not need, and a slash in front: path_simplify() and
// sysctl_normalize().
func simplify(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "/") {
		if part != "" && part != "." {
			if b.Len() > 0 {
				b.WriteByte('/')
			}
			b.WriteString(part)
		}
	}
	return b.String()
}

// ReadCommandLine returns what the kernel's command line says about the key: process_sysctl_arg()
// of fs/proc/proc_sysctl.c. Every dot stands for a slash there.
func ReadCommandLine(content []byte, key string) File {
	f := File{Path: CommandLine}
	itself := &spelling{} // no name of a file's
	for _, word := range strings.Fields(string(content)) {
		if word == "--" {
			break // the rest is for init
		}
		name, value, assigned := strings.Cut(word, "=")
		name, ours := strings.CutPrefix(name, "sysctl")
		if ours && assigned && name != "" && strings.ReplaceAll(name, ".", "/") == "/"+key {
			value = strings.Trim(value, `"`)
			f.boot = append(f.boot, line{spelling: itself, number: 1, value: value, scope: scopeIn(value)})
		}
	}
	return f
}

// boots returns what sets the key at boot.
func (t Tree) boots() Boot {
	if f := t.find(CommandLine); f != nil {
		return f.Then
	}
	return Systemd
}

// BootKnown tells whether Boot is what the next boot leaves in the kernel, and not only what
// systemd would leave there.
func (t Tree) BootKnown() bool { return t.boots() != Unknown }

// said is a line and the file that says it.
type said struct {
	path string
	*line
}

func (s said) setting() Setting { return Setting{s.path, s.number, s.value} }

// Boot returns what the next boot leaves in the kernel, and false where nothing sets the key.
func (t Tree) Boot() (Setting, bool) { return stays(t.bootRuns()) }

// run are the lines that one program reads, in that order.
type run struct {
	lines []said
	// merges is systemd-sysctl's way: a key and each pattern have one setting, the last one said.
	// To the others each line counts.
	merges bool
}

// bootRuns returns what the kernel, then the boot's loader, and then ufw read.
func (t Tree) bootRuns() []run {
	var kernel, ufw, loader run
	for i := range t {
		switch f := &t[i]; {
		case f.Path == CommandLine:
			kernel.lines = f.say(f.boot, nil)
		case f.ByUFW:
			ufw.lines = f.say(f.reload, nil)
		}
	}
	switch t.boots() {
	case Procps:
		loader = t.reloadRun()
	case Alpine, AlpineProcps:
		return append(append([]run{kernel}, t.alpineRuns()...), ufw)
	case Systemd, Unknown:
		loader.merges = true
		for _, f := range t.dropIns(func(f *File) bool {
			return !f.unseen && !strings.HasPrefix(path.Base(f.Path),
				".")
		}) {
			loader.lines = f.say(f.boot, loader.lines)
		}
		if f := t.credential(); f != nil {
			loader.lines = f.say(f.boot, loader.lines)
		}
	}
	return []run{kernel, loader, ufw}
}

// say adds lines of the file to others.
func (f *File) say(lines []line, to []said) []said {
	to = slices.Grow(to, len(lines))
	for i := range lines {
		to = append(to, said{f.Path, &lines[i]})
	}
	return to
}

// credential returns the credential that systemd-sysctl reads, nil where there is none.
func (t Tree) credential() *File {
	for _, name := range Credentials {
		if f := t.find(name); f != nil {
			return f
		}
	}
	return nil
}
