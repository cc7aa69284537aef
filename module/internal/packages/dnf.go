// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// The managers of the dnf family. Weak dependencies are not installed and unused packages not
// removed: only the enabler is to change.
var (
	dnf5 = Manager{
		Name: "dnf5", program: "/usr/bin/dnf5", database: &rpmDatabase, rootOptions: dnfRoot,
		simulate: []string{"install", "--assumeno", "--setopt=install_weak_deps=False"}, parse: readDNF,
		removal: (*Manager).rpmRemoval, simulateRemoval: []string{"remove", "--assumeno", "--no-autoremove"},
		install:        []string{"install", "--assumeyes", "--setopt=install_weak_deps=False"},
		remove:         []string{"remove", "--assumeyes", "--no-autoremove"},
		markDependency: []string{"mark", "--assumeyes", "weak"},
		userInstalled:  (*Manager).dnf5UserInstalled,
		// Up to 5.3 a transaction fails at once while another one has the first lock; since 5.4
		// every command waits for the second one without end.
		locks: []string{"/run/dnf/rpmtransaction.lock", "/var/lib/dnf/system-repo.lock"},
		// Both dnf5 and rpm have this text in their messages.
		busy: func(r process.Result) bool {
			return r.Code != 0 && strings.Contains(r.Stdout+r.Stderr, " transaction lock")
		},
	}
	dnf = Manager{
		Name: "dnf", program: "/usr/bin/dnf", database: &rpmDatabase, rootOptions: dnfRoot,
		simulate: []string{"install", "--assumeno", "--setopt=install_weak_deps=False", exitOnLock}, parse: readDNF,
		removal: (*Manager).rpmRemoval, simulateRemoval: []string{"remove", "--assumeno", "--noautoremove", exitOnLock},
		install:        []string{"install", "--assumeyes", "--setopt=install_weak_deps=False", exitOnLock},
		remove:         []string{"remove", "--assumeyes", "--noautoremove", exitOnLock},
		markDependency: []string{"mark", "remove", exitOnLock},
		userInstalled:  (*Manager).dnfUserInstalled,
		// Without exit_on_lock it waits without end. Exit code 200 is documented in dnf(8); the
		// message is rpm's, when a program other than dnf has its lock.
		busy: func(r process.Result) bool {
			return r.Code == 200 || strings.Contains(r.Stdout+r.Stderr, "can't create transaction lock")
		},
	}
)

// dnfRoot has no scriptlets: the enabler's would set the value in the running kernel, which is not
// the tree's.
var dnfRoot = []string{"--installroot=", "--setopt=tsflags=noscripts"}

const exitOnLock = "--setopt=exit_on_lock=True"

// readDNF returns the names of all packages that a transaction of dnf or dnf5 would change, from
// the table that both print. Below its header, a line without indent that ends in a colon begins a
// section. A line with an indent of one blank is a package. A line with a larger indent names a
// package that is replaced, or continues the columns of a long name.
func readDNF(r process.Result) ([]string, error) {
	table, _, summarised := strings.Cut(r.Stdout, "\nTransaction Summary")
	if !summarised {
		said := r.Stdout + "\n" + r.Stderr
		// With skip_if_unavailable, dnf skips a repository that it cannot reach: its packages are
		// not known.
		for _, words := range []string{"Failed to download metadata", "Failed to synchronize cache for repo", ">>> "} {
			if line := lineWith(said, words); line != "" {
				return nil, errors.New(strings.TrimPrefix(line, ">>> "))
			}
		}
		// The first is a message of dnf, the second of dnf5.
		for _, words := range []string{"All matches were filtered out by ", " matches only excluded packages"} {
			if line := lineWith(said, words); line != "" {
				return nil, errors.New("the configuration excludes it: " + line)
			}
		}
		if strings.Contains(said, "There are no enabled repositories") {
			// On a host of Red Hat's that is not registered, a plugin says so and what to do.
			return nil,
				errors.New(strings.TrimSuffix("no repository is enabled: "+lineWith(said, "use subscription-manager"),
					": "))
		}
		if strings.Contains(said, "No match for argument") || strings.Contains(said, "Unable to find a match") {
			return nil, port.ErrNotOffered
		}
		return nil, errors.New(r.LastLines())
	}
	var names []string
	header, section := false, false
	for _, line := range strings.Split(table, "\n") {
		fields := strings.Fields(line)
		switch {
		case !header: // the progress of loading metadata may stand above
			header = len(fields) > 1 && fields[0] == "Package" && strings.HasPrefix(fields[1], "Arch")
		case len(fields) == 0 || strings.HasPrefix(line, "="):
		case line[0] != ' ':
			section = strings.HasSuffix(strings.TrimSpace(line), ":")
		case section && (!strings.HasPrefix(line, "  ") || fields[0] == "replacing"):
			name := fields[0]
			if name == "replacing" && len(fields) > 1 {
				name = fields[1]
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the transaction names no package: " + r.LastLines())
	}
	return names, nil
}

// dnf5State is dnf5's record of why a package is installed.
const dnf5State = "/usr/lib/sysimage/libdnf5/packages.toml"

// dnf5UserInstalled reads dnf5's record, which is quick; where it has no reason for the package, it
// asks dnf5.
func (m *Manager) dnf5UserInstalled(ctx context.Context, name string) (bool, error) {
	content, err := m.readFile(dnf5State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if reason := readPackagesTOML(content, name); reason != "" {
		return reason == "User", nil
	}
	r, err := m.ask(ctx, []string{"--quiet", "--cacheonly", "repoquery", "--installed", "--qf", "%{name} %{reason}\n"},
		name)
	if err != nil {
		return false, err
	}
	return readReason(r, name)
}

// readPackagesTOML reads a line for each package: "name.arch" = {reason = "User"}.
func readPackagesTOML(content, name string) string {
	for content != "" {
		var line string
		line, content, _ = strings.Cut(content, "\n")
		key, value, _ := strings.Cut(line, "=")
		key = strings.Trim(strings.TrimSpace(key), `"`)
		if dot := strings.LastIndexByte(key, '.'); dot > 0 && key[:dot] == name {
			_, reason, _ := strings.Cut(value, `"`)
			reason, _, _ = strings.Cut(reason, `"`)
			return reason
		}
	}
	return ""
}

// dnfUserInstalled asks dnf: its record is a database that only dnf can read.
func (m *Manager) dnfUserInstalled(ctx context.Context, name string) (bool, error) {
	r, err := m.ask(ctx,
		[]string{"--quiet", "--cacheonly", exitOnLock, "repoquery", "--installed", "--qf", "%{name} %{reason}"}, name)
	if err != nil {
		return false, err
	}
	return readReason(r, name)
}

// readReason reports whether the user installed a package, from a line with its name and the
// reason.
func readReason(r process.Result, name string) (bool, error) {
	for _, line := range strings.Split(r.Stdout, "\n") {
		if found, reason, _ := strings.Cut(strings.TrimSpace(line), " "); found == name {
			return strings.EqualFold(reason, "user"), nil
		}
	}
	return false, errors.New("dnf does not report why " + name + " is installed: " + r.LastLines())
}
