// SPDX-License-Identifier: GPL-3.0-or-later

// Stow is a package manager for backend_plugin: what a site builds by hand lies in /usr/local/stow,
// a directory for each package and version (gdb-14.2), and GNU Stow links those that are in use
// into /usr/local.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hardening.yama/module/plugin"
)

func main() { plugin.Serve(open) }

// program is GNU Stow's.
const program = "/usr/bin/stow"

// stow is the packages of a tree.
type stow struct {
	target   string // what the links are in, for instance /usr/local
	dir      string // what they lead to
	readOnly string // why nothing can be linked here
}

// open looks at the directory once: without one, or with one that others can write to, there is
// nothing to say about packages.
func open(host plugin.Host) (plugin.Manager, error) {
	s := &stow{target: filepath.Join(host.Root, "/usr/local")}
	s.dir = filepath.Join(s.target, "stow")
	info, err := os.Lstat(s.dir)
	if err != nil {
		return nil, fmt.Errorf("look for packages: %w", err)
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || owner == nil || owner.Uid != 0 || info.Mode()&0o022 != 0 {
		return nil,
			fmt.Errorf("look for packages: %s must be a directory that only root can write to: chmod go-w it", s.dir)
	}
	if _, err := os.Stat(program); err != nil {
		s.readOnly = "GNU Stow is not here: " + err.Error()
	}
	return s, nil
}

func (s *stow) Describe() plugin.Description {
	return plugin.Description{Name: "stow", ReadOnly: s.readOnly}
}

// split tells name and version of gdb-14.2: the version begins with a digit.
func split(directory string) (name, version string) {
	for i := len(directory) - 2; i > 0; i-- {
		if directory[i] == '-' && '0' <= directory[i+1] && directory[i+1] <= '9' {
			return directory[:i], directory[i+1:]
		}
	}
	return directory, ""
}

// directories returns those that hold a package, in any version, the newest last.
func (s *stow) directories(name string) ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("look for packages: %w", err)
	}
	var found []string
	for _, e := range entries {
		if is, _ := split(e.Name()); e.IsDir() && is == name {
			found = append(found, e.Name())
		}
	}
	slices.SortFunc(found, byVersion)
	return found, nil
}

// byVersion compares numbers as numbers.
func byVersion(a, b string) int {
	number := func(r rune) bool { return r < '0' || r > '9' }
	as, bs := strings.FieldsFunc(a, number), strings.FieldsFunc(b, number)
	return slices.CompareFunc(as, bs, func(x, y string) int {
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
}

// linked tells whether a link in the target leads to a file of a package.
func (s *stow) linked(directory string) (bool, error) {
	found := errors.New("found")
	err := filepath.WalkDir(filepath.Join(s.dir, directory), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(filepath.Join(s.dir, directory), file)
		if err != nil {
			return err
		}
		ours, err := os.Lstat(file)
		if err != nil {
			return err
		}
		used, err := os.Stat(filepath.Join(s.target, inside))
		if err == nil && os.SameFile(ours, used) {
			return found
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
			return nil
		}
		return err
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}

// used returns the directory of a package that is linked, "" where none is.
func (s *stow) used(name string) (string, error) {
	directories, err := s.directories(name)
	for _, directory := range directories {
		is, problem := s.linked(directory)
		if problem != nil {
			return "", fmt.Errorf("look for the links to %s: %w", directory, problem)
		}
		if is {
			return directory, nil
		}
	}
	return "", err
}

func (s *stow) Installed(_ context.Context, names []string) ([]plugin.Package, error) {
	var installed []plugin.Package
	for _, name := range names {
		directory, err := s.used(name)
		if err != nil {
			return nil, err
		}
		if directory != "" {
			_, version := split(directory)
			installed = append(installed, plugin.Package{Name: name, Version: version})
		}
	}
	return installed, nil
}

// Owners: a file belongs to the package in whose directory it lies. There is nothing to compare its
// content with.
func (s *stow) Owners(_ context.Context, files []string) ([]plugin.Owner, error) {
	var owners []plugin.Owner
	for _, file := range files {
		inside, ours := strings.CutPrefix(file, "/usr/local/stow/")
		directory, _, deeper := strings.Cut(inside, "/")
		if name, _ := split(directory); ours && deeper {
			owners = append(owners, plugin.Owner{File: file, Package: name})
		}
	}
	return owners, nil
}

// Requirers: packages here know nothing of each other.
func (s *stow) Requirers(context.Context, []string) (map[string][]string, error) {
	return map[string][]string{}, nil
}

// Offer offers the newest version, if nothing is in the way of its links.
func (s *stow) Offer(ctx context.Context, name string) (plugin.Offer, error) {
	directories, err := s.directories(name)
	if err != nil {
		return plugin.Offer{}, err
	}
	if len(directories) == 0 {
		return plugin.Offer{}, plugin.ErrNotOffered
	}
	return plugin.Offer{Package: name}, s.run(ctx, directories[len(directories)-1], "--simulate", "--no-folding")
}

// Removal takes nothing else along.
func (s *stow) Removal(ctx context.Context, name string) (plugin.Removal, error) {
	directory, err := s.used(name)
	if err != nil || directory == "" {
		return plugin.Removal{}, errors.Join(err, fmt.Errorf("%s is not installed", name))
	}
	return plugin.Removal{}, s.run(ctx, directory, "--simulate", "--delete")
}

func (s *stow) Install(ctx context.Context, name string) error {
	directories, err := s.directories(name)
	if err != nil {
		return err
	}
	if len(directories) == 0 {
		return plugin.ErrNotOffered
	}
	return s.run(ctx, directories[len(directories)-1], "--no-folding")
}

func (s *stow) Remove(ctx context.Context, name string) error {
	directory, err := s.used(name)
	if err != nil || directory == "" {
		return err
	}
	return s.run(ctx, directory, "--delete")
}

// run has GNU Stow do something with a package.
func (s *stow) run(ctx context.Context, directory string, what ...string) error {
	args := append([]string{"--dir=" + s.dir, "--target=" + s.target}, what...)
	out, err := plugin.Run(ctx, program, append(args, directory)...)
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("stow %s %s: exit code %d: %s", strings.Join(what, " "), directory, out.Code,
			strings.TrimSpace(out.Stderr))
	}
	return err
}
