// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hardening.yama/module/internal/packages"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/internal/wire"
)

// What a host asks of its package manager.

// String returns the manager's name.
func (m *Manager) String() string { return m.description.Name }

// Sealed says why no package can be changed here.
func (m *Manager) Sealed() string { return m.description.Sealed }

// Knows is always true: a plugin that does not know what is installed fails.
func (m *Manager) Knows() bool { return true }

// AskInstalled asks which of the names are installed.
func (m *Manager) AskInstalled(ctx context.Context, names []string) func() ([]packages.Installed, error) {
	return packages.Ask(func() ([]packages.Installed, error) { return m.Installed(ctx, names) })
}

// Installed returns those of the names that are installed, in their order.
func (m *Manager) Installed(ctx context.Context, names []string) ([]packages.Installed, error) {
	if len(names) == 0 {
		return nil, nil
	}
	a, err := m.ask(ctx, installed, names, patience(queryPatience))
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for _, p := range a.Packages {
		_, twice := versions[p.Name]
		if twice || !slices.Contains(names, p.Name) || !wire.IsVersion(p.Version) {
			return nil, m.senseless(installed, p.Name+" "+p.Version)
		}
		versions[p.Name] = p.Version
	}
	found := make([]packages.Installed, 0, len(versions))
	for _, name := range names {
		if version, ok := versions[name]; ok {
			found = append(found, packages.Installed{Name: name, Version: version})
			delete(versions, name) // a name may have been asked for twice
		}
	}
	return found, nil
}

// Owners returns the package of each of the files that has one, changed or not.
func (m *Manager) Owners(ctx context.Context, files []string) (map[string]string, error) {
	found := map[string]string{}
	if len(files) == 0 {
		return found, nil
	}
	a, err := m.ask(ctx, owners, files, patience(queryPatience))
	if err != nil {
		return nil, err
	}
	m.Lock()
	for _, o := range a.Owners {
		if !slices.Contains(files, o.File) || found[o.File] != "" || !wire.IsName(o.Package) {
			m.Unlock()
			return nil, m.senseless(owners, o.File+" "+o.Package)
		}
		found[o.File], m.changed[o.File] = o.Package, o.Changed
	}
	m.Unlock()
	return found, nil
}

// Unchanged tells whether a package's file has the content that it came with, as it was when its owner was asked for.
func (m *Manager) Unchanged(_ context.Context, owner, file string) (bool, error) {
	m.Lock()
	defer m.Unlock()
	changed, known := m.changed[file]
	if !known {
		return false, fmt.Errorf("ask %s whether %s of %s was changed: nobody asked whose it is", m, file, owner)
	}
	return !changed, nil
}

// Requirers returns for each of the packages the installed ones that require it.
func (m *Manager) Requirers(ctx context.Context, names []string) (map[string][]string, error) {
	if len(names) == 0 {
		return map[string][]string{}, nil
	}
	a, err := m.ask(ctx, requirers, names, patience(queryPatience))
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for name, who := range a.Requirers {
		if !slices.Contains(names, name) || !areNames(who) {
			return nil, m.senseless(requirers, name+" "+fmt.Sprint(who))
		}
		if len(who) > 0 {
			found[name] = who
		}
	}
	return found, nil
}

// Offer tells what the repositories offer under any of the names, the first that they do.
func (m *Manager) Offer(ctx context.Context, names []string) ptrace.Offer {
	if m.Sealed() != "" {
		return ptrace.Offer{Cause: m.Sealed()}
	}
	for _, name := range names {
		a, err := m.ask(ctx, offer, []string{name}, patience(askPatience))
		switch {
		case errors.Is(err, errNotOffered):
			continue
		case err == nil && (!wire.IsName(a.Offer.Package) || !areNames(a.Offer.With)):
			err = m.senseless(offer, a.Offer.Package+" "+fmt.Sprint(a.Offer.With))
		}
		if err != nil {
			return ptrace.Offer{Cause: err.Error()}
		}
		return ptrace.Offer{Package: a.Offer.Package, With: without(a.Offer.With, a.Offer.Package)}
	}
	return ptrace.Offer{}
}

// Removal tells what removing a package would take along.
func (m *Manager) Removal(ctx context.Context, name string) ptrace.Removal {
	if m.Sealed() != "" {
		return ptrace.Removal{Cause: m.Sealed()}
	}
	a, err := m.ask(ctx, removal, []string{name}, patience(askPatience))
	if err == nil && !areNames(a.Removal.With) {
		err = m.senseless(removal, fmt.Sprint(a.Removal.With))
	}
	if err != nil {
		return ptrace.Removal{Unknown: true, Cause: err.Error()}
	}
	return ptrace.Removal{With: without(a.Removal.With, name), Asked: a.Removal.Asked}
}

// Install installs a package, and Remove removes it. They are done when the plugin says that it is installed, or is not.
func (m *Manager) Install(ctx context.Context, name string) error {
	return m.transact(ctx, install, name, true)
}

// Remove is the opposite of Install.
func (m *Manager) Remove(ctx context.Context, name string) error {
	return m.transact(ctx, remove, name, false)
}

func (m *Manager) transact(ctx context.Context, q question, name string, want bool) error {
	_, failure := m.ask(ctx, q, []string{name}, patience(transactionPatience))
	if errors.Is(failure, errNotOffered) {
		failure = fmt.Errorf("the plugin %s, %s (%s): no repository offers it any more", m.config.File, q.Words, name)
	}
	// Whatever it says: what it lists tells what came of it.
	found, err := m.Installed(context.WithoutCancel(ctx), []string{name})
	switch done := (len(found) > 0) == want; {
	case err != nil:
		return err // which is the failure where that has ended it
	case failure != nil && done:
		return &ptrace.DoneNevertheless{Cause: failure}
	case failure == nil && !done:
		return fmt.Errorf("the plugin %s, %s (%s), said that it did, and does not list it so", m.config.File, q.Words, name)
	}
	return failure
}

// senseless ends a plugin whose answer names what cannot be.
func (m *Manager) senseless(q question, part string) error {
	return m.fail(q.Words, fmt.Sprintf("it answered what cannot be, and was ended: %q", wire.Line(part, 100)))
}

// describes tells what is wrong with a description.
func describes(d wire.Description) string {
	if !wire.IsName(d.Name) || d.Name == ptrace.None || len(d.Name) > 64 {
		return fmt.Sprintf("it calls itself %q, which is no name for a package manager", wire.Line(d.Name, 100))
	}
	if d.Sealed != wire.Line(d.Sealed, 500) {
		return fmt.Sprintf("it says in more than a line why no package can be changed: %q", wire.Line(d.Sealed, 100))
	}
	return ""
}

// listLimit bounds how many packages an answer may name. Those that name what was asked about have no more than that.
const listLimit = 10000

func areNames(names []string) bool {
	return len(names) <= listLimit && !slices.ContainsFunc(names, func(name string) bool { return !wire.IsName(name) })
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return n == name })
}
