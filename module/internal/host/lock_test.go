// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLock checks that one run at a time has the lock, also where each run removes its file, and
// that the file stays only in memory.
func TestLock(t *testing.T) {
	memory := "/dev/shm"
	var s unix.Statfs_t
	if err := unix.Statfs(memory, &s); err != nil || s.Type != unix.TMPFS_MAGIC {
		t.Skipf("%s is not in memory here", memory)
	}
	shared, err := os.MkdirTemp(memory, "lock")
	must(t, err)
	defer os.RemoveAll(shared)
	for _, c := range []struct {
		name, root string
		stays      bool
	}{
		{"on a disk", t.TempDir(), false},
		{"in memory", shared, true},
	} {
		must(t, unix.Statfs(c.root, &s))
		if !c.stays && s.Type == unix.TMPFS_MAGIC {
			t.Logf("%s: not tested, %s is in memory", c.name, c.root)
			continue
		}
		must(t, os.MkdirAll(filepath.Join(c.root, "run"), 0o755))
		var running, most atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				h, err := New(c.root, Config{})
				if err != nil {
					t.Error(err)
					return
				}
				defer h.Close()
				for range 5 {
					release, err := h.Lock(context.Background(), time.Minute)
					if err != nil {
						t.Error(err)
						return
					}
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Millisecond)
					running.Add(-1)
					release()
				}
			})
		}
		group.Wait()
		if most.Load() != 1 {
			t.Errorf("%s: %d runs at a time", c.name, most.Load())
		}
		if _, err := os.Lstat(filepath.Join(c.root, lockFile)); (err == nil) != c.stays {
			t.Errorf("%s: the file of the lock: %v", c.name, err)
		}
	}
}
