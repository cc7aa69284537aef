// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"slices"
	"strings"
	"testing"
)

// TestChoose: which manager and database are chosen, by what a host has. No host is needed for it.
func TestChoose(t *testing.T) {
	const sysimage, classic = "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"
	fedora := []string{"dnf5", "dnf"}
	for name, c := range map[string]struct {
		root     string
		names    []string
		expected bool
		inUse    []string // files of databases
		programs []string
		sameAs   string // a program that is dnf5 by another name
		sameDirs bool
		manager  string
		database *database
		dir, dbDir,
		problem string
	}{
		"Fedora":                         {names: fedora, inUse: []string{sysimage}, programs: []string{"dnf5", "dnf", "rpm"}, manager: "dnf5", database: &rpmDatabase, dir: "/usr/lib/sysimage/rpm"},
		"CentOS 9":                       {names: fedora, inUse: []string{classic}, programs: []string{"dnf", "rpm"}, manager: "dnf", database: &rpmDatabase, dir: "/var/lib/rpm"},
		"dnf is dnf5":                    {names: []string{"dnf"}, inUse: []string{sysimage}, programs: []string{"dnf5", "dnf", "rpm"}, sameAs: "/usr/bin/dnf", manager: "dnf5", database: &rpmDatabase, dir: "/usr/lib/sysimage/rpm"},
		"RHEL 7, whose yum is not known": {names: []string{"dnf"}, expected: true, inUse: []string{classic}, programs: []string{"rpm"}, manager: "none", database: &rpmDatabase, dir: "/var/lib/rpm"},
		"Debian with rpm":                {names: []string{"apt"}, inUse: []string{classic, dpkgStatus}, programs: []string{"apt-get", "dpkg-query", "rpm"}, manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg"},
		"Debian with dnf":                {names: []string{"dnf"}, inUse: []string{dpkgStatus}, programs: []string{"apt-get", "dnf", "dpkg-query", "rpm"}, manager: "none", database: &dpkgDatabase, dir: "/var/lib/dpkg"},
		"a database without a program":   {names: fedora, inUse: []string{sysimage}, programs: []string{"dnf5"}, manager: "none"},
		"no database, though expected": {names: fedora, expected: true, programs: []string{"dnf5", "rpm"},
			problem: "look for the package database of dnf5: none of /usr/lib/sysimage/rpm/rpmdb.sqlite, "},
		"no database, not expected": {names: fedora, programs: []string{"dnf5", "rpm"}, manager: "none"},
		"a container with nothing":  {names: fedora, expected: true, manager: "none"},
		"an image":                  {root: "/srv/image", names: fedora, inUse: []string{classic}, programs: []string{"dnf5", "rpm"}, manager: "dnf5", database: &rpmDatabase, dir: "/var/lib/rpm", dbDir: "/var/lib/rpm"},
		"an image of Debian":        {root: "/srv/image", names: []string{"apt"}, inUse: []string{dpkgStatus}, programs: []string{"apt-get", "dpkg-query"}, manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg"},
		"an image with a link":      {root: "/srv/image", names: fedora, inUse: []string{sysimage, classic}, sameDirs: true, programs: []string{"dnf5", "rpm"}, manager: "dnf5", database: &rpmDatabase, dir: "/usr/lib/sysimage/rpm", dbDir: "/usr/lib/sysimage/rpm"},
		"an image with two": {root: "/srv/image", names: fedora, inUse: []string{sysimage, classic}, programs: []string{"dnf5", "rpm"},
			problem: "look for the package database below /srv/image: one is in /usr/lib/sysimage/rpm, another in /var/lib/rpm: "},
	} {
		s := sight{
			root: c.root, inUse: map[*database][]string{},
			executable: func(program string) bool {
				return slices.ContainsFunc(c.programs, func(p string) bool { return strings.HasSuffix(program, "/"+p) })
			},
			sameProgram: func(a, b string) bool { return a == b || a == c.sameAs && b == dnf5.program },
			sameDir:     func(a, b string) bool { return a == b || c.sameDirs },
		}
		if s.root == "" {
			s.root = "/"
		}
		for _, d := range databases {
			for _, file := range c.inUse {
				if slices.Contains(d.files, file) {
					s.inUse[d] = append(s.inUse[d], file)
				}
			}
		}
		found, dir, err := choose(s, c.names, c.expected)
		if c.problem != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.problem) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || found.Name != c.manager || found.database != c.database || dir != c.dir || found.dbDir != c.dbDir {
			t.Errorf("%s: %v, in %s, told %q, %v", name, found, dir, found.dbDir, err)
		}
	}
}
