// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"syscall"

	"hardening.yama/module/internal/tree"
)

// checkFileLock returns an error that wraps port.ErrBusy while another process has a lock of
// fcntl(2) on a file of the tree. The file is opened anew each time: some managers delete it with
// the lock.
func (m *Manager) checkFileLock(file string) error {
	holder, err := m.lockHolder(file)
	if err != nil || holder == nil {
		return err
	}
	return busyError(fmt.Sprintf("process %d holds %s", holder.Pid, m.under(file)))
}

// lockHolder returns the lock that keeps others from writing, nil where there is none.
func (m *Manager) lockHolder(file string) (*syscall.Flock_t, error) {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	look := func(fd int) error { return syscall.FcntlFlock(uintptr(fd), syscall.F_GETLK, &lock) }
	err := m.files.Open(file, look)
	switch {
	case tree.Nobody(err):
		return nil, nil //nolint:nilnil // no process has made the lock yet
	case err != nil:
		return nil, err
	case lock.Type == syscall.F_UNLCK:
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	return &lock, nil
}
