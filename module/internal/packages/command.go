// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/view"
)

// findPatience is how long a program may take that Find asks, and markPatience how long the manager
// may take to record what it has just installed.
const findPatience, markPatience = time.Minute, time.Minute

// environment is the whole environment of a manager: a fixed locale, since its messages are read,
// nothing that a user controls, and for Debian that no one can answer questions and no service is
// to be restarted.
var environment = []string{
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb",
	"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_SUSPEND=1",
}

// queryEnvironment is for programs that only read the database. The C locale is the quickest to
// load.
var queryEnvironment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "TERM=dumb"}

// starter returns how the manager is started: in the throw-away view, or on the host. There, a
// manager that runs scriptlets in another root has a /proc by which they cannot set what the kernel
// of this host holds.
func (m *Manager) starter(throwaway bool) process.Starter {
	switch {
	case throwaway:
		return m.startInThrowaway
	case m.runsScriptlets && m.root != "/":
		return m.startWithReadOnlyProc
	}
	return process.Here
}

// startInThrowaway starts a program in the throw-away view.
func (m *Manager) startInThrowaway(start func(*syscall.Credential) error) error {
	return m.throwaway.Do(func() error { return start(nil) })
}

// startWithReadOnlyProc starts a program on the host, where the tree's /proc cannot be written to.
func (m *Manager) startWithReadOnlyProc(start func(*syscall.Credential) error) error {
	err := m.readOnlyProc.Do(func() error { return start(nil) })
	if !errors.Is(err, view.ErrNoMounts) {
		return err
	}
	if _, err := m.files.Stat("/proc/sys"); err == nil {
		return fmt.Errorf("%w: unmount %s first", err, m.under("/proc"))
	}
	return start(nil) // the tree has no /proc, and without CAP_SYS_ADMIN a scriptlet cannot mount one
}

// nobody is the user that can read what everybody can, and write nothing.
var nobody = syscall.Credential{Uid: 65534, Gid: 65534}

// queryStarter starts a program that only reads the database. In check mode, where the view is not
// possible, it runs as nobody: for these queries that is enough.
func (m *Manager) queryStarter(start func(*syscall.Credential) error) error {
	if !m.CheckMode {
		return start(nil)
	}
	err := m.startInThrowaway(start)
	if errors.Is(err, view.ErrNoMounts) {
		if asNobody := start(&nobody); asNobody != nil {
			return fmt.Errorf("%w; and as the user nobody: %w", err, asNobody)
		}
		return nil
	}
	return err
}

// lineWith returns the first line that contains a text, "" where none does.
func lineWith(text, part string) string {
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
