// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/view"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// rpmDatabase is the one of dnf and zypper. Its directory depends on the distribution.
var rpmDatabase = database{
	files: []string{
		"/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite", "/usr/share/rpm/rpmdb.sqlite",
		"/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages.db", "/var/lib/rpm/Packages",
	},
	program: rpmProgram, rootOptions: rootOption, dbDirOption: "--dbpath=",
	printDBDir: []string{"--eval", "%{_dbpath}"},
	installed:  (*Manager).rpmInstalled, owners: (*Manager).rpmOwners, unchanged: (*Manager).rpmUnchanged,
	requirers: (*Manager).rpmRequirers,
	needers:   (*Manager).rpmNeeders,
	base:      []string{"filesystem", "rpm"}, checkLock: (*Manager).checkRPMLock, configuration: rpmConfiguration,
}

const rpmProgram = "/usr/bin/rpm"

// rpmInstalled returns those of the names that are installed, and those that match a pattern. rpm
// has an index of names. For a pattern it has to read all packages, which takes ten times as long.
func (m *Manager) rpmInstalled(ctx context.Context, names []string) (wait func() ([]port.Package, error)) {
	cache := m.rpmCache(names)
	if found, ok := cache.read(); ok {
		hclog.FromContext(ctx).Debug("the rpm database has not changed since it was asked", "answer", cache.file)
		return func() ([]port.Package, error) { return found, nil }
	}
	args := append([]string{"-q", "--qf", `%{NAME}\t%{EVR}\n`, "--"}, names...)
	if schema.NamesOf(names).Open() {
		args = append(args[:3:3], "-a")
	}
	answer := m.startQuery(m.database.program, args...)
	return func() ([]port.Package, error) {
		r, err := answer(ctx)
		if err != nil {
			return nil, err
		}
		found, err := readInstalled(r, names)
		if err == nil && !m.CheckMode {
			cache.write(found)
		}
		return found, m.ofDatabase(err)
	}
}

// rpmOwners returns the packages of each of the files that has any.
func (m *Manager) rpmOwners(ctx context.Context, files []string) (map[string][]string, error) {
	r, err := m.query(ctx, m.database.program, append([]string{"-qf", "--qf", `%{NAME}\n`, "--"}, files...)...)
	if err != nil {
		return nil, err
	}
	owners, err := readOwners(r, files)
	if !errors.Is(err, errOwners) {
		return owners, m.ofDatabase(err)
	}
	owners = map[string][]string{}
	for _, file := range files {
		r, err := m.query(ctx, m.database.program, "-qf", "--qf", `%{NAME}\n`, "--", file)
		if err != nil {
			return nil, err
		}
		one, err := readOwners(r, []string{file})
		if err != nil {
			return nil, m.ofDatabase(err)
		}
		if one != nil {
			owners[file] = one[file]
		}
	}
	return owners, nil
}

// rpmFile asks for each of a package's files for its state, its flags, whether rpm -V compares its
// content, and its time.
const rpmFile = `[%{FILESTATES}\t%{FILEFLAGS:fflags}\t%{FILEVERIFYFLAGS:vflags}\t%{FILEMTIMES}\t%{FILENAMES}\n]`

// rpmUnchanged reports whether a file is a package's, and unchanged. rpm -V says nothing of the
// content of a ghost, which is not the package's, nor of one that a package lets scripts write.
func (m *Manager) rpmUnchanged(ctx context.Context, owner, file string) (bool, error) {
	r, err := m.query(ctx, m.database.program, "-V", "--nodeps", "--noscripts", "--", owner)
	if err != nil {
		return false, err
	}
	unchanged, err := readUnchanged(r, file)
	if err != nil || !unchanged {
		return false, m.ofDatabase(err)
	}
	info, err := m.files.Stat(file)
	if err != nil {
		return false, err
	}
	r, err = m.query(ctx, m.database.program, "-q", "--qf", rpmFile, "--", owner)
	if err != nil {
		return false, err
	}
	mtime, _ := info.Mtim.Unix()
	unchanged, err = readFile(r, file, mtime)
	return unchanged, m.ofDatabase(err)
}

// ofDatabase returns an error of the rpm database with its place, and that of the configuration.
func (m *Manager) ofDatabase(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (database: %s, %s%s, configuration: %s)", err, m.dbFile, m.dbFile, walSuffix,
		m.under(rpmMacros))
}

// isa returns the suffix of a capability for one architecture, see %{?_isa} in rpm's macros.
func isa() string {
	switch runtime.GOARCH {
	case "amd64":
		return "(x86-64)"
	case "arm64":
		return "(aarch-64)"
	case "ppc64le":
		return "(ppc-64)"
	case "s390x":
		return "(s390-64)"
	case "riscv64":
		return "(riscv-64)"
	}
	return ""
}

// rpmRequirers returns for each of the packages the installed ones that require it, directly or
// not.
func (m *Manager) rpmRequirers(ctx context.Context, names []string) (map[string][]string, error) {
	var found requirers
	provider := map[string]string{} // of a capability
	for _, name := range names {
		provider[name], provider[name+isa()] = name, name
	}
	for level := 0; level < requirersDepth && len(provider) > 0; level++ {
		args := make([]string, 0, 5+len(provider))
		args = append(args, "-q", "--whatrequires", "--qf", `N\t%{NAME}\n[R\t%{REQUIRENAME}\n][P\t%{PROVIDENAME}\n]`,
			"--")
		for capability := range provider {
			args = append(args, capability)
		}
		r, err := m.query(ctx, m.database.program, args...)
		if err != nil {
			return nil, err
		}
		if provider, err = readRequirers(r, provider, &found); err != nil {
			return nil, m.ofDatabase(err)
		}
	}
	for _, who := range found.names {
		slices.Sort(who)
	}
	return found.all(), nil
}

// rpmRemoval returns the packages that need the named one. It asks rpm, not the package manager:
// rpm --test is exact, quick, and needs no repository.
func (m *Manager) rpmRemoval(ctx context.Context, name string) ([]string, error) {
	with, err := m.rpmNeeders(ctx, name)
	if with != nil || err != nil {
		return with, err
	}
	return m.managerRemoval(ctx, name)
}

// rpmNeeders returns the packages that need the named one, or a file or a capability of it.
func (m *Manager) rpmNeeders(ctx context.Context, name string) ([]string, error) {
	r, err := m.query(ctx, m.database.program, "-e", "--test", "--", name)
	if err != nil {
		return nil, err
	}
	return readRemoval(r)
}

// managerRemoval returns the other packages that the manager would remove, or its reason to refuse:
// zypper's locks and dnf's protected packages, of which rpm knows nothing.
func (m *Manager) managerRemoval(ctx context.Context, name string) ([]string, error) {
	r, err := m.ask(ctx, m.simulateRemoval, name)
	if m.CheckMode && (errors.Is(err, view.ErrNoMounts) || errors.Is(err, port.ErrBusy)) {
		return nil, nil // only rpm can be asked; check mode does not wait
	}
	if err != nil {
		return nil, err
	}
	changed, err := m.parse(r)
	return slices.DeleteFunc(changed, func(n string) bool { return n == name }), err
}

// checkRPMLock returns an error that wraps port.ErrBusy while another process holds rpm's
// transaction lock. dnf5 would fail at once, without saying why.
func (m *Manager) checkRPMLock(ctx context.Context) error {
	c := &process.Command{
		Program: m.database.program, Args: append(m.dbDirArgs(), "--eval", "%{_rpmlock_path}"),
		Environment: environment, Starter: process.Here,
	}
	r, err := c.Run(ctx)
	if err != nil {
		return err
	}
	return m.checkFileLock(strings.TrimSpace(r.Stdout))
}
