// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// written are the trees that package managers and the rpm database write to even when they are only asked: metadata,
// logs, locks, and the shared memory of the database.
var written = []string{"/var/cache", "/var/lib", "/var/log", "/var/tmp", "/run", "/usr/lib/sysimage", "/root", "/etc"}

// scratches are where the view can keep what it throws away; there is an empty file system in memory then. The first that the
// tree does not lie in is taken.
var scratches = []string{"/tmp", "/mnt", "/media", "/srv"}

// viewHint says what to do where the view cannot be had.
const viewHint = "check mode needs root and overlayfs (modprobe overlay) for this; with packages=ignore it asks nothing"

// view is the thread that sees a copy of the host, made when it is first needed, and what it is asked to do there.
var view struct {
	sync.Once
	requests chan func(error)
}

func makeView(root string) {
	view.requests = make(chan func(error))
	go func() {
		// Never unlocked: the thread with the other mounts serves the whole run.
		runtime.LockOSThread()
		err := enterThrowawayView(root)
		for request := range view.requests {
			request(err)
		}
	}()
}

// InThrowawayView starts a program of somebody else's in the view.
func InThrowawayView(root string, start func() error) error { return inThrowawayView(root, start) }

// inThrowawayView runs f, which starts a program, on a thread that sees a copy of the host: what the program writes to the
// trees above goes to memory and is gone with the run. An ordinary user, who cannot have such a view, cannot write there
// either.
func inThrowawayView(root string, f func() error) (err error) {
	if os.Geteuid() != 0 {
		return f()
	}
	view.Do(func() { makeView(root) })
	done := make(chan struct{})
	view.requests <- func(problem error) {
		defer close(done)
		if problem != nil {
			err = fmt.Errorf("ask the package manager without writing to the host: %w: %s", problem, viewHint)
			return
		}
		err = f()
	}
	<-done
	return err
}

func enterThrowawayView(root string) error {
	trees := written
	if root != "/" {
		for _, tree := range written {
			trees = append(slices.Clone(trees), filepath.Join(root, tree))
		}
	}
	i := slices.IndexFunc(scratches, func(dir string) bool {
		info, err := os.Lstat(dir)
		return err == nil && info.IsDir() && !strings.HasPrefix(root+"/", dir+"/")
	})
	if i < 0 {
		return fmt.Errorf("none of %s is a directory outside of the tree", strings.Join(scratches, ", "))
	}
	scratch := scratches[i]
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", scratch, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0700"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, tree := range trees {
		if info, err := os.Lstat(tree); err != nil || !info.IsDir() {
			continue // not on this host, or a link into another of the trees
		}
		layer := filepath.Join(scratch, strings.ReplaceAll(tree, "/", "-"))
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", tree, layer, layer)
		for _, dir := range []string{layer, layer + "/upper", layer + "/work"} {
			if err := os.Mkdir(dir, 0o755); err != nil { // #nosec G301 -- as the tree it stands for, below a 0700 directory
				return err
			}
		}
		if err := syscall.Mount("overlay", tree, "overlay", 0, options); err != nil {
			return fmt.Errorf("mount an overlay on %s: %w", tree, err)
		}
	}
	return nil
}
