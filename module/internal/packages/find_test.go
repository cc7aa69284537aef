// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"slices"
	"strings"
	"testing"
)

// TestChoose: which manager and databases are chosen, by what a host has. No host is needed for it.
func TestChoose(t *testing.T) {
	const sysimage, classic = "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"
	const sysimageDir, classicDir = "/usr/lib/sysimage/rpm", "/var/lib/rpm"
	const missing = ": its program /usr/bin/rpm is missing, or cannot be run: "
	fedora := Want{Managers: []string{"dnf5", "dnf"}, Own: true}
	debian := Want{Managers: []string{"apt"}, Own: true}
	like := func(managers ...string) Want { return Want{Managers: managers, Own: true, Every: true} }
	unlike := Want{Managers: Names(), Every: true}
	both := []string{"apt-get", "dpkg-query", "dnf5", "dnf", "rpm"}
	for name, c := range map[string]struct {
		root     string
		want     Want
		inUse    []string // files of databases
		empty    []*database
		programs []string
		sameAs   string // a program that is dnf5 by another name
		sameDirs bool
		manager  string
		database *database
		others   []*database
		dir, dbDir,
		problem string
	}{
		"Fedora": {
			want: fedora, inUse: []string{sysimage}, programs: []string{"dnf5", "dnf", "rpm"}, manager: "dnf5",
			database: &rpmDatabase, dir: sysimageDir,
		},
		"Fedora with dpkg": {
			want: fedora, inUse: []string{sysimage, dpkgStatus}, programs: both, manager: "dnf5",
			database: &rpmDatabase, dir: sysimageDir,
		},
		"CentOS 9": {
			want: fedora, inUse: []string{classic}, programs: []string{"dnf", "rpm"}, manager: "dnf",
			database: &rpmDatabase, dir: classicDir,
		},
		"dnf is dnf5": {
			want: Want{Managers: []string{"dnf"}, Own: true}, inUse: []string{sysimage},
			programs: []string{"dnf5", "dnf", "rpm"}, sameAs: "/usr/bin/dnf", manager: "dnf5",
			database: &rpmDatabase, dir: sysimageDir,
		},
		"RHEL 7, whose yum is not known": {
			want: fedora, inUse: []string{classic}, programs: []string{"rpm"}, manager: "none",
			database: &rpmDatabase, dir: classicDir,
		},
		"RHEL 7 with dpkg of EPEL": {
			want: fedora, inUse: []string{classic, dpkgStatus}, empty: []*database{&dpkgDatabase},
			programs: []string{"rpm", "dpkg-query"}, manager: "none", database: &rpmDatabase, dir: classicDir,
		},
		"Debian with rpm": {
			want: debian, inUse: []string{classic, dpkgStatus}, programs: []string{"apt-get", "dpkg-query", "rpm"},
			manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg",
		},
		"Kali with dnf and rpm": {
			want: like("apt"), inUse: []string{classic, dpkgStatus}, empty: []*database{&rpmDatabase},
			programs: both, manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg",
		},
		"Linux Mint with dnf and rpm": {
			want: like("apt", "apt"), inUse: []string{classic, dpkgStatus}, empty: []*database{&rpmDatabase},
			programs: both, manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg",
		},
		"Raspbian, rpm's database left behind": {
			want: like("apt"), inUse: []string{classic, dpkgStatus}, programs: []string{"apt-get", "dpkg-query"},
			manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg",
		},
		"Nobara with dpkg": {
			want: like("dnf5", "dnf"), inUse: []string{sysimage, dpkgStatus}, empty: []*database{&dpkgDatabase},
			programs: both, manager: "dnf5", database: &rpmDatabase, dir: sysimageDir,
		},
		"Manjaro with dpkg": {
			want: like("pacman"), inUse: []string{alpmLocal, dpkgStatus}, empty: []*database{&dpkgDatabase},
			programs: append([]string{"pacman"}, both...), manager: "pacman", database: &alpmDatabase,
			dir: "/var/lib/pacman",
		},
		"a distribution of two families": {
			want: like("apt"), inUse: []string{classic, dpkgStatus}, programs: both, manager: "apt",
			database: &dpkgDatabase, others: []*database{&rpmDatabase}, dir: "/var/lib/dpkg",
		},
		"no ID_LIKE, dpkg and an empty rpm": {
			want: unlike, inUse: []string{classic, dpkgStatus}, empty: []*database{&rpmDatabase}, programs: both,
			manager: "apt", database: &dpkgDatabase, dir: "/var/lib/dpkg",
		},
		"no ID_LIKE, rpm and an empty dpkg": {
			want: unlike, inUse: []string{classic, dpkgStatus}, empty: []*database{&dpkgDatabase}, programs: both,
			manager: "dnf5", database: &rpmDatabase, dir: classicDir,
		},
		"Gentoo with an empty rpm": {
			want: unlike, inUse: []string{classic}, empty: []*database{&rpmDatabase}, programs: []string{"rpm"},
			manager: "none",
		},
		"Mageia, whose family has another manager": {
			want: like("dnf5", "dnf"), inUse: []string{classic}, programs: []string{"urpmi", "rpm"},
			manager: "none", database: &rpmDatabase, dir: classicDir,
		},
		"Debian, and dnf is asked for": {
			want: Want{Managers: []string{"dnf"}, Own: true}, root: "/srv/image", inUse: []string{dpkgStatus},
			programs: both, manager: "none",
		},
		"a database without its program": {want: fedora, inUse: []string{sysimage}, programs: []string{"dnf5"},
			problem: "read the package database " + sysimage + missing},
		"the same, and the database of another": {
			want: fedora, inUse: []string{sysimage, dpkgStatus}, programs: []string{"dnf5", "dpkg-query"},
			problem: "read the package database " + sysimage + missing},
		"the same in an image": {root: "/srv/image", want: fedora, inUse: []string{sysimage},
			problem: "read the package database /srv/image" + sysimage + missing},
		"ubi-micro's child, not described": {want: like("dnf5", "dnf"), inUse: []string{classic},
			problem: "read the package database " + classic + missing},
		"no database, though expected": {want: fedora, programs: []string{"dnf5", "rpm"},
			problem: "look for the package database of dnf5: none of /usr/lib/sysimage/rpm/rpmdb.sqlite, "},
		"no database, not expected": {want: unlike, programs: []string{"dnf5", "rpm"}, manager: "none"},
		"a container with nothing":  {want: fedora, manager: "none"},
		"an image": {
			root: "/srv/image", want: fedora, inUse: []string{classic}, programs: []string{"dnf5", "rpm"},
			manager: "dnf5", database: &rpmDatabase, dir: classicDir, dbDir: classicDir,
		},
		"an image of Debian": {
			root: "/srv/image", want: debian, inUse: []string{dpkgStatus},
			programs: []string{"apt-get", "dpkg-query"}, manager: "apt", database: &dpkgDatabase,
			dir: "/var/lib/dpkg",
		},
		"an image with a link": {
			root: "/srv/image", want: fedora, inUse: []string{sysimage, classic}, sameDirs: true,
			programs: []string{"dnf5", "rpm"}, manager: "dnf5", database: &rpmDatabase,
			dir: sysimageDir, dbDir: sysimageDir,
		},
		"an image with two": {
			root: "/srv/image", want: fedora, inUse: []string{sysimage, classic}, programs: []string{"dnf5", "rpm"},
			problem: "look for the package database below /srv/image: one is in " + sysimageDir + ", another in " +
				classicDir},
	} {
		s := sight{
			root: c.root, inUse: map[*database][]string{},
			executable: func(program string) bool {
				return slices.ContainsFunc(c.programs, func(p string) bool { return strings.HasSuffix(program, "/"+p) })
			},
			sameProgram: func(a, b string) bool { return a == b || a == c.sameAs && b == dnf5.program },
			sameDir:     func(a, b string) bool { return a == b || c.sameDirs },
			holdsBase:   func(m *Manager) (bool, error) { return !slices.Contains(c.empty, m.database), nil },
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
		dirs := map[*Manager]string{}
		s.reach = func(m *Manager, dir string) error { dirs[m] = dir; return nil }
		found, err := choose(s, c.want)
		if c.problem != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.problem) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || found.Name != c.manager || found.database != c.database ||
			dirs[found] != c.dir || found.dbDir != c.dbDir {
			t.Errorf("%s: %v, in %s, told %q, %v", name, found, dirs[found], found.dbDir, err)
		}
		var others []*database
		for m := found.next; m != nil; m = m.next {
			others = append(others, m.database)
		}
		if !slices.Equal(others, c.others) {
			t.Errorf("%s: %d other databases", name, len(others))
		}
	}
}
