// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/tree"
	"hardening.yama/module/internal/view"
)

// Want says what Find looks for.
type Want struct {
	// Managers are the names of the managers, the best one first.
	Managers []string
	// Own: these are the managers of the host's distribution, or of its family. Their database is
	// the host's.
	Own bool
	// Every: the distribution is not known, so the packages of each database count that is the
	// host's. Where a host has the tools of another family, there can be a second database, and
	// most are empty.
	Every bool
}

// Find returns the first of the wanted managers that can be used for the tree below root, or none,
// and the database of the packages that are installed there. The program is always the running
// host's: no program of another tree is run. Without the database that the distribution must have,
// and without its program, there is an error.
func Find(files *tree.Tree, root string, w Want) (*Manager, error) {
	s := sight{root: root, inUse: map[*database][]string{}, executable: executable, sameProgram: sameProgram,
		sameDir: func(a, b string) bool { return sameFile(files, a, b) }}
	for _, d := range databases {
		inUse, err := d.filesInUse(files, root != "/")
		if err != nil {
			return nil, fmt.Errorf("look for the package database: %w", err)
		}
		s.inUse[d] = inUse
	}
	s.reach = func(m *Manager, dir string) error {
		m.files, m.root, m.memory = files, root, &memory{}
		m.throwaway = view.Throwaway(root, m.database.files)
		if root == "/" {
			return nil
		}
		if err := checkDatabase(files, dir, m.database.followsLinksOut, databaseDepth); err != nil {
			return fmt.Errorf("look for the package database: %w", err)
		}
		return nil
	}
	s.holdsBase = (*Manager).holdsBase
	found, err := choose(s, w)
	if err != nil {
		return nil, err
	}
	if found.database == nil {
		found.files, found.root, found.memory, found.throwaway = files, root, &memory{}, view.Throwaway(root, nil)
	}
	found.readOnlyProc = view.ReadOnlyProc(found.under("/proc"))
	found.setReadOnly()
	return found, nil
}

// holdsBase reports whether the database holds its base, and so is the host's. It writes nothing.
func (m *Manager) holdsBase() (bool, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), findPatience, driver.Overdue{After: findPatience})
	defer cancel()
	m.CheckMode = true
	_, err := m.StartInstalled(ctx, nil)()
	m.CheckMode = false
	var none *noBase
	if errors.As(err, &none) {
		return false, nil
	}
	return err == nil, err
}

// sight is what Find sees of the host and of the tree below root.
type sight struct {
	root string
	// inUse are the files of each database that exist and are not empty: the first one, for another
	// root all of them.
	inUse       map[*database][]string
	executable  func(program string) bool
	sameProgram func(a, b string) bool
	// sameDir reports whether two names in the tree are the same directory's.
	sameDir func(a, b string) bool
	// reach completes the manager of a database that lies in a directory.
	reach     func(m *Manager, dir string) error
	holdsBase func(*Manager) (bool, error)
}

// choose chooses a manager and its database, and the further ones.
func choose(s sight, w Want) (*Manager, error) {
	var first, last *Manager
	known := map[*database]bool{}
	add := func(d *database, own bool) error {
		if known[d] || len(s.inUse[d]) == 0 || !s.executable(d.program) {
			return nil
		}
		known[d] = true
		m, err := s.managerOf(d, w.Managers)
		if err == nil && !own {
			own, err = s.holdsBase(m)
		}
		switch {
		case err != nil || !own:
		case first == nil:
			first, last = m, m
		case w.Every:
			last.next, last = m, m
		}
		return err
	}
	for _, name := range w.Managers {
		if m := row(name); m != nil {
			if err := add(m.database, w.Own); err != nil {
				return nil, err
			}
		}
	}
	for _, d := range databases {
		if w.Own && !w.Every {
			break
		}
		if err := add(d, false); err != nil {
			return nil, err
		}
	}
	if first == nil {
		return &Manager{Name: ptrace.None}, s.missing(w)
	}
	return first, nil
}

// managerOf returns the first of the named managers of a database, or none for it, as it has to be
// told where the database lies.
func (s sight) managerOf(d *database, names []string) (*Manager, error) {
	m := Manager{Name: ptrace.None, database: d}
	for _, name := range names {
		if named := row(name); named != nil && named.database == d && s.executable(named.program) {
			m = *named
			if s.sameProgram(named.program, dnf5.program) { // dnf5 has also taken the name of dnf
				m = dnf5
			}
			break
		}
	}
	m.dbFile = path.Join(s.root, s.inUse[d][0])
	dir := path.Dir(s.inUse[d][0])
	if s.root != "/" && d.dbDirOption != "" {
		m.dbDir = dir
		for _, file := range s.inUse[d] {
			if other := path.Dir(file); !s.sameDir(other, dir) {
				return nil, fmt.Errorf("look for the package database below %s: "+
					"one is in %s, another in %s: remove the one that is not the tree's", s.root, dir, other)
			}
		}
	}
	return &m, s.reach(&m, dir)
}

// missing returns an error where a wanted manager's database is there without its program, or where
// it has to be there.
func (s sight) missing(w Want) error {
	for _, name := range w.Managers {
		m := row(name)
		switch {
		case m == nil:
		case len(s.inUse[m.database]) > 0 && !s.executable(m.database.program):
			return fmt.Errorf("read the package database %s: "+
				"its program %s is missing, or cannot be run: install it, or set backend=none",
				path.Join(s.root, s.inUse[m.database][0]), m.database.program)
		case w.Own && s.root == "/" && s.executable(m.program):
			return fmt.Errorf("look for the package database of %s: none of %s is there",
				m.Name, strings.Join(m.database.files, ", "))
		}
	}
	return nil
}

// databaseDepth is how deep the directories of a database are nested: pacman's has one for each
// package.
const databaseDepth = 2

// checkDatabase returns an error where a directory of a database contains anything but files and
// directories, since programs open whatever is there, or where links matter and it is reached by
// one.
func checkDatabase(files *tree.Tree, dir string, followsLinksOut bool, depth int) error {
	d, err := files.Dir(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only read
	if followsLinksOut && d.Path != dir {
		return fmt.Errorf("%s is a link to %s, which may lead out of the tree for dpkg: put the directory itself there",
			files.At(dir), d.Path)
	}
	names, err := d.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := d.Lstat(name)
		switch {
		case err != nil:
			return err
		case info.Dir() && depth > 1:
			if err := checkDatabase(files, path.Join(dir, name), followsLinksOut, depth-1); err != nil {
				return err
			}
		case !info.Dir() && !info.Regular():
			return fmt.Errorf("%s is %s, which no package database has: remove it", files.At(path.Join(dir, name)),
				info.Kind())
		}
	}
	return nil
}

// filesInUse returns those of the database's files that exist and are not empty, or only the first
// of them.
func (d *database) filesInUse(files *tree.Tree, all bool) ([]string, error) {
	var inUse []string
	for _, file := range d.files {
		is, err := fileInUse(files, file)
		if err != nil {
			return nil, err
		}
		if is {
			inUse = append(inUse, file)
		}
		if is && !all {
			break
		}
	}
	return inUse, nil
}

// fileInUse reports whether a file exists and is not empty, or is a directory. Anything else is an
// error.
func fileInUse(files *tree.Tree, file string) (bool, error) {
	info, err := files.Stat(file)
	switch {
	case tree.Nobody(err):
		return false, nil
	case err != nil:
		return false, err
	case !info.Dir() && !info.Regular():
		return false, fmt.Errorf("%s is %s, which no package database is: remove it", files.At(file), info.Kind())
	}
	return info.Dir() || info.Size > 0, nil
}

func executable(program string) bool {
	info, err := os.Stat(program)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// sameProgram reports whether two names are the same program's.
func sameProgram(a, b string) bool {
	one, _ := os.Stat(a)
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// sameFile reports whether two names in the tree are the same file's.
func sameFile(files *tree.Tree, a, b string) bool {
	one, err := files.Stat(a)
	other, problem := files.Stat(b)
	return errors.Join(err, problem) == nil && one.Same(other)
}
