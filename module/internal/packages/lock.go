// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// waitForLock waits for what a lock of fcntl(2) on a file of the tree guards, until no other process has it. The file is opened anew for each look:
// some delete it with the lock.
func (m *Manager) waitForLock(ctx context.Context, what, file string, until time.Time) error {
	for ; ; time.Sleep(200 * time.Millisecond) {
		holder, err := lockHolder(m.under(file))
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
func lockHolder(file string) (*syscall.Flock_t, error) {
	f, err := os.Open(file) // #nosec G304 -- a lock of the package manager's
	if err != nil {
		return nil, nil //nolint:nilnil // nobody has made the lock yet; if it is something else, the manager will say so
	}
	defer f.Close() //nolint:errcheck // only looked at
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil || lock.Type == syscall.F_UNLCK {
		return nil, err
	}
	return &lock, nil
}
