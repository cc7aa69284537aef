// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// pacman uses the package databases that are there: to refresh them without upgrading everything is
// what Arch calls a partial upgrade, and does not support.
var pacman = Manager{
	Name: "pacman", program: pacmanProgram, database: &alpmDatabase, rootOptions: []string{"--sysroot="},
	runsScriptlets: true,
	simulate:       []string{"--sync", "--print", "--print-format", "%n", "--noconfirm"}, parse: readPacman,
	checkLists:    (*Manager).pacmanComplete,
	removal:       (*Manager).pacmanRemoval,
	asDependency:  []string{"--asdeps"},
	install:       []string{"--sync", "--noconfirm", "--noprogressbar", "--needed"},
	remove:        []string{"--remove", "--noconfirm", "--noprogressbar"},
	userInstalled: (*Manager).pacmanUserInstalled,
	busy: func(r process.Result) bool {
		return r.Code != 0 && strings.Contains(r.Stderr, "unable to lock database")
	},
}

// readPacman returns the names of all packages that a transaction would change: each stands on a
// line.
func readPacman(r process.Result) ([]string, error) {
	names := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	named := !slices.ContainsFunc(names,
		func(line string) bool { return line == "" || strings.ContainsAny(line, " :") })
	switch {
	case r.Code == 0 && named:
		return names, nil
	case r.Code != 0 && strings.Contains(r.Stderr, "error: target not found: "):
		return nil, port.ErrNotOffered
	}
	return nil, errors.New(r.LastLines())
}

// pacmanComplete returns an error if a repository's database is missing: its packages are not
// known. pacman --sync --info reports that, pacman --sync --print does not.
func (m *Manager) pacmanComplete(ctx context.Context) error {
	r, err := m.ask(ctx, []string{"--sync", "--info"}, "hardening.yama")
	if line := lineWith(r.Stdout+"\n"+r.Stderr, "database file for"); err == nil && line != "" {
		err = errors.New(line)
	}
	return err
}

func (m *Manager) pacmanRemoval(ctx context.Context, name string) ([]string, error) {
	r, err := m.ask(ctx, []string{"--remove", "--print", "--print-format", "%n", "--noconfirm"}, name)
	if err != nil {
		return nil, err
	}
	return readPacmanRemoval(r, name)
}

// readPacmanRemoval returns the packages that require a package, or that would be removed with it.
func readPacmanRemoval(r process.Result, name string) ([]string, error) {
	var with []string
	for _, line := range strings.Split(r.Stdout+"\n"+r.Stderr, "\n") {
		if _, who, broken := strings.Cut(strings.TrimSpace(line), "' required by "); broken {
			with = append(with, who)
		}
	}
	if with != nil {
		return with, nil
	}
	names, err := readPacman(r)
	if errors.Is(err, port.ErrNotOffered) {
		err = errors.New(r.LastLines())
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == name }), err
}
