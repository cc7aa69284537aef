// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// apt uses the package lists that are there: refreshing them is left to the administrator.
var apt = Manager{
	Name: "apt", program: "/usr/bin/apt-get", database: &dpkgDatabase,
	simulate: []string{"install", "--quiet", "--simulate", "--no-install-recommends"}, parse: readAPT,
	checkLists:   (*Manager).aptComplete,
	removal:      (*Manager).aptRemoval,
	asDependency: []string{"--mark-auto"},
	install:      []string{"install", "--no-install-recommends", "--no-remove"},
	remove:       []string{"remove", "--no-auto-remove"},
	// No one answers, a conffile stays as it is, and what apt starts stays in its process group.
	transactionOptions: []string{
		"--quiet", "--yes", "--option=Dpkg::Options::=--force-confdef", "--option=Dpkg::Options::=--force-confold",
		"--option=Dpkg::Use-Pty=false",
	},
	userInstalled: (*Manager).aptUserInstalled,
	busy: func(r process.Result) bool {
		return r.Code == 100 &&
			(strings.Contains(r.Stderr, "Could not get lock") ||
				strings.Contains(r.Stderr, "Unable to acquire the dpkg frontend lock"))
	},
}

// readAPT returns the names of all packages that a simulated transaction would change: each stands
// on a line that begins with the change.
func readAPT(r process.Result) ([]string, error) {
	var names []string
	known := map[string]bool{}
	for _, line := range strings.Split(r.Stdout, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || !slices.Contains([]string{"Inst", "Conf", "Remv", "Purg"}, fields[0]) {
			continue
		}
		name, _, _ := strings.Cut(fields[1], ":")
		if name != "" && !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	absent := lineWith(r.Stderr, "E: Unable to locate package") != "" ||
		strings.Contains(r.Stderr, "has no installation candidate") &&
			!strings.Contains(r.Stdout, "is a virtual package provided by")
	switch {
	case r.Code == 100 && absent:
		return nil, port.ErrNotOffered
	case r.Code != 0 || names == nil:
		return nil, errors.New(r.LastLines())
	}
	return names, nil
}

// aptComplete returns an error if apt has no package lists: it finds no package then.
func (m *Manager) aptComplete(context.Context) error {
	var names []string
	lists, err := m.files.Dir("/var/lib/apt/lists")
	if err == nil {
		names, err = lists.Names()
		err = errors.Join(err, lists.Close())
	}
	isList := func(name string) bool { return strings.Contains(name, "_Packages") }
	if err == nil && !slices.ContainsFunc(names, isList) || errors.Is(err, fs.ErrNotExist) {
		return errors.New("apt has no package lists: run apt-get update")
	}
	return err
}

// aptRemoval returns the other packages that a removal would change.
func (m *Manager) aptRemoval(ctx context.Context, name string) ([]string, error) {
	r, err := m.ask(ctx, []string{"remove", "--quiet", "--simulate", "--yes", "--no-auto-remove"}, name)
	if err != nil {
		return nil, err
	}
	touched, err := readAPT(r)
	return slices.DeleteFunc(touched, func(n string) bool { return n == name }), err
}

// aptStates is apt's record of the packages that were installed as dependencies.
const aptStates = "/var/lib/apt/extended_states"

func (m *Manager) aptUserInstalled(_ context.Context, name string) (bool, error) {
	content, err := m.readFile(aptStates)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return !readExtendedStates(content, name), nil
}

// readExtendedStates reports whether a package was installed as a dependency. The record has a
// paragraph for each that was, or is no longer one.
func readExtendedStates(content, name string) bool {
	current := ""
	for content != "" {
		var line string
		line, content, _ = strings.Cut(content, "\n")
		field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case field == "Package":
			current = value
		case field == "Auto-Installed" && current == name:
			return value == "1"
		}
	}
	return false
}
