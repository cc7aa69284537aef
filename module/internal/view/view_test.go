// SPDX-License-Identifier: GPL-3.0-or-later

package view

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
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
	if want := []string{"/|ext4|false", "/var/lib/a b|tmpfs|false", "/run/user/1000/gvfs|fuse.gvfsd-fuse|true"}; !slices.Equal(all, want) {
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

// TestViewOfMounts: the view has what is mounted below the trees, as deep as it goes, and nothing that is written there reaches it.
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
			options := fmt.Sprintf("lowerdir=%s,upperdir=%s/layers/u%s,workdir=%s/layers/w%s", lower, root, at, root, at)
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
