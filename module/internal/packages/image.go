// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"fmt"
	"strings"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/process"
)

// imageHosts are the hosts whose packages come with an image. The first row whose file exists
// applies.
var imageHosts = []struct {
	name, file string
	also       string // "" or a program that must be there, too
	why        string
}{
	{name: "bootc", file: "/run/ostree-booted", also: "/usr/bin/bootc",
		why: "this host boots an image (bootc), so packages come with the next one"},
	{name: "rpm-ostree", file: "/run/ostree-booted",
		why: "this host boots an image (ostree), so packages come with the next one: nothing is layered on it"},
}

// snapshotter is the program of hosts whose /usr changes only in a new snapshot, which the next
// boot uses.
const snapshotter = "/usr/sbin/transactional-update"

// setReadOnly finds out whether packages can be changed in the tree, and why not. Its database can
// be asked all the same.
func (m *Manager) setReadOnly() {
	m.readOnly = m.databaseElsewhere()
	m.dbElsewhere = m.readOnly != ""
	for _, host := range imageHosts {
		if _, err := m.files.Stat(host.file); err == nil && (host.also == "" || m.hasProgram(host.also)) {
			m.Name, m.readOnly = host.name, host.why
			return
		}
	}
	readOnly := m.readOnlyFileSystem("/usr")
	switch {
	case readOnly && m.hasProgram(snapshotter):
		m.Name = "transactional-update"
		m.readOnly = "/usr is read-only here and changes in a new snapshot only (transactional-update), for the next boot"
	case m.program == "" || m.dbElsewhere:
	case readOnly:
		m.readOnly = "/usr is mounted read-only"
	case m.root != "/" && m.rootOptions == nil:
		m.readOnly = m.Name + " has no option for another root"
	}
}

// databaseElsewhere says that this host's package manager looks for the database in another
// directory than the tree's, "" where it does not. There it would begin a new database, in which
// nothing is installed.
func (m *Manager) databaseElsewhere() string {
	if m.dbDir == "" || m.program == "" {
		return ""
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), findPatience, driver.Overdue{After: findPatience})
	defer cancel()
	c := &process.Command{Program: m.database.program, Args: m.database.printDBDir, Environment: environment,
		Starter: process.Here}
	r, err := c.Run(ctx)
	if err != nil {
		return fmt.Sprintf("where %s of this host has its package database is not known: %v", m.Name, err)
	}
	theirs := strings.TrimSpace(r.Stdout)
	if sameFile(m.files, m.dbDir, theirs) {
		return ""
	}
	return fmt.Sprintf("the package database of the tree lies in %s, where %s of this host does not look, but in %s",
		m.dbDir, m.Name, theirs)
}

// hasProgram reports whether the tree has a program.
func (m *Manager) hasProgram(program string) bool {
	info, err := m.files.Stat(program)
	return err == nil && info.Regular() && info.Mode&0o111 != 0
}

// readOnlyFileSystem reports whether a file system is mounted read-only, see statfs(2).
func (m *Manager) readOnlyFileSystem(dir string) bool {
	d, err := m.files.Dir(dir)
	if err != nil {
		return false
	}
	defer d.Close() //nolint:errcheck // only looked at
	readOnly, err := d.ReadOnly()
	return err == nil && readOnly
}
