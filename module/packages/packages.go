// SPDX-License-Identifier: GPL-3.0-or-later

// Package packages asks and drives the host's package manager. Variation between managers is a row of a table; a query
// that fails is an error with its cause, never an answer.
package packages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"hardening.yama/module/ptrace"
)

// Manager is a package manager of the host, and how to ask it.
type Manager struct {
	// Name is the manager's, ptrace.None where packages are left alone.
	Name string
	// ReadOnly throws away whatever the manager writes while it is asked, for check mode.
	ReadOnly bool
	// LockTimeout is how long another user of the package database is waited for.
	LockTimeout time.Duration

	program              string // absolute: no PATH decides what runs as root
	rpm                  string
	dpkg                 bool // the host has Debian's package database
	ask, install, remove []string
	read                 func(result) ([]string, error) // the names a transaction would touch
}

const (
	askDeadline         = 3 * time.Minute
	transactionDeadline = 15 * time.Minute
)

// Find returns the first of the named managers that the host has below a root. Only the running host's can be asked.
func Find(root string, names []string) Manager {
	if root != "/" {
		return Manager{Name: ptrace.None}
	}
	for _, name := range names {
		i := slices.IndexFunc(dnfFamily, func(m Manager) bool { return m.Name == name })
		if i >= 0 && executable(dnfFamily[i].program) && executable(dnfFamily[i].rpm) {
			return dnfFamily[i]
		}
	}
	return Manager{Name: ptrace.None, dpkg: executable(dpkgProgram) && executable(dpkgSearcher)}
}

// String returns the manager's name.
func (m Manager) String() string { return m.Name }

// Knows tells whether there is a database of what is installed, though packages may be left alone.
func (m Manager) Knows() bool { return m.rpm != "" || m.dpkg }

func executable(program string) bool {
	info, err := os.Stat(program)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Installed returns those of the names that are installed. Without a manager that is none.
func (m Manager) Installed(ctx context.Context, names []string) ([]Installed, error) {
	if m.dpkg {
		all, err := dpkgPackages()
		return dpkgInstalled(all, names), err
	}
	if !m.Knows() || len(names) == 0 {
		return nil, nil
	}
	return m.rpmInstalled(ctx, names)
}

// Owners returns the package of each of the files that has one, changed or not.
func (m Manager) Owners(ctx context.Context, files []string) (map[string]string, error) {
	if m.dpkg {
		return m.dpkgOwners(ctx, files)
	}
	if !m.Knows() {
		return map[string]string{}, nil
	}
	return m.rpmOwners(ctx, files)
}

// Unchanged tells whether a package's file has the content that it came with.
func (m Manager) Unchanged(ctx context.Context, owner, file string) (bool, error) {
	if m.dpkg {
		return m.dpkgUnchanged(ctx, owner, file)
	}
	return m.rpmUnchanged(ctx, owner, file)
}

// Requirers returns for each of the packages the installed ones that require it, and those that require those.
func (m Manager) Requirers(ctx context.Context, names []string) (map[string][]string, error) {
	if m.dpkg {
		all, err := dpkgPackages()
		return dpkgRequirers(all, names), err
	}
	if !m.Knows() || len(names) == 0 {
		return map[string][]string{}, nil
	}
	return m.rpmRequirers(ctx, names)
}

// Offer asks what the repositories offer under any of the names, the first that they do. It never fails: a question
// without an answer is told as its cause.
func (m Manager) Offer(ctx context.Context, names []string) ptrace.Offer {
	for _, name := range names {
		r, err := execute(ctx, m.ReadOnly, askDeadline, m.program, append(slices.Clone(m.ask), name)...)
		if err != nil {
			return ptrace.Offer{Cause: err.Error()}
		}
		touched, err := m.read(r)
		if errors.Is(err, errNotOffered) {
			continue
		}
		if err != nil {
			return ptrace.Offer{Cause: fmt.Sprintf("%s install %s: %v", m.Name, name, err)}
		}
		// A capability is offered by a package of another name: the one that is named first.
		offered := touched[max(0, slices.Index(touched, name))]
		return ptrace.Offer{Package: offered, With: slices.DeleteFunc(touched, func(n string) bool { return n == offered })}
	}
	return ptrace.Offer{}
}

// Removal asks what removing a package would take along. Like Offer it never fails.
func (m Manager) Removal(ctx context.Context, name string) ptrace.Removal {
	with, err := m.rpmRemoval(ctx, name)
	if err != nil {
		return ptrace.Removal{Cause: err.Error()}
	}
	return ptrace.Removal{With: with}
}

// Install installs a package, and Remove removes it. They are done when the package database says so.
func (m Manager) Install(ctx context.Context, name string) error {
	return m.transact(ctx, m.install, name, true)
}

// Remove is the opposite of Install.
func (m Manager) Remove(ctx context.Context, name string) error {
	return m.transact(ctx, m.remove, name, false)
}

func (m Manager) transact(ctx context.Context, args []string, name string, want bool) error {
	for attempt := 1; ; attempt++ {
		if err := m.waitForDatabase(ctx); err != nil {
			return err
		}
		r, err := execute(ctx, false, transactionDeadline, m.program, append(slices.Clone(args), name)...)
		if err != nil {
			return err
		}
		installed, err := m.Installed(ctx, []string{name})
		if err != nil {
			return err
		}
		if r.code == 0 && (len(installed) > 0) == want {
			return nil
		}
		// Somebody may have taken the database between our look and the manager's; not all of them say so.
		if attempt == attempts || r.code == 0 {
			return fmt.Errorf("%s %s %s: exit code %d: %s", m.Name, args[0], name, r.code, r.lastLines())
		}
	}
}

const attempts = 2
