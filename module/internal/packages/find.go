// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/tree"
	"hardening.yama/module/internal/view"
)

// Find returns the first of the named managers that can be used for the tree below root, or none, and the database of the
// packages that are installed there. The program is always the running host's: no program of another tree is run. With expected, the
// host's distribution has one of these managers, and a missing database is an error.
func Find(files *tree.Tree, root string, names []string, expected bool) (*Manager, error) {
	s := sight{root: root, inUse: map[*database][]string{}, executable: executable, sameProgram: sameProgram,
		sameDir: func(a, b string) bool { return sameFile(files, a, b) }}
	for _, d := range databases {
		inUse, err := d.filesInUse(files, root != "/")
		if err != nil {
			return nil, fmt.Errorf("look for the package database: %w", err)
		}
		s.inUse[d] = inUse
	}
	found, dir, err := choose(s, names, expected)
	if err != nil {
		return nil, err
	}
	found.files, found.root, found.memory = files, root, &memory{}
	var needed []string
	if d := found.database; d != nil {
		needed = d.files
		if root != "/" {
			if err := checkDatabase(files, dir, d.followsLinksOut, databaseDepth); err != nil {
				return nil, fmt.Errorf("look for the package database: %w", err)
			}
		}
	}
	found.throwaway = view.Throwaway(root, needed)
	found.readOnlyProc = view.ReadOnlyProc(found.under("/proc"))
	found.setReadOnly()
	return found, nil
}

// sight is what Find sees of the host and of the tree below root.
type sight struct {
	root string
	// inUse are the files of each database that exist and are not empty: the first one, for another root all of them.
	inUse       map[*database][]string
	executable  func(program string) bool
	sameProgram func(a, b string) bool
	// sameDir reports whether two names in the tree are the same directory's.
	sameDir func(a, b string) bool
}

// choose chooses a manager and its database, and returns the directory that the database lies in. It does no I/O.
func choose(s sight, names []string, expected bool) (found *Manager, dir string, err error) {
	chosen := Manager{Name: ptrace.None}
	usable := func(d *database) bool { return len(s.inUse[d]) > 0 && s.executable(d.program) }
	for _, name := range names {
		if m := row(name); m != nil && s.executable(m.program) && usable(m.database) {
			chosen = *m
			// dnf5 has also taken the name of dnf.
			if s.sameProgram(m.program, dnf5.program) {
				chosen = dnf5
			}
			break
		}
	}
	found = &chosen
	for _, d := range databases {
		if found.database == nil && usable(d) {
			found.database = d
		}
	}
	d := found.database
	if d == nil {
		for _, name := range names {
			m := row(name)
			if expected && m != nil && len(s.inUse[m.database]) > 0 && !s.executable(m.database.program) {
				return nil, "", fmt.Errorf("read the package database %s: its program %s is missing, or cannot be run",
					s.inUse[m.database][0], m.database.program)
			}
			if expected && m != nil && s.executable(m.program) {
				return nil, "", fmt.Errorf("look for the package database of %s: none of %s is there", m.Name, strings.Join(m.database.files, ", "))
			}
		}
		return found, "", nil
	}
	found.dbFile = path.Join(s.root, s.inUse[d][0])
	dir = path.Dir(s.inUse[d][0])
	if s.root == "/" || d.dbDirOption == "" {
		return found, dir, nil
	}
	found.dbDir = dir
	for _, file := range s.inUse[d] {
		if other := path.Dir(file); !s.sameDir(other, dir) {
			return nil, "", fmt.Errorf(
				"look for the package database below %s: one is in %s, another in %s: remove the one that is not the tree's", s.root, dir, other)
		}
	}
	return found, dir, nil
}

// databaseDepth is how deep the directories of a database are nested: pacman's has one for each package.
const databaseDepth = 2

// checkDatabase returns an error where a directory of a database contains anything but files and directories, since programs
// open whatever is there, or where links matter and it is reached by one.
func checkDatabase(files *tree.Tree, dir string, followsLinksOut bool, depth int) error {
	d, err := files.Dir(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only read
	if followsLinksOut && d.Path != dir {
		return fmt.Errorf("%s is a link to %s, which may lead out of the tree for dpkg: put the directory itself there", files.At(dir), d.Path)
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
			return fmt.Errorf("%s is %s, which no package database has: remove it", files.At(path.Join(dir, name)), info.Kind())
		}
	}
	return nil
}

// filesInUse returns those of the database's files that exist and are not empty, or only the first of them.
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

// fileInUse reports whether a file exists and is not empty, or is a directory. Anything else is an error.
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
