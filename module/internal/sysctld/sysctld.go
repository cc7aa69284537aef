// SPDX-License-Identifier: GPL-3.0-or-later

// Package sysctld is the format of sysctl.d(5) and what its loaders make of it for one key:
// systemd-sysctl, which runs at boot, and `sysctl --system` of procps. They split lines, spell
// keys, apply patterns and choose files differently, so each has a file of its own here. Hosts
// without systemd boot with that of procps, or with Alpine's script, and ufw comes after them all.
// It does no I/O: a Tree holds what was read.
package sysctld

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Dirs are the directories of sysctl.d(5), the higher first: a file hides all of the same name in
// those below.
var Dirs = []string{etcDir, runDir, "/usr/local/lib/sysctl.d", VendorDir, LibDir}

const (
	etcDir = "/etc/sysctl.d"
	runDir = "/run/sysctl.d"
	// VendorDir is the distribution's.
	VendorDir = "/usr/lib/sysctl.d"
	// LibDir is VendorDir again where /lib is a link to usr/lib, as it is on all but old hosts.
	LibDir = "/lib/sysctl.d"
	// Conf is the file that only procps reads, after all others.
	Conf = "/etc/sysctl.conf"
	// CommandLine is the kernel's, which applies its `sysctl.` settings itself before the boot's
	// loader runs.
	CommandLine = "/proc/cmdline"
)

// Credentials are where a credential for systemd-sysctl may lie, which it reads after all files:
// systemd.exec(5), ImportCredential. The first that is there counts.
var Credentials = []string{
	"/run/credentials/systemd-sysctl.service/sysctl.extra",
	"/run/credentials/@system/sysctl.extra",
	"/etc/credstore/sysctl.extra",
	"/run/credstore/sysctl.extra",
	"/usr/local/lib/credstore/sysctl.extra",
	"/usr/lib/credstore/sysctl.extra",
}

// File is a file as the loaders see it.
type File struct {
	Path string
	// Mask is true for what hides the lower files of its name and says nothing: a link to
	// /dev/null, an empty file, a directory, a link that leads nowhere.
	Mask bool
	// ByUFW: ufw has procps read the file after the boot's settings.
	ByUFW bool
	// Then is what sets the key at boot after the kernel's CommandLine, of that file.
	Then Boot

	boot, reload []line
	broken       bool // cannot be opened
	unseen       bool // passed over by systemd-sysctl
	regular      bool
}

// line is a line of a file that says something about the key, as one of the loaders reads it.
type line struct {
	*spelling
	number int
	at     int // where it begins in the file
	value  string
	scope  int8 // what the kernel reads from the value, refused where it does not accept it
}

// spelling is how a line names what it is about, and what the loader makes of it. Lines that follow
// one another and spell it alike share one.
type spelling struct {
	written string
	// name is the key as the loader spells it to itself. Where it is a pattern, target is what it
	// becomes.
	name, target string
	pattern      bool
	exclude      bool // `-key` without a value
	ours         bool // it says something about the key
	aside        bool // an exclusion of other names, which may be other spellings of this one
	usual        bool // target is the key as it is usually spelled
	hits         bool // an exclusion by a pattern that matches the key as it is usually spelled
}

// refused is the scope of a line whose value the kernel does not accept.
const refused = -1

// scopeIn returns what the kernel reads from a value.
func scopeIn(value string) int8 {
	if n, ok := Number(value); ok {
		return int8(n) // #nosec G115 -- 0 to 3
	}
	return refused
}

// Boot is what sets the key at boot.
type Boot uint8

// The boots.
const (
	// Systemd runs systemd-sysctl.
	Systemd Boot = iota
	// Procps runs `sysctl --system`.
	Procps
	// Alpine runs Alpine's script with busybox, and AlpineProcps with procps.
	Alpine
	AlpineProcps
	// Unknown is any other boot. It is read as Systemd, without a claim that this is what it does.
	Unknown
)

// Loaders are what sets a host's loaders apart from the newest of systemd and procps, which the
// zero value stands for.
type Loaders struct {
	Boot Boot
	// LibAtBoot: systemd-sysctl reads LibDir, too.
	LibAtBoot bool
	// StrayLinksHide: to systemd-sysctl, a link that cannot be followed hides the lower files of
	// its name.
	StrayLinksHide bool
	// PatternsExcludeNothing: to procps, `-pattern` is the exclusion of one odd name.
	PatternsExcludeNothing bool
}

// LoadersOf returns the loaders of systemd of a version and of procps with a libproc2 of a soname,
// each -1 where it is not known. Measured on systemd 252, 257 and 262, and on procps 4.0.2 and
// 4.0.4 (soname 0) and 4.0.7 (soname 1). That systemd gave up LibDir with 255 is from its release
// notes.
func LoadersOf(systemd, libproc2 int) Loaders {
	return Loaders{
		LibAtBoot:              systemd >= 0 && systemd <= 254,
		StrayLinksHide:         systemd >= 0 && systemd <= 257,
		PatternsExcludeNothing: libproc2 == 0,
	}
}

// Read returns a file as both loaders read it for a key, which is written as a path:
// kernel/yama/ptrace_scope.
func (l Loaders) Read(file string, content []byte, key string) File {
	return File{
		Path:    file,
		Mask:    len(content) == 0,
		boot:    l.parseBoot(content, key),
		reload:  parseReload(content, key, !l.PatternsExcludeNothing),
		unseen:  l.passesOver(file),
		regular: true,
	}
}

// parseBoot returns the lines that name the key as the boot reads them.
func (l Loaders) parseBoot(content []byte, key string) []line {
	switch l.Boot {
	case Procps, AlpineProcps:
		return parseReload(content, key, !l.PatternsExcludeNothing)
	case Alpine:
		return parseBusybox(content, key)
	case Systemd, Unknown:
	}
	return parseBoot(content, key)
}

// Empty returns what can be opened and holds no lines: /dev/null, a directory.
func (l Loaders) Empty(file string) File {
	return File{Path: file, Mask: true, unseen: l.passesOver(file)}
}

// Nowhere returns a link that leads nowhere. It is astray where it cannot even be followed: it
// leads to itself, or through a file.
func (l Loaders) Nowhere(file string, astray bool) File {
	return File{Path: file, Mask: true, broken: true, unseen: astray && !l.StrayLinksHide || l.passesOver(file)}
}

// Vendors tells whether a file lies where only distributions put theirs.
func Vendors(file string) bool {
	return strings.HasPrefix(file, "/usr/lib/") || strings.HasPrefix(file, "/lib/")
}

// passesOver tells whether systemd-sysctl does not look at the directory of a file.
func (l Loaders) passesOver(file string) bool { return !l.LibAtBoot && path.Dir(file) == LibDir }

// mark stands before a line that is commented out. To take it back, remove it.
const mark = "#hardening.yama# "

// CommentOut returns a file's content with every line commented out that assigns the key and is
// unwanted, as either loader reads them.
func (l Loaders) CommentOut(content []byte, key string, unwanted func(line int, value string) bool) []byte {
	boot, reload := l.parseBoot(content, key), parseReload(content, key, !l.PatternsExcludeNothing)
	out := make([]byte, 0, len(content)+max(len(boot), len(reload))*len(mark))
	done, marked := 0, -1
	for len(boot)+len(reload) > 0 { // each of them is in order
		from := &boot
		if len(boot) == 0 || len(reload) > 0 && reload[0].at < boot[0].at {
			from = &reload
		}
		next := (*from)[0]
		*from = (*from)[1:]
		if next.exclude || next.at == marked || !unwanted(next.number, next.value) {
			continue
		}
		out = append(append(out, content[done:next.at]...), mark...)
		done, marked = next.at, next.at
	}
	return append(out, content[done:]...)
}

// SetsNothingElse tells whether a file sets nothing but the key.
func (l Loaders) SetsNothingElse(content []byte, key string) bool {
	return SaysNothing(l.CommentOut(content, key, func(int, string) bool { return true }))
}

// CommentedOut tells whether CommentOut has changed a file.
func CommentedOut(content []byte) bool { return bytes.Contains(content, []byte(mark)) }

// Marks returns how many bytes of a file are marks of CommentOut, which no limit of its size should
// count.
func Marks(content []byte) int { return bytes.Count(content, []byte(mark)) * len(mark) }

// SaysNothing tells whether a file has but blank lines and comments, to both loaders.
func SaysNothing(content []byte) bool {
	for rest := string(content); rest != ""; {
		length, next := bootLine(rest)
		if text := strings.Trim(rest[:length], bootBlanks+"\v\f"); text != "" && text[0] != '#' && text[0] != ';' {
			return false
		}
		rest = rest[next:]
	}
	return true
}

// Names tells whether the file says anything about the key to either loader.
func (f File) Names() bool {
	return len(f.boot) > 0 || slices.ContainsFunc(f.reload, func(l line) bool { return !l.aside })
}

// Tree is every file that a loader may read. Each path stands in it once.
type Tree []File

// Setting is a line that a loader writes to the kernel.
type Setting struct {
	Path  string
	Line  int
	Value string
}

// Source returns the setting's place as file:line.
func (s Setting) Source() string { return s.Path + ":" + strconv.Itoa(s.Line) }

// Find returns the file at a path.
func (t Tree) Find(path string) (File, bool) {
	if f := t.find(path); f != nil {
		return *f, true
	}
	return File{}, false
}

// find returns the file at a path, nil where there is none.
func (t Tree) find(path string) *File {
	for i := range t {
		if t[i].Path == path {
			return &t[i]
		}
	}
	return nil
}

// With returns the tree with files put in place of those at their paths.
func (t Tree) With(files ...File) Tree {
	paths := make([]string, 0, len(files))
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return append(t.Without(paths...), files...)
}

// Without returns the tree without the files at some paths.
func (t Tree) Without(paths ...string) Tree {
	gone := map[string]bool{}
	for _, path := range paths {
		gone[path] = true
	}
	left := make(Tree, 0, len(t))
	for i := range t {
		if !gone[t[i].Path] {
			left = append(left, t[i])
		}
	}
	return left
}

// byPath returns the files by their paths.
func (t Tree) byPath() map[string]*File {
	files := make(map[string]*File, len(t))
	for i := range t {
		files[t[i].Path] = &t[i]
	}
	return files
}

func rank(file string) int {
	if i := slices.Index(Dirs, path.Dir(file)); i >= 0 {
		return i
	}
	return len(Dirs)
}

// dropIns returns the files of Dirs in the order they are read: one for each name, from the highest
// directory that has it, sorted by name as bytes.
func (t Tree) dropIns(reads func(*File) bool) []*File {
	byName := map[string]*File{}
	var names []string
	for i := range t {
		f := &t[i]
		name := path.Base(f.Path)
		if rank(f.Path) == len(Dirs) || !strings.HasSuffix(name, ".conf") || !reads(f) {
			continue
		}
		seen := byName[name]
		if seen == nil {
			names = append(names, name)
		}
		if seen == nil || rank(f.Path) < rank(seen.Path) {
			byName[name] = f
		}
	}
	slices.Sort(names)
	files := make([]*File, 0, len(names))
	for _, name := range names {
		files = append(files, byName[name])
	}
	return files
}

// dotted turns the first separator of a key into a slash, and every later dot and slash into each
// other, unless the first is a slash already: then the key is a path, and its dots are parts of
// names. Both loaders do so.
func dotted(name string) string {
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
