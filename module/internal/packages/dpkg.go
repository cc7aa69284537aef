// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/tree"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// dpkgStatus is Debian's package database, see dpkg(1). Reading it is quicker than starting a
// program that does.
const dpkgStatus = "/var/lib/dpkg/status"

// dpkgSearcher is the program for questions that the status file does not answer.
const dpkgSearcher = "/usr/bin/dpkg-query"

// The other files of dpkg's: the journal of a transaction that is not merged into the status file
// yet, and the files that packages have under other names, see dpkg-divert(1).
const (
	dpkgJournal    = "/var/lib/dpkg/updates"
	dpkgDiversions = "/var/lib/dpkg/diversions"
)

var dpkgDatabase = database{
	files: []string{dpkgStatus, "/var/lib/dpkg/info/dpkg.list"}, base: []string{"dpkg", "base-files"},
	program: dpkgSearcher, rootOptions: rootOption, followsLinksOut: true,
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

// paragraph is what the status file says about a package.
type paragraph struct {
	name, version, arch string
	removed             bool     // not installed, though its configuration files may have stayed
	depends             []string // what it needs, or could do with instead, as it is written
	conffiles           []conffile
}

// conffile is a configuration file of a package, and the md5 of the package's own content.
type conffile struct{ file, md5 string }

// readStatus returns the packages that the status file names, of which one has to be installed. A
// package with the state config-files is not. With a map, the first paragraph of a package and
// architecture counts.
func readStatus(content string, newer map[string]bool) ([]paragraph, error) {
	var all []paragraph
	installed := false
	for content != "" {
		var text string
		text, content, _ = strings.Cut(content, "\n\n")
		if strings.TrimSpace(text) == "" {
			continue
		}
		var p paragraph
		state, field := "", ""
		for rest := text; rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			name, value, named := strings.Cut(line, ":")
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
				// One that is obsolete belonged to an older version and stays the package's. One
				// that the package has removed does not.
				fields := strings.Fields(line)
				if field == "Conffiles" && len(fields) > 1 && fields[len(fields)-1] != "remove-on-upgrade" {
					p.conffiles = append(p.conffiles, conffile{fields[0], fields[1]})
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
			case field == "Architecture":
				p.arch = value
			case field == "Status":
				state = value[strings.LastIndexByte(value, ' ')+1:]
			case field == "Depends", field == "Pre-Depends":
				p.depends = append(p.depends, value)
			}
		}
		if p.name == "" || state == "" {
			return nil, fmt.Errorf("read %s: a paragraph without a name or a state: %.60q", dpkgStatus, text)
		}
		if newer != nil {
			name := p.name + ":" + p.arch
			if newer[name] {
				continue
			}
			newer[name] = true
		}
		p.removed = state == "not-installed" || state == "config-files"
		if all = append(all, p); len(all) > packagesLimit {
			return nil, fmt.Errorf("read %s: it names more than %d packages", dpkgStatus, packagesLimit)
		}
		installed = installed || !p.removed
	}
	if !installed {
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
	journal, err := m.dpkgJournal() // first: what dpkg merges meanwhile is in one of both
	if err != nil {
		return nil, err
	}
	content, err := m.readFile(dpkgStatus)
	if err != nil {
		return nil, err
	}
	var newer map[string]bool
	if journal != "" {
		newer = map[string]bool{}
	}
	m.memory.paragraphs, err = readStatus(journal+content, newer)
	return m.memory.paragraphs, err
}

// dpkgJournal returns what dpkg has not merged into the status file yet, the newest first: a file
// with a number as its name for each change. They lie there during a transaction, and after one
// that was killed.
func (m *Manager) dpkgJournal() (journal string, err error) {
	dir, err := m.files.Dir(dpkgJournal)
	if tree.Nobody(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer dir.Close() //nolint:errcheck // only read
	names, err := dir.Names()
	slices.Sort(names)
	for _, name := range names {
		if strings.Trim(name, "0123456789") != "" {
			continue
		}
		content, err := m.readFile(dpkgJournal + "/" + name)
		if err != nil {
			return "", err
		}
		journal = content + "\n\n" + journal
	}
	return journal, err
}

// installedOf returns those of the names that are installed, and those that match a pattern. Of a
// package with several architectures it returns the first.
func installedOf(all []paragraph, names []string) []port.Package {
	asked, exact, found := schema.NamesOf(names), setOf(names), map[string]bool{}
	var installed []port.Package
	for i := range all {
		if p := &all[i]; !p.removed && (exact[p.name] || asked.Pattern(p.name) != "") && !found[p.name] {
			found[p.name] = true
			installed = append(installed, port.Package{Name: p.name, Version: p.version})
		}
	}
	return installed
}

// requirersOf returns for each of the packages the installed ones that depend on it, and those that
// depend on those. The names in what a package needs are handed over by named.
func requirersOf(all []paragraph, names []string, named func(depends string, hand func(name string))) map[string][]string {
	var found requirers
	asked := setOf(names)
	for level := 0; level < requirersDepth && len(asked) > 0; level++ {
		next := map[string]bool{}
		for i := range all {
			if all[i].removed {
				continue
			}
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

// dpkgOwners returns the packages of each of the files that has any. Most packaged files in /etc
// are conffiles, which the status file names; for the other files it asks dpkg-query. Where a
// package's file was diverted, another file lies in its place.
func (m *Manager) dpkgOwners(ctx context.Context, files []string) (map[string][]string, error) {
	all, err := m.dpkgPackages()
	if err != nil {
		return nil, err
	}
	diversions, err := m.readFile(dpkgDiversions)
	if err != nil && !tree.Nobody(err) {
		return nil, err
	}
	// For each file three lines: its name, the one that it has instead, and the package that has
	// the first, a colon for none.
	lines, diverted := strings.Split(diversions, "\n"), map[string]string{}
	for i := 2; i < len(lines); i += 3 {
		diverted[lines[i-2]] = lines[i]
	}
	wanted, owners := setOf(files), map[string][]string{}
	own := func(owner, file string) {
		if by := diverted[file]; wanted[file] && (by == "" || by == owner) {
			owners[file] = append(owners[file], owner)
		}
	}
	for i := range all {
		for _, c := range all[i].conffiles {
			own(all[i].name, c.file)
		}
	}
	var rest []string
	for _, file := range files {
		if owners[file] == nil {
			rest = append(rest, file)
		}
	}
	found, err := m.dpkgSearch(ctx, rest)
	for _, p := range found {
		own(p.Name, p.Version)
	}
	return owners, err
}

// dpkgSearch asks dpkg-query which packages name files. The answer has a file in place of a
// version, and is cached: dpkg-query takes 20 ms for it, and ten times as long with many packages.
func (m *Manager) dpkgSearch(ctx context.Context, files []string) (found []port.Package, err error) {
	if files == nil {
		return nil, nil
	}
	cache := m.dpkgCache(files)
	found, ok := cache.read()
	if ok {
		return found, nil
	}
	r, err := m.query(ctx, dpkgSearcher, append([]string{"--search", "--"}, files...)...)
	if err != nil {
		return nil, err
	}
	err = readSearch(r, func(owner, file string) { found = append(found, port.Package{Name: owner, Version: file}) })
	if err == nil && !m.CheckMode {
		cache.write(found)
	}
	return found, err
}

// readSearch hands over the owners that dpkg-query printed: packages, with their architectures if
// those matter, a colon, and the file. A diversion is not an owner. dpkg-query ends with 1 where a
// file has no owner, and with 2 where it has no answer.
func readSearch(r process.Result, hand func(owner, file string)) error {
	if r.Code > 1 {
		return errors.New("cannot find the packages that own files (dpkg-query reads /var/lib/dpkg/info/*.list): " +
			r.LastLines())
	}
	for _, line := range strings.Split(r.Stdout, "\n") {
		owners, file, found := strings.Cut(line, ": ")
		if !found || strings.HasPrefix(owners, "diversion by") || strings.HasPrefix(owners, "local diversion") {
			continue
		}
		for _, owner := range strings.Split(owners, ", ") {
			owner, _, _ = strings.Cut(owner, ":")
			hand(owner, file)
		}
	}
	return nil
}

// dpkgUnchanged reports whether a conffile has the content that dpkg recorded of the package's. Of
// another file dpkg replaces each change, so nothing says that it was changed.
func (m *Manager) dpkgUnchanged(_ context.Context, owner, file string) (bool, error) {
	content, err := m.readFile(file)
	if err != nil {
		return false, err
	}
	all, err := m.dpkgPackages()
	unchanged, sum := true, md5(content)
	for i := range all {
		for _, c := range all[i].conffiles {
			if all[i].name == owner && c.file == file {
				if c.md5 == sum { // one architecture of the package is enough
					return true, nil
				}
				unchanged = false
			}
		}
	}
	return unchanged, err
}
