// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/tree"
	"hardening.yama/module/plugin/port"
)

// alpmDatabase is pacman's, see libalpm(3): a directory for each package. Their names tell what is
// installed, without starting a program.
var alpmDatabase = database{
	files: []string{alpmLocal}, base: []string{"pacman", "filesystem"}, program: pacmanProgram,
	configuration: []string{"/etc/pacman.conf"}, rootOptions: []string{"--sysroot="},
	installed: reading((*Manager).alpmInstalled), owners: (*Manager).alpmOwners,
	unchanged: (*Manager).alpmUnchanged, requirers: (*Manager).alpmRequirers,
}

const (
	alpmLocal     = "/var/lib/pacman/local"
	pacmanProgram = "/usr/bin/pacman"
)

// alpmEntry returns the package and version from the name of a directory: name-version-release.
func alpmEntry(directory string) (port.Package, bool) {
	release := strings.LastIndexByte(directory, '-')
	if release < 0 {
		return port.Package{}, false
	}
	version := strings.LastIndexByte(directory[:release], '-')
	if version <= 0 {
		return port.Package{}, false
	}
	return port.Package{Name: directory[:version], Version: directory[version+1:]}, true
}

func (m *Manager) alpmEntries() ([]string, error) {
	directory, err := m.files.Dir(alpmLocal)
	if err != nil {
		return nil, err
	}
	defer directory.Close() //nolint:errcheck // only read
	entries, err := directory.Names()
	if err == nil && len(entries) == 0 {
		err = errors.New("read " + alpmLocal + ": it names no installed package")
	}
	return entries, err
}

func (m *Manager) alpmInstalled(names []string) ([]port.Package, error) {
	entries, err := m.alpmEntries()
	if err != nil {
		return nil, err
	}
	var all []paragraph
	for _, entry := range entries {
		if p, ok := alpmEntry(entry); ok {
			all = append(all, paragraph{name: p.Name, version: p.Version})
		}
	}
	return installedOf(all, names), nil
}

// readDesc returns the lists in a package's desc file: each has a name between percent signs, a
// line for each value, and an empty line at the end.
func readDesc(content string) map[string][]string {
	lists := map[string][]string{}
	name := ""
	for content != "" {
		var line string
		line, content, _ = strings.Cut(content, "\n")
		line = strings.TrimSpace(line)
		if key, ok := cutAround(line, "%", "%"); ok {
			name = key
		} else if line != "" && name != "" {
			lists[name] = append(lists[name], line)
		}
	}
	return lists
}

func (m *Manager) alpmDesc(entry string) (map[string][]string, error) {
	content, err := m.readFile(alpmLocal + "/" + entry + "/desc")
	return readDesc(content), err
}

// pacmanUserInstalled reports whether the user installed a package: pacman records those that were
// installed as dependencies.
func (m *Manager) pacmanUserInstalled(_ context.Context, name string) (bool, error) {
	entries, err := m.alpmEntries()
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if p, ok := alpmEntry(entry); ok && p.Name == name {
			desc, err := m.alpmDesc(entry)
			return !slices.Equal(desc["REASON"], []string{"1"}), err
		}
	}
	return false, nil
}

// alpmRequirers returns for each of the packages the installed ones that depend on it, and those
// that depend on those.
func (m *Manager) alpmRequirers(_ context.Context, names []string) (map[string][]string, error) {
	entries, err := m.alpmEntries()
	if err != nil {
		return nil, err
	}
	var all []paragraph
	for _, entry := range entries {
		p, ok := alpmEntry(entry)
		if !ok {
			continue
		}
		desc, err := m.alpmDesc(entry)
		if err != nil && !tree.Nobody(err) { // pacman counts an unfinished one, too
			return nil, err
		}
		all = append(all, paragraph{name: p.Name, depends: desc["DEPENDS"]})
	}
	return requirersOf(all, names, func(depends string, hand func(string)) { hand(withoutVersion(depends)) }), nil
}

// withoutVersion returns the name in a dependency like name>=1.
func withoutVersion(dependency string) string {
	if end := strings.IndexAny(dependency, "<>=~"); end >= 0 {
		return dependency[:end]
	}
	return dependency
}

func (m *Manager) alpmOwners(ctx context.Context, files []string) (map[string][]string, error) {
	r, err := m.query(ctx, pacmanProgram, append([]string{"--query", "--owns", "--"}, files...)...)
	if err != nil {
		return nil, err
	}
	return readOwns(r, m.under, files)
}

// readOwns reads a line for each file: who owns it, or that nobody does, or that there is none.
func readOwns(r process.Result, under func(string) string, files []string) (map[string][]string, error) {
	found, unowned := map[string]string{}, map[string]bool{}
	for _, line := range strings.Split(r.Stdout+"\n"+r.Stderr, "\n") {
		line = strings.TrimSpace(line)
		if file, owner, ok := strings.Cut(line, " is owned by "); ok {
			found[file], _, _ = strings.Cut(owner, " ")
		}
		if file, ok := strings.CutPrefix(line, "error: No package owns "); ok {
			unowned[file] = true
		}
		for _, words := range []string{"error: failed to find '", "error: failed to read file '"} {
			if file, ok := strings.CutPrefix(line, words); ok {
				unowned[file[:max(0, strings.LastIndexByte(file, '\''))]] = true
			}
		}
	}
	owners := map[string][]string{}
	for _, file := range files {
		owner, ok := found[under(file)]
		switch {
		case ok:
			owners[file] = []string{owner}
		case !unowned[under(file)] && !unowned[file]:
			return nil, errors.New("cannot find the package that owns " + file + ": pacman: " + r.LastLines())
		}
	}
	return owners, nil
}

func (m *Manager) alpmUnchanged(ctx context.Context, owner, file string) (bool, error) {
	r, err := m.query(ctx, pacmanProgram, "--query", "--check", "--check", "--", owner)
	if err != nil {
		return false, err
	}
	return readCheck(r, owner, m.under(file))
}

// readCheck reads what differs of a package's files, and the sum at the end.
func readCheck(r process.Result, owner, file string) (bool, error) {
	if !strings.Contains(r.Stdout, owner+": ") || !strings.Contains(r.Stdout, " total files, ") {
		return false, errors.New("cannot find out whether " + file + " was changed: pacman: " + r.LastLines())
	}
	for _, line := range strings.Split(r.Stdout+"\n"+r.Stderr, "\n") {
		_, difference, found := strings.Cut(strings.TrimSpace(line), owner+": "+file+" (")
		if found && (strings.HasPrefix(difference, "Size") || strings.Contains(difference, "checksum")) {
			return false, nil
		}
	}
	return true, nil
}
