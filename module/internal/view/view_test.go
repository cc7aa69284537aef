// SPDX-License-Identifier: GPL-3.0-or-later

package view

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestReadMounts reads lines as proc(5) has them.
func TestReadMounts(t *testing.T) {
	mounts := readMounts(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:30 / /var/lib/a\040b rw,nosuid shared:2 master:1 - tmpfs tmpfs rw,size=1k
41 22 0:31 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
42 22 0:32 / /srv rw
`)
	all := make([]string, 0, len(mounts))
	for _, m := range mounts {
		all = append(all, fmt.Sprint(m.point, "|", m.kind, "|", skippedKind(m.kind)))
	}
	if want := []string{"/|ext4|false", "/var/lib/a b|tmpfs|false",
		"/run/user/1000/gvfs|fuse.gvfsd-fuse|true"}; !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
}

// inMounts runs f on a thread with mounts of its own, which are gone afterwards.
func inMounts(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: it ends with us
		if err = syscall.Unshare(syscall.CLONE_NEWNS); err == nil {
			if err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err == nil {
				f()
			}
		}
	}()
	<-done
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("mounts need CAP_SYS_ADMIN: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestViewOfMounts: the view has what is mounted below the trees, as deep as it goes, and nothing
// that is written there reaches it.
func TestViewOfMounts(t *testing.T) {
	root := t.TempDir()
	inMounts(t, func() {
		must := func(err error) bool {
			if err != nil {
				t.Error(err)
			}
			return err == nil
		}
		tmpfs := func(dir string) *os.File {
			must(os.MkdirAll(dir, 0o755))
			must(syscall.Mount("tmpfs", dir, "tmpfs", 0, ""))
			must(os.WriteFile(dir+"/file", []byte("host"), 0o644))
			host, err := os.Open(dir)
			must(err)
			return host
		}
		must(os.MkdirAll(root+"/etc", 0o755))
		must(os.WriteFile(root+"/etc/hosts", nil, 0o644))
		must(os.WriteFile(root+"/hosts", []byte("host"), 0o644))
		must(syscall.Mount(root+"/hosts", root+"/etc/hosts", "", syscall.MS_BIND, ""))
		opened := map[string]*os.File{}
		for _, dir := range []string{"/var/lib/rpm", "/var/lib/rpm/deep/er", "/var/lib/with: a, colon", "/run/lock"} {
			opened[dir] = tmpfs(root + dir)
		}
		// Nothing can be laid upon this one.
		layers := tmpfs(root + "/layers")
		defer layers.Close()
		lower := root + "/var/lib/stacked"
		must(os.MkdirAll(lower, 0o755))
		must(os.WriteFile(lower+"/file", []byte("host"), 0o644))
		for _, at := range []string{"1", "2"} {
			for _, dir := range []string{"/layers/u", "/layers/w"} {
				must(os.Mkdir(root+dir+at, 0o755))
			}
			options := fmt.Sprintf("lowerdir=%s,upperdir=%s/layers/u%s,workdir=%s/layers/w%s", lower, root, at, root,
				at)
			must(syscall.Mount("overlay", lower, "overlay", 0, options))
		}
		must(os.MkdirAll(root+"/run/proc", 0o755))
		must(syscall.Mount("proc", root+"/run/proc", "proc", 0, ""))

		if !must(enterThrowaway(root, []string{"/var/lib/rpm/rpmdb.sqlite"})) {
			return
		}
		for dir, host := range opened {
			file := root + dir + "/file"
			if content, err := os.ReadFile(file); string(content) != "host" {
				t.Errorf("%s: %q, %v", file, content, err)
			}
			must(os.WriteFile(file, []byte("view"), 0o644))
			if content, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/file", host.Fd())); string(content) != "host" {
				t.Errorf("what was written to %s in the view reached the host: %q, %v", dir, content, err)
			}
			host.Close()
		}
		for _, file := range []string{root + "/etc/hosts", lower + "/file"} {
			if content, err := os.ReadFile(file); string(content) != "host" {
				t.Errorf("%s: %q, %v", file, content, err)
			}
			if err := os.WriteFile(file, []byte("view"), 0o644); !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s can be written to: %v", file, err)
			}
		}
		must(os.WriteFile(root+"/etc/new", nil, 0o644))
	})
	if _, err := os.Stat(root + "/etc/new"); err == nil {
		t.Error("what was written in the view is on the host")
	}
}

// TestPlanLayers: which layers a view has, of which mounts, and in which order.
func TestPlanLayers(t *testing.T) {
	host := len(written)
	for name, c := range map[string]struct {
		root   string
		needed []string
		mounts []mount
		want   []string // of the layers that are not a tree of the host's own
	}{
		"the host alone": {root: "/", mounts: []mount{{"/", "ext4"}, {"/home", "xfs"}, {"/proc", "proc"}}},
		"mounts below a tree": {root: "/",
			mounts: []mount{{"/var/lib/rpm", "xfs"}, {"/var/lib/rpm/deep", "tmpfs"}, {"/run/lock", "tmpfs"}},
			want:   []string{"/run/lock nested", "/var/lib/rpm nested", "/var/lib/rpm/deep nested"}},
		"of a network or the kernel": {root: "/",
			mounts: []mount{{"/var/lib/nfs", "nfs4"}, {"/run/user/0/gvfs", "fuse.gvfsd"},
				{"/var/lib/b", "binfmt_misc"}}},
		"but what is needed": {root: "/", needed: []string{"/var/lib/rpm/rpmdb.sqlite"},
			mounts: []mount{{"/var/lib/rpm", "nfs4"}, {"/var/lib/other", "nfs4"}},
			want:   []string{"/var/lib/rpm nested required"}},
		"mounted twice": {root: "/", mounts: []mount{{"/run/lock", "tmpfs"}, {"/run/lock", "tmpfs"}},
			want: []string{"/run/lock nested"}},
		"a tree of an image": {root: "/srv/image", needed: []string{"/var/lib/rpm/rpmdb.sqlite"},
			mounts: []mount{{"/srv/image/var/lib/rpm", "xfs"}, {"/srv/image/home", "xfs"}},
			want: []string{"/srv/image/etc tree required", "/srv/image/root tree required",
				"/srv/image/run tree required",
				"/srv/image/usr/lib/sysimage tree required", "/srv/image/usr/share/rpm tree required",
				"/srv/image/var/cache tree required",
				"/srv/image/var/lib nested tree required", "/srv/image/var/lib/rpm nested required",
				"/srv/image/var/log tree required",
				"/srv/image/var/tmp tree required"}},
	} {
		layers := planLayers(c.root, c.needed, c.mounts)
		var got []string
		own := 0
		for _, l := range layers {
			if l.writable {
				own++
				continue
			}
			text := l.target
			for _, word := range []struct {
				is   bool
				word string
			}{{l.nested, " nested"}, {l.tree, " tree"}, {l.required, " required"}} {
				if word.is {
					text += word.word
				}
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) || own != host {
			t.Errorf("%s: %d of the host, and %q", name, own, got)
		}
		if !slices.IsSortedFunc(layers, func(a, b layer) int { return strings.Compare(a.target, b.target) }) {
			t.Errorf("%s: an inner layer comes before the outer one", name)
		}
	}
}

// TestChooseScratch: the file system in memory does not hide the tree.
func TestChooseScratch(t *testing.T) {
	for root, want := range map[string]string{"/": "/tmp", "/tmp/image": "/mnt", "/mnt": "/tmp", "/tmpfs": "/tmp"} {
		if got, err := chooseScratch(root, func(string) bool { return true }); err != nil || got != want {
			t.Errorf("%s: %s, %v", root, got, err)
		}
	}
	if _, err := chooseScratch("/tmp/image", func(dir string) bool { return dir == "/tmp" }); err == nil {
		t.Error("the tree is hidden")
	}
}

// TestClose: after Close, a view starts nothing, and a nil one starts all it is given.
func TestClose(t *testing.T) {
	ran := 0
	run := func() error { ran++; return nil }
	m := newMounts("test", func() error { return nil })
	if err := m.Do(run); err != nil {
		t.Error(err)
	}
	m.Close()
	m.Close()
	if err := m.Do(run); err == nil || ran != 1 {
		t.Errorf("it ran: %v", err)
	}
	m = nil
	if err := m.Do(run); err != nil || ran != 2 {
		t.Error(err)
	}
	m.Close()
	refused := errors.New("refused")
	m = newMounts("test", func() error { return refused })
	defer m.Close()
	if err := m.Do(run); !errors.Is(err, ErrNoMounts) || !errors.Is(err, refused) || ran != 2 {
		t.Error(err)
	}
}
