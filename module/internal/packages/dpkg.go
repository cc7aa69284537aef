// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// dpkgStatus is Debian's package database, see dpkg(1). Reading it is quicker than starting a program that does.
const dpkgStatus = "/var/lib/dpkg/status"

// The programs for questions that the status file does not answer.
const (
	dpkgProgram  = "/usr/bin/dpkg"
	dpkgSearcher = "/usr/bin/dpkg-query"
)

var dpkgDatabase = database{
	files: []string{dpkgStatus, "/var/lib/dpkg/info/dpkg.list"}, program: dpkgSearcher, rootOptions: rootOption, followsLinksOut: true,
	installed: reading(func(m *Manager, names []string) ([]port.Package, error) {
		all, err := m.dpkgPackages()
		return installedOf(all, names), err
	}),
	owners: (*Manager).dpkgOwners, unchanged: (*Manager).dpkgUnchanged,
	requirers: func(m *Manager, _ context.Context, names []string) (map[string][]string, error) {
		all, err := m.dpkgPackages()
		return requirersOf(all, names, dependencies), err
	},
}

// packagesLimit bounds how many packages a database has; Debian has some 70,000 in all.
const packagesLimit = 200_000

// paragraph is what the status file says about an installed package.
type paragraph struct {
	name, version string
	depends       []string // what it needs, or could do with instead, as it is written
	conffiles     []string
}

// readStatus returns the installed packages. A package with the state config-files is not installed.
func readStatus(content string) ([]paragraph, error) {
	var all []paragraph
	for text := range strings.SplitSeq(content, "\n\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		var p paragraph
		state, field := "", ""
		for line := range strings.SplitSeq(text, "\n") {
			name, value, named := strings.Cut(line, ":")
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
				if file, _, _ := strings.Cut(strings.TrimSpace(line), " "); field == "Conffiles" && file != "" {
					p.conffiles = append(p.conffiles, file)
				}
				continue
			}
			field, value = name, strings.TrimSpace(value)
			switch {
			case !named:
			case field == "Package":
				p.name = value
			case field == "Version":
				p.version = value
			case field == "Status":
				state = value[strings.LastIndexByte(value, ' ')+1:]
			case field == "Depends", field == "Pre-Depends":
				p.depends = append(p.depends, value)
			}
		}
		if p.name == "" || state == "" {
			return nil, fmt.Errorf("read %s: a paragraph without a name or a state: %.60q", dpkgStatus, text)
		}
		if state != "not-installed" && state != "config-files" {
			all = append(all, p)
		}
		if len(all) > packagesLimit {
			return nil, fmt.Errorf("read %s: it names more than %d packages", dpkgStatus, packagesLimit)
		}
	}
	if all == nil {
		return nil, errors.New("read " + dpkgStatus + ": it names no installed package")
	}
	return all, nil
}

// dependencies hands over the names in a Depends field: deb-control(5).
func dependencies(value string, hand func(name string)) {
	for value != "" {
		word := value
		if end := strings.IndexAny(value, ",|"); end >= 0 {
			word, value = value[:end], value[end+1:]
		} else {
			value = ""
		}
		word = strings.TrimSpace(word)
		if end := strings.IndexAny(word, " (:["); end >= 0 {
			word = word[:end]
		}
		if word != "" {
			hand(word)
		}
	}
}

// dpkgPackages reads the database.
func (m *Manager) dpkgPackages() ([]paragraph, error) {
	m.memory.Lock()
	defer m.memory.Unlock()
	if m.memory.paragraphs != nil {
		return m.memory.paragraphs, nil
	}
	content, err := m.readFile(dpkgStatus)
	if err == nil {
		m.memory.paragraphs, err = readStatus(content)
	}
	return m.memory.paragraphs, err
}

// installedOf returns those of the names that are installed, and those that match a pattern. Of a
// package with several architectures it returns the first.
func installedOf(all []paragraph, names []string) []port.Package {
	asked, exact, found := schema.NamesOf(names), setOf(names), map[string]bool{}
	var installed []port.Package
	for i := range all {
		if p := &all[i]; (exact[p.name] || asked.Pattern(p.name) != "") && !found[p.name] {
			found[p.name] = true
			installed = append(installed, port.Package{Name: p.name, Version: p.version})
		}
	}
	return installed
}

// requirersOf returns for each of the packages the installed ones that depend on it, and those that depend on those. The
// names in what a package needs are handed over by named.
func requirersOf(all []paragraph, names []string, named func(depends string, hand func(name string))) map[string][]string {
	var found requirers
	asked := setOf(names)
	for level := 0; level < requirersDepth && len(asked) > 0; level++ {
		next := map[string]bool{}
		for i := range all {
			who := all[i].name
			require := func(needed string) {
				if asked[needed] && found.add(needed, who) && !asked[who] && !found.has(who) {
					next[who] = true
				}
			}
			for _, depends := range all[i].depends {
				named(depends, require)
			}
		}
		asked = next
	}
	return found.all()
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// dpkgOwners returns the package of each of the files that has one. A packaged file in /etc is a conffile, which the status file
// names; for one in /usr/lib it asks dpkg-query.
func (m *Manager) dpkgOwners(ctx context.Context, files []string) (map[string]string, error) {
	owners := map[string]string{}
	wanted := setOf(files)
	var searched []string
	for _, file := range files {
		if strings.HasPrefix(file, "/usr/lib/") || strings.HasPrefix(file, "/lib/") {
			searched = append(searched, file)
		}
	}
	if len(searched) < len(files) {
		all, err := m.dpkgPackages()
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			for _, file := range p.conffiles {
				if wanted[file] {
					owners[file] = p.name
				}
			}
		}
	}
	if searched == nil {
		return owners, nil
	}
	r, err := m.query(ctx, dpkgSearcher, append([]string{"--search", "--"}, searched...)...)
	if err != nil {
		return nil, err
	}
	return owners, readSearch(r, searched, owners)
}

// readSearch adds the owners that dpkg-query printed: packages, with their architecture if it matters, a colon, and the file. For a
// file without an owner it prints an error. A diversion is not an owner.
func readSearch(r process.Result, files []string, owners map[string]string) error {
	for line := range strings.Lines(r.Stderr) {
		if !strings.HasPrefix(line, "dpkg-query: no path found matching pattern ") {
			return errors.New("cannot find the package that owns " + ptrace.Named(files) + ": dpkg-query: " + r.LastLines())
		}
	}
	searched := setOf(files)
	for line := range strings.Lines(r.Stdout) {
		names, file, found := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if found && searched[file] && !strings.HasPrefix(names, "diversion by") && !strings.HasPrefix(names, "local diversion") {
			owners[file] = names[:strings.IndexAny(names+",", ",:")]
		}
	}
	return nil
}

// dpkgUnchanged reports whether a package's file is unchanged. dpkg --verify prints the same as rpm -V.
func (m *Manager) dpkgUnchanged(ctx context.Context, owner, file string) (bool, error) {
	r, err := m.query(ctx, dpkgProgram, "--verify", "--", owner)
	if err != nil {
		return false, err
	}
	if r.Stderr != "" {
		return false, errors.New("cannot find out whether " + file + " was changed (dpkg reads " + m.under("/var/lib/dpkg/info/"+owner) + ".list and " + m.under("/var/lib/dpkg/info/"+owner) + ".md5sums): " + r.LastLines())
	}
	return readUnchanged(r, file)
}
