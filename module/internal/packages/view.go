// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// written are the trees that package managers and the rpm database write to even when they are only asked: metadata,
// logs, locks, and the shared memory of the database.
var written = []string{"/var/cache", "/var/lib", "/var/log", "/var/tmp", "/run", "/usr/lib/sysimage", "/usr/share/rpm", "/root", "/etc"}

// scratches are where the view can keep what it throws away; there is an empty file system in memory then. The first that the
// tree does not lie in is taken.
var scratches = []string{"/tmp", "/mnt", "/media", "/srv"}

// viewHint says what to do where the view cannot be had.
const viewHint = "this takes CAP_SYS_ADMIN, which a container seldom has, and overlayfs (modprobe overlay)"

// viewpoint is a thread that sees other mounts than the host's, made when it is first needed, and what it is asked to do there.
type viewpoint struct {
	sync.Once
	requests chan func(error)
}

// view sees a copy of the host; calm sees the host, but for a tree's /proc that cannot be written to.
var view, calm viewpoint

// errNoView says that there can be no such thread.
var errNoView = errors.New("it can have no mounts of its own")

// do runs f, which starts a program, on the thread.
func (v *viewpoint) do(enter, f func() error) (err error) {
	v.Do(func() {
		v.requests = make(chan func(error))
		go func() {
			// Never unlocked: the thread with the other mounts serves the whole run.
			runtime.LockOSThread()
			err := enter()
			for request := range v.requests {
				request(err)
			}
		}()
	})
	done := make(chan struct{})
	v.requests <- func(problem error) {
		defer close(done)
		if problem != nil {
			err = fmt.Errorf("%w: %w", errNoView, problem)
			return
		}
		err = f()
	}
	<-done
	return err
}

// InThrowawayView starts a program of somebody else's in the view.
func InThrowawayView(root string, start func() error) error { return inThrowawayView(root, nil, start) }

// inThrowawayView runs f, which starts a program, on a thread that sees a copy of the host: what the program writes to the
// trees above goes to memory and is gone with the run. An ordinary user, who cannot have such a view, cannot write there
// either. The view has to have the needed files.
func inThrowawayView(root string, needed []string, f func() error) error {
	if os.Geteuid() != 0 {
		return f()
	}
	err := view.do(func() error { return enterThrowawayView(root, needed) }, f)
	if errors.Is(err, errNoView) {
		err = fmt.Errorf("ask the package manager without writing to the host: %w: %s", err, viewHint)
	}
	return err
}

func enterCalm(proc string) error {
	if err := privateMounts(); err != nil {
		return err
	}
	_ = syscall.Mkdir(proc, 0o555) // there already, as a rule
	return bindReadOnly("/proc", proc)
}

// privateMounts gives the thread mounts of its own.
func privateMounts() error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

func enterThrowawayView(root string, needed []string) error {
	trees := slices.Clone(written)
	if root != "/" {
		for _, tree := range written {
			trees = append(trees, filepath.Join(root, tree))
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
	mounts, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(syscall.Gettid()) + "/mountinfo") // the thread's own
	if err != nil {
		return err
	}
	if err := privateMounts(); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", scratch, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0700"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	// What is mounted below a tree does not show through it.
	targets := slices.Clone(trees)
	required := func(target string) bool {
		return slices.Contains(trees, target) ||
			slices.ContainsFunc(needed, func(file string) bool { return strings.HasPrefix(filepath.Join(root, file), target+"/") })
	}
	readMounts(string(mounts), func(point, kind string) {
		below := slices.ContainsFunc(trees, func(tree string) bool { return strings.HasPrefix(point, tree+"/") })
		if below && (required(point) || !apart(kind)) && !slices.Contains(targets, point) {
			targets = append(targets, point)
		}
	})
	// Those that lie in one another are made before one is in its place, where it hides what is below; the deepest come last.
	slices.Sort(targets)
	alone := func(target string) bool {
		return !slices.ContainsFunc(targets, func(other string) bool {
			return strings.HasPrefix(other, target+"/") || strings.HasPrefix(target, other+"/")
		})
	}
	made := make([]string, len(targets)) // "" where there is nothing to see, or nobody will miss it
	for i, target := range targets {
		at := filepath.Join(scratch, strconv.Itoa(i))
		info, err := os.Lstat(target)
		if slices.Contains(trees, target) && (err != nil || !info.IsDir()) {
			continue // not on this host, or a link into another of the trees
		}
		view := at + "/view"
		if alone(target) {
			view = target
		}
		if err == nil {
			err = makeLayer(target, at, view, info.IsDir())
		}
		if err != nil && required(target) {
			return err
		}
		if err == nil && view != target {
			made[i] = view
		}
	}
	for i, target := range targets {
		if made[i] == "" {
			continue
		}
		if err := syscall.Mount(made[i], target, "", syscall.MS_MOVE, ""); err != nil && required(target) {
			return fmt.Errorf("mount an overlay on %s: %w", target, err)
		}
	}
	return nil
}

// makeLayer makes what lies on a directory or a file in the view: an overlay or, where there can be none, what is there already but
// read-only. It is made where it belongs, or below at.
func makeLayer(target, at, view string, directory bool) error {
	dirs := []string{at, at + "/upper", at + "/work"}
	if directory && view != target {
		dirs = append(dirs, view)
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil { // #nosec G301 -- as the tree it stands for, below a 0700 directory
			return err
		}
	}
	if !directory {
		if err := syscall.Mknod(view, syscall.S_IFREG, 0); err != nil {
			return err
		}
		return bindReadOnly(target, view)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", overlayEscapes.Replace(target), at, at)
	err := syscall.Mount("overlay", view, "overlay", 0, options)
	if err != nil && (slices.Contains(written, target) || bindReadOnly(target, view) != nil) {
		return fmt.Errorf("mount an overlay on %s: %w", target, err)
	}
	return nil
}

var overlayEscapes = strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`)

// bindReadOnly has a file or directory, without what is mounted below, in another place, where it cannot be written to.
func bindReadOnly(from, to string) error {
	err := syscall.Mount(from, to, "", syscall.MS_BIND, "")
	if err == nil {
		if err = syscall.Mount("", to, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
			_ = syscall.Unmount(to, syscall.MNT_DETACH)
		}
	}
	if err != nil {
		return fmt.Errorf("mount %s read-only: %w", from, err)
	}
	return nil
}

// readMounts reads mountinfo, see proc(5): the mount point is the fifth field of a line, its type the first after a dash alone.
func readMounts(content string, found func(point, kind string)) {
	for line := range strings.Lines(content) {
		before, after, whole := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields := strings.Split(before, " ")
		kind, _, _ := strings.Cut(after, " ")
		if whole && len(fields) > 4 {
			found(mountEscapes.Replace(fields[4]), kind)
		}
	}
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// apart tells whether a file system holds nothing that a package manager looks for: the kernel's own, or one that may be out of
// reach, which not even to look at is safe.
func apart(kind string) bool {
	return strings.HasPrefix(kind, "fuse") || strings.HasPrefix(kind, "nfs") || slices.Contains(strings.Fields(apartKinds), kind)
}

const apartKinds = "proc sysfs cgroup cgroup2 devtmpfs devpts mqueue bpf debugfs tracefs securityfs selinuxfs configfs nsfs autofs " +
	"rpc_pipefs binfmt_misc efivarfs hugetlbfs pstore cifs smb3 ceph 9p afs"
