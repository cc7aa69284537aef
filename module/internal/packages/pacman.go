// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// pacman. The databases of what repositories offer are read as they lie: to fetch them anew without upgrading everything is
// what Arch calls a partial upgrade.
var pacman = Manager{
	Name: "pacman", program: pacmanProgram, database: &alpmDatabase, atRoot: []string{"--sysroot="}, lively: true,
	ask: []string{"--sync", "--print", "--print-format", "%n", "--noconfirm"}, read: readPacman, complete: Manager.pacmanComplete,
	removal: Manager.pacmanRemoval,
	unasked: []string{"--asdeps"},
	install: []string{"--sync", "--noconfirm", "--noprogressbar", "--needed"},
	remove:  []string{"--remove", "--noconfirm", "--noprogressbar"},
	asked:   Manager.pacmanAsked,
	busy:    func(r result) bool { return r.code != 0 && strings.Contains(r.stderr, "unable to lock database") },
}

// readPacman returns the names of all packages that a transaction would touch, a line each.
func readPacman(r result) ([]string, error) {
	names := strings.Split(strings.TrimSpace(r.stdout), "\n")
	named := !slices.ContainsFunc(names, func(line string) bool { return line == "" || strings.ContainsAny(line, " :") })
	switch {
	case r.code == 0 && named:
		return names, nil
	case r.code != 0 && strings.Contains(r.stderr, "error: target not found: "):
		return nil, errNotOffered
	}
	return nil, errors.New(r.lastLines())
}

// pacmanComplete returns an error where a repository's database is missing: what is in it, nobody knows. To look a package up
// says so, to print a transaction does not.
func (m Manager) pacmanComplete(ctx context.Context) error {
	r, err := m.run(ctx, m.ReadOnly, askPatience, []string{"--sync", "--info"}, "hardening.yama")
	if line := lineWith(r.stdout+"\n"+r.stderr, "database file for"); err == nil && line != "" {
		err = errors.New(line)
	}
	return err
}

func (m Manager) pacmanRemoval(ctx context.Context, name string) ([]string, error) {
	r, err := m.run(ctx, m.ReadOnly, askPatience, []string{"--remove", "--print", "--print-format", "%n", "--noconfirm"}, name)
	if err != nil {
		return nil, err
	}
	return readPacmanRemoval(r, name)
}

// readPacmanRemoval reads who requires a package, or what else would go.
func readPacmanRemoval(r result, name string) ([]string, error) {
	var with []string
	for line := range strings.Lines(r.stdout + "\n" + r.stderr) {
		if _, who, broken := strings.Cut(strings.TrimSpace(line), "' required by "); broken {
			with = append(with, who)
		}
	}
	if with != nil {
		return with, nil
	}
	names, err := readPacman(r)
	if errors.Is(err, errNotOffered) {
		err = errors.New(r.lastLines())
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == name }), err
}
