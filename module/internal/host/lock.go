// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"

	"hardening.yama/module/internal/tree"
)

// lockFile lies in /run, which only root can write, unlike /run/lock on some distributions.
const lockFile = "/run/hardening.yama.lock"

// Lock waits for its turn on this host. The kernel lets go of the lock when the process ends, however it ends.
func (h *Host) Lock(ctx context.Context, wait time.Duration) (release func(), err error) {
	fd, err := h.openLock(lockFile)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("lock the host: %w: root is needed: use become", err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the host: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		err := flock(fd)
		switch {
		case err == nil:
			return func() { _ = syscall.Close(fd) }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			err = fmt.Errorf("lock the host: lock %s: %w", lockFile, err)
		case ctx.Err() != nil:
			err = fmt.Errorf("lock the host: a signal asked the run to stop while another had %s", lockFile)
		case !time.Now().Before(deadline):
			err = fmt.Errorf("lock the host: another run has held %s for %s: wait for it, or raise lock_timeout", lockFile, wait)
		default:
			time.Sleep(50 * time.Millisecond)
			continue
		}
		_ = syscall.Close(fd)
		return nil, err
	}
}

// openLock opens a lock of the running host, which an image has none of.
func (h *Host) openLock(file string) (fd int, err error) {
	files := h.tree
	if h.image {
		if files, err = tree.Open("/"); err != nil {
			return -1, err
		}
		defer files.Close() //nolint:errcheck // only looked through
	}
	dir, err := files.Trusted(path.Dir(file))
	if err != nil {
		return -1, err
	}
	defer dir.Close() //nolint:errcheck // only looked through
	return dir.LockFile(path.Base(file))
}

// flock takes a lock, and fails with EWOULDBLOCK where another process has it.
func flock(fd int) error {
	for {
		if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EINTR {
			return err
		}
	}
}
