// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package sandbox

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main(m, World{Program: "../../bin/ptrace_scope", Strace: true})
}

// TestGuard checks that the sandbox has nothing of the machine but the read-only root, and that the
// guard finds other mounts.
func TestGuard(t *testing.T) {
	Enter(t)
	if err := guard(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains([]string{"dev", "lower", "hosts", "machine", "proc", "tmp", "tools"}, entry.Name()) {
			t.Errorf("/%s is in the sandbox", entry.Name())
		}
	}
	if left, err := os.ReadDir("/machine"); err != nil || len(left) > 0 {
		t.Errorf("the file systems of the machine are there: %v %v", left, err)
	}
	if processes := descendants(1); len(processes) > 0 {
		t.Errorf("processes of the machine are visible: %v", processes)
	}
	h := NewHost(t, nil)
	if err := guard(); err == nil || !strings.Contains(err.Error(), h.Root) {
		t.Errorf("the guard does not find the mount of a host: %v", err)
	}
}

// TestHost runs the program on a host. The picture shows the changes. The next host has none of
// them.
func TestHost(t *testing.T) {
	Enter(t)
	h := NewHost(t, nil)
	if err := h.SetValue("0"); err != nil {
		t.Fatal(err)
	}
	before := h.Picture()
	arguments := map[string]any{"state": "restricted", "packages": "ignore"}
	o := h.Run(Run{Module: "ptrace_scope", Arguments: arguments, Limit: time.Minute})
	if broken := o.Broken(); broken != "" || o.Failed() || o.Report["changed"] != true {
		t.Fatalf("%s %+v", broken, o)
	}
	if h.Value() != "1" {
		t.Errorf("the value is %s", h.Value())
	}
	const dropIn = "/etc/sysctl.d/zz-ptrace_scope.conf"
	if changes := h.Picture().Since(before); !strings.Contains(changes, "new: "+h.Upper+dropIn+" ") {
		t.Errorf("the picture does not show the drop-in: %s", changes)
	}
	if _, err := os.Lstat(NewHost(t, nil).Path(dropIn)); err == nil {
		t.Error("the next host has the drop-in")
	}
}

// TestLimits checks that a program is killed at the limit with its children, and that its memory is
// bounded.
func TestLimits(t *testing.T) {
	Enter(t)
	h := NewHost(t, nil)
	o := watch(h.Command("/usr/bin/bash", "-c", "sleep 600 & sleep 600"), 200*time.Millisecond)
	if !o.Hung || o.Took > 10*time.Second {
		t.Errorf("%+v", o)
	}
	o = watch(h.Command("/usr/bin/perl", "-e", "$x = 'x' x (1 << 30)"), time.Minute)
	if o.Hung || o.Code == 0 || !strings.Contains(o.Stderr, "Out of memory") {
		t.Errorf("a program gets more memory than it may have: %+v", o)
	}
}

// TestTrace checks that a trace has the files that the program reads.
func TestTrace(t *testing.T) {
	Enter(t)
	h := NewHost(t, nil)
	paths, o, err := h.Trace(Run{Module: "ptrace_scope_info", Arguments: map[string]any{}})
	if err != nil || o.Broken() != "" {
		t.Fatal(err, o.Broken())
	}
	for _, name := range []string{"/etc/os-release", "/usr/lib/sysctl.d/50-pid-max.conf", "/var/lib/dpkg/status"} {
		if !slices.Contains(paths, name) {
			t.Errorf("%s is not in the trace: %q", name, paths)
		}
	}
}

// TestPathsIn parses interrupted calls, descriptors, and texts that are not paths.
func TestPathsIn(t *testing.T) {
	const output = `7 openat(AT_FDCWD</>, "etc/os-release", O_RDONLY|O_CLOEXEC) = 3</etc/os-release>
7 newfstatat(5</img/etc>, "sysctl.d", {st_mode=S_IFDIR|0755}, AT_SYMLINK_NOFOLLOW) = 0
8 openat2(5</img/etc>, "ufw", {flags=O_RDONLY}, 24 <unfinished ...>
7 fgetxattr(6</img/etc/ufw>, "security.selinux", 0xc0, 256) = -1 ENODATA (No data available)
7 write(1</sandbox/out>, "/no/path", 8) = 8
8 <... openat2 resumed>) = 6</img/etc/ufw>
7 mount("/dev/x", "/img/mnt", "tmpfs", 0, "mode=0700") = 0
7 readlinkat(AT_FDCWD</>, "/img/l\"ink", "/target", 128) = 7
7 +++ exited with 0 +++
`
	want := []string{
		"/", "/dev/x", "/etc/os-release", "/img/etc", "/img/etc/sysctl.d", "/img/etc/ufw", "/img/l\"ink", "/img/mnt",
		"/sandbox/out", "/target",
	}
	if got := pathsIn(output); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPackagesIn reads the list without its comments.
func TestPackagesIn(t *testing.T) {
	got := packagesIn(trixiePackages)
	if !strings.HasPrefix(got, "rpm,createrepo-c,") || strings.ContainsAny(got, "# \n") || strings.HasSuffix(got, ",") {
		t.Errorf("got %q", got)
	}
}
