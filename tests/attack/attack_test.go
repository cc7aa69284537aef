// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package attack attacks the program on hosts of the sandbox: with hostile trees, where something
// else replaces a file or directory that the program reads, and with races for the names that it
// uses. There are no artificial delays.
//
// With ATTACK=all in the environment (make attack) every case runs, otherwise a fixed part of them
// (scripts/test attack).
package attack

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main(m, sandbox.World{
		Program: "../../bin/ptrace_scope",
		Strace:  true,
		Attackers: map[string]func([]string) error{
			"swap": swap,
			"stay": sandbox.Stay,
		},
	})
}

// all tells whether every case runs.
func all() bool { return os.Getenv("ATTACK") == "all" }

// patience returns the time limit of a run: two seconds, and up to three times as much on a machine
// with a high load. A good run takes some 10 ms.
func patience() time.Duration {
	const limit = 2 * time.Second
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return limit
	}
	var load float64
	if _, err := fmt.Sscan(string(content), &load); err != nil {
		return limit
	}
	return time.Duration(float64(limit) * min(3, max(1, load/float64(runtime.NumCPU()))))
}

// secret is a part of every file that the program must not show.
const secret = "SECRET-7d1f0c"

// service is the uid of a service account.
const service = 1000

// shadow is the content of /etc/shadow, which only root may read.
const shadow = "root:$6$" + secret + "$x:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\n"

// write makes a file with mode 0644, and its directories.
func write(dir, name, content string) error {
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Chmod(file, 0o644) // whatever the umask
}

// must ends a test that cannot be set up.
func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// standIns makes package managers that fail at once. The real ones would take a second each. The
// programs that read a database (rpm, dpkg, dpkg-query, pacman) are real.
func standIns(dir string) error {
	for _, program := range []string{"/usr/bin/dnf5", "/usr/bin/zypper", "/usr/bin/apt-get", "/usr/sbin/apk"} {
		if err := write(dir, program, "#!/bin/sh\necho 'a stand-in of the tests' >&2\nexit 1\n"); err != nil {
			return err
		}
		if err := os.Chmod(filepath.Join(dir, program), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// hostLayer makes the layer of all hosts: the stand-ins, and a secret file of root.
func hostLayer(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755), standIns(dir), write(dir, "/etc/shadow", shadow), os.Chmod(dir+"/etc/shadow", 0o600))
	return dir
}

// copyTree copies a directory with modes, owners, links and devices.
func copyTree(from, to string) error {
	return filepath.Walk(from, func(name string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return copyOne(name, filepath.Join(to, strings.TrimPrefix(name, from)), info)
	})
}

func copyOne(from, to string, info os.FileInfo) error {
	var s unix.Stat_t
	if err := unix.Lstat(from, &s); err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
	case mode.IsRegular():
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return err
		}
	case mode&os.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	default:
		if err := unix.Mknod(to, s.Mode, int(s.Rdev)); err != nil {
			return fmt.Errorf("mknod %s: %w", to, err)
		}
	}
	if err := os.Lchown(to, int(s.Uid), int(s.Gid)); err != nil {
		return err
	}
	return unix.Chmod(to, s.Mode&0o7777)
}
