// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockFile lies in /run, which only root can write, unlike /run/lock on some distributions.
const lockFile = "/run/hardening.yama.lock"

// Lock waits for its turn on this host. The kernel lets go of the lock when the process ends, however it ends.
func (h *Host) Lock(ctx context.Context, wait time.Duration) (release func(), err error) {
	file := h.path(lockFile)
	if h.image {
		file = lockFile
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600) // #nosec G304 -- ours
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("lock the host: %w: root is needed: use become", err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the host: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			err = fmt.Errorf("lock the host: lock %s: %w", lockFile, err)
		case ctx.Err() != nil:
			err = fmt.Errorf("lock the host: the run was asked to stop while another had %s", lockFile)
		case !time.Now().Before(deadline):
			err = fmt.Errorf("lock the host: another run has held %s for %s: wait for it, or raise lock_timeout", lockFile, wait)
		default:
			h.meanwhile()
			time.Sleep(50 * time.Millisecond)
			continue
		}
		_ = f.Close()
		return nil, err
	}
}
