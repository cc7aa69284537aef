// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"hardening.yama/module/plugin/port"
)

// rpmCache is an answer of rpm that outlives the run. In a run that changes nothing, a query of rpm
// would take longer than all the rest. The answer is cached until the next boot at the latest, with
// the result of stat(2) for the files of the database from before the query: every change of
// packages changes it, and so does a change of rpm's configuration.
type rpmCache struct {
	// file holds the answer. It must be root's alone, because its content says which packages are
	// installed.
	file string
	// state is what the answer is true for: the names, and the state of the database. "" where that
	// is not known for sure.
	state string
}

// rpmCacheFile lies in /run, which only root can write to and which is empty after a boot.
const rpmCacheFile = "/run/hardening.yama.rpm"

// rpmCacheLimit bounds the file; a real one has some kilobytes.
const rpmCacheLimit = 1 << 20

// rpmConfiguration are the files besides its database that decide what rpm answers.
var rpmConfiguration = []string{
	rpmProgram, rpmMacros, "/usr/lib/rpm/macros.d", "/etc/rpm", "/etc/rpm/macros", "/root/.rpmmacros",
	"/root/.config/rpm/macros",
}

const rpmMacros = "/usr/lib/rpm/macros"

// berkeley is the database of rpm up to 4.15. It can have changes that are not in the file yet.
const berkeley = "/var/lib/rpm/Packages"

// walSuffix ends the name of SQLite's write-ahead log, which has changes that are not in the
// database yet.
const walSuffix = "-wal"

// quiet is the minimum age of the last change before an answer is cached: two changes in quick
// succession can have the same timestamp.
const quiet = 2 * time.Second

// rpmCache returns the cache for the answer about the names.
func (m *Manager) rpmCache(names []string) rpmCache {
	if is, err := fileInUse(m.files, berkeley); m.root != "/" || os.Geteuid() != 0 || err != nil || is ||
		!m.runIsVolatile() {
		return rpmCache{}
	}
	files := slices.Clone(rpmConfiguration)
	for _, file := range m.database.files {
		files = append(files, file, file+walSuffix, file+"-journal")
	}
	return rpmCacheFor(rpmCacheFile, files, names, time.Now())
}

// runIsVolatile reports whether /run is empty after a boot. It is not where it is part of an image
// that is being built.
func (m *Manager) runIsVolatile() bool {
	d, err := m.files.Dir(path.Dir(rpmCacheFile))
	if err != nil {
		return false
	}
	volatile, err := d.Volatile()
	return errors.Join(err, d.Close()) == nil && volatile
}

// dpkgCache returns the cache for dpkg-query's answer about files. dpkg replaces a list of files in
// the directory when it installs, changes or removes a package. A host has one of both databases,
// so one file is enough.
func (m *Manager) dpkgCache(files []string) rpmCache {
	if m.root != "/" || os.Geteuid() != 0 {
		return rpmCache{}
	}
	return rpmCacheFor(rpmCacheFile, []string{dpkgSearcher, "/var/lib/dpkg/info"}, files, time.Now())
}

func rpmCacheFor(file string, files, names []string, now time.Time) rpmCache {
	var state strings.Builder
	for _, name := range files {
		var s syscall.Stat_t
		switch err := syscall.Stat(name, &s); {
		case err == syscall.ENOENT:
			fmt.Fprintln(&state, name)
			continue
		case err != nil:
			return rpmCache{}
		}
		if strings.HasSuffix(name, walSuffix) {
			s.Ctim = s.Mtim // to ask changes it, too
		}
		fmt.Fprintln(&state, name, s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
		if now.Sub(time.Unix(s.Ctim.Unix())) < quiet {
			return rpmCache{}
		}
	}
	fmt.Fprintln(&state, strings.Join(names, " "))
	return rpmCache{file: file, state: state.String()}
}

// read returns the cached answer, if it is still true.
func (c rpmCache) read() (found []port.Package, ok bool) {
	if c.state == "" {
		return nil, false
	}
	f, err := os.OpenFile(c.file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 ||
		int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return nil, false
	}
	content, err := io.ReadAll(io.LimitReader(f, rpmCacheLimit))
	if err != nil {
		return nil, false
	}
	lines, same := strings.CutPrefix(string(content), c.state)
	lines, whole := strings.CutSuffix(lines, rpmCacheEnd)
	if !same || !whole {
		return nil, false
	}
	for line := range strings.Lines(lines) {
		name, version, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		found = append(found, port.Package{Name: name, Version: version})
	}
	return found, true
}

// rpmCacheEnd ends a file that was written to its end.
const rpmCacheEnd = ".\n"

// write caches an answer. Where that fails, the next run asks rpm again.
func (c rpmCache) write(found []port.Package) {
	if c.state == "" {
		return
	}
	content := c.state
	for _, p := range found {
		content += p.Name + "\t" + p.Version + "\n"
	}
	_ = os.Remove(c.file)
	f, err := os.OpenFile(c.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(content + rpmCacheEnd)
	_ = f.Close()
}
