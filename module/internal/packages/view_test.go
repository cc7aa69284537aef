// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadMounts reads lines as proc(5) has them.
func TestReadMounts(t *testing.T) {
	var all []string
	readMounts(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:30 / /var/lib/a\040b rw,nosuid shared:2 master:1 - tmpfs tmpfs rw,size=1k
41 22 0:31 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
42 22 0:32 / /srv rw
`, func(point, kind string) { all = append(all, fmt.Sprint(point, "|", kind, "|", apart(kind))) })
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
	check(t, err)
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

		if !must(enterThrowawayView(root, []string{"/var/lib/rpm/rpmdb.sqlite"})) {
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

// TestCalm: what runs in a tree cannot set what the kernel of this host holds.
func TestCalm(t *testing.T) {
	for _, m := range managers {
		if m.atRoot != nil && !m.lively && !slices.ContainsFunc(m.atRoot, func(option string) bool { return strings.Contains(option, "script") }) {
			t.Errorf("%s runs scriptlets in a tree", m.Name)
		}
	}
	root := t.TempDir()
	check(t, os.Mkdir(root+"/proc", 0o755))
	m := Manager{Name: "zypper", program: "/bin/sh", files: filesOf(t, root), root: root, lively: true, memory: &memory{}}
	inMounts(t, func() {}) // or not at all
	r, err := m.execute(t.Context(), false, time.Minute, "/bin/sh", "-c", `cat "$1/proc/self/comm"; echo x >"$1/proc/self/comm"; echo done >"$1/done"`, "sh", root)
	if err != nil || !strings.HasPrefix(r.stdout, "cat\n") || !strings.Contains(r.stderr, "ead-only file system") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(root + "/done"); err != nil {
		t.Error("the tree cannot be written to")
	}
	if here, err := os.ReadDir(root + "/proc"); err != nil || len(here) > 0 {
		t.Errorf("the host sees %v, %v", here, err)
	}
}

// TestWithoutView: in a container, where the view cannot be had, nobody reads the database, and the manager itself is not asked.
func TestWithoutView(t *testing.T) {
	if os.Getenv("WITHOUT_VIEW") == "" {
		if os.Geteuid() != 0 {
			t.Skip("another user needs root")
		}
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			t.Skip("setpriv is missing, which takes CAP_SYS_ADMIN away")
		}
		c := exec.Command(setpriv, "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "/proc/self/exe", "-test.run=^TestWithoutView$", "-test.v")
		program, err := os.Executable()
		check(t, err)
		c.Args[3] = program
		c.Env = append(os.Environ(), "WITHOUT_VIEW=1")
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestWithoutView") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir := t.TempDir()
	m := Manager{Name: "dnf5", ReadOnly: true, files: filesOf(t, "/"), root: "/", program: "/bin/sh", database: &database{}, memory: &memory{}, LockTimeout: time.Second}
	r, err := m.query(t.Context(), "/bin/sh", "-c", `id -u; id -g; id -G; echo x >"$1" && echo written`, "sh", dir+"/file")
	if err != nil || r.stdout != "65534\n65534\n65534\n" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := m.run(t.Context(), true, "1m", []string{"-c"}, "true"); !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), viewHint) {
		t.Errorf("the manager was asked: %v", err)
	}
	m.ReadOnly = false
	if r, err := m.query(t.Context(), "/bin/sh", "-c", "id -u"); err != nil || r.stdout != "0\n" {
		t.Errorf("%+v, %v", r, err)
	}
	// Nor can anybody keep a tree's scriptlets from a /proc that is there.
	m.root, m.files, m.lively = dir, filesOf(t, dir), true
	if r, err := m.execute(t.Context(), false, time.Minute, "/bin/sh", "-c", "echo ran"); err != nil || r.stdout != "ran\n" {
		t.Errorf("%+v, %v", r, err)
	}
	check(t, os.MkdirAll(dir+"/proc/sys", 0o755))
	if _, err := m.execute(t.Context(), false, time.Minute, "/bin/sh", "-c", "echo ran"); err == nil || !strings.Contains(err.Error(), "unmount "+dir+"/proc first") {
		t.Errorf("it ran: %v", err)
	}
	// With the real one, where there is one.
	if m, err = Find(filesOf(t, "/"), "/", []string{"apt"}, false); err == nil && m.Name == "apt" {
		m.ReadOnly = true
		owners, err := m.Owners(t.Context(), []string{"/usr/lib/os-release"})
		if err != nil || owners["/usr/lib/os-release"] != "base-files" {
			t.Errorf("%v, %v", owners, err)
		}
	}
}
