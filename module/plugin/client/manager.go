// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
)

var _ port.Manager = (*Manager)(nil)

// Describe implements port.Manager.
func (m *Manager) Describe() port.Description { return m.description }

// Installed implements port.Manager.
func (m *Manager) Installed(ctx context.Context, names []string) ([]port.Package, error) {
	a, err := m.ask(ctx, installed, names)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	asked := setOf(names)
	for _, p := range a.Packages {
		if known[p.Name] || !asked[p.Name] || !port.IsVersion(p.Version) {
			return nil, m.senseless(installed, p.Name+" "+p.Version)
		}
		known[p.Name] = true
	}
	return a.Packages, nil
}

// Owners implements port.Manager.
func (m *Manager) Owners(ctx context.Context, files []string) ([]port.Owner, error) {
	a, err := m.ask(ctx, owners, files)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	asked := setOf(files)
	for _, o := range a.Owners {
		if known[o.File] || !asked[o.File] || !port.IsName(o.Package) {
			return nil, m.senseless(owners, o.File+" "+o.Package)
		}
		known[o.File] = true
	}
	return a.Owners, nil
}

// Requirers implements port.Manager.
func (m *Manager) Requirers(ctx context.Context, names []string) (map[string][]string, error) {
	a, err := m.ask(ctx, requirers, names)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	asked := setOf(names)
	for name, of := range a.Requirers {
		if !asked[name] || !areNames(of) {
			return nil, m.senseless(requirers, name+" "+fmt.Sprint(of))
		}
		if len(of) > 0 {
			found[name] = of
		}
	}
	return found, nil
}

// Offer implements port.Manager.
func (m *Manager) Offer(ctx context.Context, name string) (port.Offer, error) {
	a, err := m.ask(ctx, offer, []string{name})
	if err == nil && (!port.IsName(a.Offer.Package) || !areNames(a.Offer.With)) {
		err = m.senseless(offer, a.Offer.Package+" "+fmt.Sprint(a.Offer.With))
	}
	return a.Offer, err
}

// Removal implements port.Manager.
func (m *Manager) Removal(ctx context.Context, name string) (port.Removal, error) {
	a, err := m.ask(ctx, removal, []string{name})
	if err == nil && !areNames(a.Removal.With) {
		err = m.senseless(removal, fmt.Sprint(a.Removal.With))
	}
	if err != nil {
		return port.Removal{Unknown: true}, err
	}
	return a.Removal, nil
}

// Install implements port.Manager.
func (m *Manager) Install(ctx context.Context, name string) error {
	return m.change(ctx, install, name)
}

// Remove implements port.Manager.
func (m *Manager) Remove(ctx context.Context, name string) error {
	return m.change(ctx, remove, name)
}

func (m *Manager) change(ctx context.Context, q question, name string) error {
	_, err := m.ask(ctx, q, []string{name})
	if errors.Is(err, port.ErrNotOffered) {
		err = fmt.Errorf("the plugin %s, %s (%s): no repository offers it any more", m.config.File, q.Words, name)
	}
	return err
}

// senseless ends a plugin whose answer names what cannot be.
func (m *Manager) senseless(q question, part string) error {
	return m.fail(q.Words, fmt.Sprintf("it answered what cannot be, and was ended: %q", port.Line(part, 100)))
}

// describes tells what is wrong with a description.
func describes(d port.Description) string {
	if !port.IsName(d.Name) || d.Name == ptrace.None || len(d.Name) > 64 {
		return fmt.Sprintf("it calls itself %q, which is no name for a package manager", port.Line(d.Name, 100))
	}
	if d.ReadOnly != port.Line(d.ReadOnly, 500) {
		return fmt.Sprintf("it says in more than a line why no package can be changed: %q", port.Line(d.ReadOnly, 100))
	}
	return ""
}

// listLimit bounds how many packages an answer may name. Those that name what was asked about have
// no more than that.
const listLimit = 10000

func areNames(names []string) bool {
	return len(names) <= listLimit && !slices.ContainsFunc(names, func(name string) bool { return !port.IsName(name) })
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
