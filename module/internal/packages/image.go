// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"fmt"
	"strings"
)

// Hosts whose packages come with an image. The first row whose file is there names who makes it.
var imageHosts = []struct {
	name, file string
	also       string // "" or a program that must be there, too
	why        string
}{
	{name: "bootc", file: "/run/ostree-booted", also: "/usr/bin/bootc", why: "this host boots an image (bootc), so packages come with the next one"},
	{name: "rpm-ostree", file: "/run/ostree-booted", why: "this host boots an image (ostree), so packages come with the next one: nothing is layered on it"},
}

// snapshotter is the program of hosts whose /usr only changes in a new snapshot, for the next boot.
const snapshotter = "/usr/sbin/transactional-update"

// seal says whether, and why, no package can be changed in the tree. Its database still can be asked.
func (m *Manager) seal() {
	m.sealed = m.elsewhere()
	m.astray = m.sealed != ""
	for _, host := range imageHosts {
		if _, err := m.files.Stat(host.file); err == nil && (host.also == "" || m.has(host.also)) {
			m.Name, m.sealed = host.name, host.why
			return
		}
	}
	sealed := m.readOnlyFileSystem("/usr")
	switch {
	case sealed && m.has(snapshotter):
		m.Name = "transactional-update"
		m.sealed = "/usr is read-only here and changes in a new snapshot only (transactional-update), for the next boot"
	case m.program == "" || m.astray:
	case sealed:
		m.sealed = "/usr is mounted read-only"
	case m.root != "/" && m.atRoot == nil:
		m.sealed = m.Name + " has no option for another root"
	}
}

// elsewhere says that this host's package manager has its database in another directory than the tree, "" where it has not. There
// it would begin a new one, in which nothing is installed.
func (m *Manager) elsewhere() string {
	if m.place == "" || m.program == "" {
		return ""
	}
	r, err := m.execute(context.Background(), false, queryDeadline, m.database.program, m.database.host...)
	if err != nil {
		return fmt.Sprintf("where %s of this host has its package database is not known: %v", m.Name, err)
	}
	theirs := strings.TrimSpace(r.stdout)
	if same(m.files, m.place, theirs) {
		return ""
	}
	return fmt.Sprintf("the package database of the tree lies in %s, where %s of this host does not look, but in %s", m.place, m.Name, theirs)
}

// has tells whether the tree has a program.
func (m *Manager) has(program string) bool {
	info, err := m.files.Stat(program)
	return err == nil && info.Regular() && info.Mode&0o111 != 0
}

// readOnlyFileSystem tells whether a file system is mounted read-only, which statfs(2) says. Where it cannot be asked, it is
// found out by writing.
func (m *Manager) readOnlyFileSystem(dir string) bool {
	d, err := m.files.Dir(dir)
	if err != nil {
		return false
	}
	defer d.Close() //nolint:errcheck // only looked at
	readOnly, err := d.ReadOnly()
	return err == nil && readOnly
}
