// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"hardening.yama/module/internal/tree"
)

// waitForLock waits for what a lock of fcntl(2) on a file of the tree guards, until no other process has it. The file is opened anew for each look:
// some delete it with the lock.
func (m *Manager) waitForLock(ctx context.Context, what, file string, until time.Time) error {
	for ; ; time.Sleep(200 * time.Millisecond) {
		holder, err := m.lockHolder(file)
		if err != nil || holder == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("wait for %s: process %d has held %s for %s: wait for it to end, or raise lock_timeout", what, holder.Pid, m.under(file), m.LockTimeout)
		}
	}
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
