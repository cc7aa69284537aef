// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hardening.yama/module/internal/driver"
)

// rpmOfHost has a program stand for rpm, which writes down what it is asked. The database of its
// host is in a directory.
func rpmOfHost(t *testing.T, place string) (said func() string) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
{ printf '%%s' "$*" | tr '\n' ' ' && echo; } >>%s/said
case " $*" in
*_dbpath*) echo %s ;;
*_rpmlock_path*) echo /nowhere ;;
*whatrequires*) ;;
*' -qf '*) printf 'warning: Found bdb Packages database while attempting sqlite backend: using bdb_ro backend.\n' >&2; echo enabler ;;
*' -q '*) printf 'enabler\t1-1\nfilesystem\t3-1\nrpm\t4-1\n' ;;
esac
`, dir, place)
	check(t, os.WriteFile(dir+"/rpm", []byte(script), 0o700))
	before, dnf5Before := rpmDatabase.program, dnf5
	rpmDatabase.program = dir + "/rpm"
	dnf5.program = dir + "/rpm"
	t.Cleanup(func() { rpmDatabase.program, dnf5 = before, dnf5Before })
	return func() string {
		content, err := os.ReadFile(dir + "/said")
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		_ = os.Remove(dir + "/said")
		return string(content)
	}
}

// TestTreeOfAnother: the database of a tree is looked for where the tree has it, not where this
// host has its own; and where the manager of this host would look elsewhere, it is not let near.
func TestTreeOfAnother(t *testing.T) {
	const sysimage, classic = "/usr/lib/sysimage/rpm", "/var/lib/rpm"
	for name, c := range map[string]struct {
		host, tree string
		link       string // in the tree, to its database
		readOnly   string
	}{
		"Fedora in Fedora": {host: sysimage, tree: sysimage},
		"Fedora's CentOS 9": {host: sysimage, tree: classic,
			readOnly: "the package database of the tree lies in /var/lib/rpm, where dnf5 of this host does not look, but in /usr/lib/sysimage/rpm"},
		"CentOS 9 in CentOS 9":     {host: classic, tree: classic},
		"Debian's Fedora, by link": {host: classic, tree: sysimage, link: classic},
		"Debian's, without a link": {host: classic, tree: sysimage,
			readOnly: "the package database of the tree lies in /usr/lib/sysimage/rpm, where dnf5 of this host does not look, but in /var/lib/rpm"},
		"nobody knows where": {tree: sysimage,
			readOnly: "the package database of the tree lies in /usr/lib/sysimage/rpm, where dnf5 of this host does not look, but in "},
	} {
		t.Run(name, func(t *testing.T) {
			said := rpmOfHost(t, c.host)
			root := t.TempDir()
			check(t, os.MkdirAll(root+c.tree, 0o755))
			write(t, root+c.tree+"/rpmdb.sqlite", "database")
			check(t, os.MkdirAll(root+"/etc", 0o755))
			write(t, root+"/etc/a", "")
			if c.link != "" {
				check(t, os.MkdirAll(filepath.Dir(root+c.link), 0o755))
				check(t, os.Symlink("../.."+c.tree, root+c.link))
			}
			m, err := Find(filesOf(t, root), root, Want{Managers: []string{"dnf5"}, Own: true})
			if err != nil || m.Name != "dnf5" || m.readOnly != c.readOnly {
				t.Fatalf("%s %q, %v", m.Name, m.readOnly, err)
			}
			d := driver.New(m, driver.Config{LockTimeout: time.Second})
			said()
			if found, err := d.StartInstalled(t.Context(), []string{"enabler"})(); err != nil || len(found) != 1 {
				t.Errorf("%v, %v", found, err)
			}
			_, _ = m.Requirers(t.Context(), []string{"enabler"})
			if owners, err := ownersOf(m, "/etc/a"); err != nil || owners["/etc/a"] != "enabler" {
				t.Errorf("%v, %v", owners, err)
			}
			removal := d.Removal(t.Context(), "enabler")
			check(t, m.checkRPMLock(t.Context()))
			for line := range strings.Lines(said()) {
				lock := strings.Contains(line, "_rpmlock_path")
				manager := strings.Contains(line, "--installroot="+root)
				if lock != !strings.Contains(line, "--root="+root) && !manager || !manager &&
					!strings.Contains(line, "--dbpath="+c.tree) || manager && c.readOnly != "" {
					t.Errorf("it was asked: %s", line)
				}
			}
			if c.readOnly == "" {
				return
			}
			if removal.Cause != m.readOnly || !removal.Unknown {
				t.Errorf("%+v", removal)
			}
			if err := d.Install(t.Context(), "enabler"); err == nil || err.Error() != m.readOnly {
				t.Error(err)
			}
		})
	}
}

// TestHostItself: on the host, its rpm knows itself, and nothing is started to ask where.
func TestHostItself(t *testing.T) {
	said := rpmOfHost(t, "/elsewhere")
	m, err := Find(filesOf(t, "/"), "/", Want{Managers: []string{"dnf5"}})
	if err != nil || m.dbDir != "" || m.dbElsewhere || said() != "" {
		t.Errorf("%+v, %v", m, err)
	}
	m.root, m.database = "/", &rpmDatabase
	if _, err := m.rpmOwners(t.Context(), []string{"/etc/a"}); err != nil {
		t.Error(err)
	}
	if words := said(); strings.Contains(words, "--root") || strings.Contains(words, "--dbpath") {
		t.Error(words)
	}
}

// TestTwoDatabases: rpm begins a new database wherever it looks for one. Which of two is the
// tree's, nobody can tell.
func TestTwoDatabases(t *testing.T) {
	rpmOfHost(t, "/usr/lib/sysimage/rpm")
	root := t.TempDir()
	for _, dir := range []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"} {
		check(t, os.MkdirAll(root+dir, 0o755))
		write(t, root+dir+"/rpmdb.sqlite", "database")
	}
	_, err := Find(filesOf(t, root), root, Want{Managers: []string{"dnf5"}, Own: true})
	want := "look for the package database below " + root +
		": one is in /usr/lib/sysimage/rpm, another in /var/lib/rpm: remove the one that is not the tree's"
	if err == nil || err.Error() != want {
		t.Errorf(" got %v\nwant %s", err, want)
	}
}

// TestSuccessor: where dnf is a link to dnf5, it is dnf5 that is driven, whichever name it has.
func TestSuccessor(t *testing.T) {
	rpmOfHost(t, "/var/lib/rpm")
	root := t.TempDir()
	check(t, os.MkdirAll(root+"/var/lib/rpm", 0o755))
	write(t, root+"/var/lib/rpm/rpmdb.sqlite", "database")
	before := dnf
	t.Cleanup(func() { dnf = before })
	dnf.program = t.TempDir() + "/dnf"
	check(t, os.WriteFile(dnf.program, nil, 0o700))
	want := Want{Managers: []string{"dnf"}, Own: true}
	if m, err := Find(filesOf(t, root), root, want); err != nil || m.Name != "dnf" || !m.Is("dnf") || m.Is("dnf5") {
		t.Errorf("%s, %v", m.Name, err)
	}
	check(t, os.Remove(dnf.program))
	check(t, os.Symlink(dnf5.program, dnf.program))
	if m, err := Find(filesOf(t, root), root, want); err != nil || m.Name != "dnf5" || !m.Is("dnf") || !m.Is("dnf5") {
		t.Errorf("%s, %v", m.Name, err)
	}
}
