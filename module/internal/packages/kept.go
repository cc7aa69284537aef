// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// kept is an answer of rpm's that outlives the run. To ask rpm takes longer than all the rest of a run that changes nothing. So
// the answer is kept, until the next boot at the latest, together with what stat(2) said of the database before rpm was
// asked: whoever installs or removes a package changes that, and so does whoever changes where rpm looks.
type kept struct {
	// file is where it is kept. Who can write there can say what is installed, so it has to be ours alone.
	file string
	// state is what the answer is true of: the question, and the database as it is. "" where that cannot be told for sure.
	state string
}

// keptFile lies in /run, which only root can write to and no boot finds again.
const keptFile = "/run/hardening.yama.rpm"

// decisive are the files that decide what rpm answers besides its database.
var decisive = []string{
	rpmProgram, "/usr/lib/rpm/macros", "/usr/lib/rpm/macros.d", "/etc/rpm", "/etc/rpm/macros", "/root/.rpmmacros", "/root/.config/rpm/macros",
}

// berkeley is the database of rpm up to 4.15. It can have changes that are not in the file yet.
const berkeley = "/var/lib/rpm/Packages"

// journal ends the name of what SQLite has not yet brought home.
const journal = "-wal"

// quiet is how long a database has not changed before an answer about it is kept. The time stamps of two changes that follow
// one another at once can be the same.
const quiet = 2 * time.Second

// keep returns where the answer about the names is kept, or will be.
func (m Manager) keep(names []string) kept {
	if is, err := filled(m.files, berkeley); m.root != "/" || os.Geteuid() != 0 || err != nil || is {
		return kept{}
	}
	files := slices.Clone(decisive)
	for _, file := range m.database.files {
		files = append(files, file, file+journal)
	}
	return keepFor(keptFile, files, names, time.Now())
}

func keepFor(file string, files, names []string, now time.Time) kept {
	var state strings.Builder
	for _, name := range files {
		var s syscall.Stat_t
		switch err := syscall.Stat(name, &s); {
		case err == syscall.ENOENT:
			fmt.Fprintln(&state, name)
			continue
		case err != nil:
			return kept{}
		}
		if strings.HasSuffix(name, journal) {
			s.Ctim = s.Mtim // to ask changes it, too
		}
		fmt.Fprintln(&state, name, s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
		if now.Sub(time.Unix(s.Ctim.Unix())) < quiet {
			return kept{}
		}
	}
	fmt.Fprintln(&state, strings.Join(names, " "))
	return kept{file: file, state: state.String()}
}

// answer returns the answer that is kept, if it is still true.
func (k kept) answer() (found []Installed, ok bool) {
	if k.state == "" {
		return nil, false
	}
	f, err := os.OpenFile(k.file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return nil, false
	}
	content, err := io.ReadAll(io.LimitReader(f, outputLimit))
	if err != nil {
		return nil, false
	}
	lines, same := strings.CutPrefix(string(content), k.state)
	lines, whole := strings.CutSuffix(lines, keptEnd)
	if !same || !whole {
		return nil, false
	}
	for line := range strings.Lines(lines) {
		name, version, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		found = append(found, Installed{name, version})
	}
	return found, true
}

// keptEnd ends a file that was written to its end.
const keptEnd = ".\n"

// write keeps an answer. Where that fails, rpm is asked the next time, too.
func (k kept) write(found []Installed) {
	if k.state == "" {
		return
	}
	content := k.state
	for _, p := range found {
		content += p.Name + "\t" + p.Version + "\n"
	}
	_ = os.Remove(k.file)
	f, err := os.OpenFile(k.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(content + keptEnd)
	_ = f.Close()
}
