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

// Lock waits for its turn on this host. The kernel lets go of the lock when the process ends,
// however it ends. Where /run is part of an image that is being built, the file does not stay
// there.
func (h *Host) Lock(ctx context.Context, wait time.Duration) (release func(), err error) {
	deadline := time.Now().Add(wait)
	for {
		l, err := h.openLock(lockFile)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("lock the host: %w: root is needed: use become", err)
		}
		if err != nil {
			return nil, fmt.Errorf("lock the host: %w", err)
		}
		err = flock(l.fd)
		switch {
		case err == nil && l.named():
			return l.release, nil
		case err == nil: // the run that had it removed it
			l.close()
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			err = fmt.Errorf("lock the host: lock %s: %w", lockFile, err)
		case ctx.Err() != nil:
			err = fmt.Errorf("lock the host: a signal asked the run to stop while another had %s", lockFile)
		case !time.Now().Before(deadline):
			err = fmt.Errorf("lock the host: another run has held %s for %s: wait for it, or raise lock_timeout",
				lockFile, wait)
		default:
			l.close()
			time.Sleep(50 * time.Millisecond)
			continue
		}
		l.close()
		return nil, err
	}
}

// lock is an open file to lock, and its directory.
type lock struct {
	fd   int
	dir  *tree.Dir
	base string
}

// openLock opens a lock of the running host, which an image has none of.
func (h *Host) openLock(file string) (l lock, err error) {
	files := h.tree
	if h.image {
		if files, err = tree.Open("/"); err != nil {
			return l, err
		}
		defer files.Close() //nolint:errcheck // only looked through
	}
	l.base = path.Base(file)
	if l.dir, err = files.Trusted(path.Dir(file)); err != nil {
		return l, err
	}
	if l.fd, err = l.dir.LockFile(l.base); err != nil {
		_ = l.dir.Close() // only looked through
	}
	return l, err
}

// named reports whether the open file still has its name.
func (l lock) named() bool {
	var s syscall.Stat_t
	return syscall.Fstat(l.fd, &s) == nil && s.Nlink > 0
}

func (l lock) release() {
	if volatile, err := l.dir.Volatile(); err == nil && !volatile {
		_ = l.dir.Remove(l.base) // an empty file, which the next run makes again
	}
	l.close()
}

func (l lock) close() {
	_ = syscall.Close(l.fd)
	_ = l.dir.Close() // only looked through
}

// flock takes a lock, and fails with EWOULDBLOCK where another process has it.
func flock(fd int) error {
	for {
		if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EINTR {
			return err
		}
	}
}
