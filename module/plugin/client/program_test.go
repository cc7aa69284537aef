// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hardening.yama/module/internal/view"
	"hardening.yama/module/plugin/port"
)

// TestRefused: what is not the program that was meant, or what others could change, is not started.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(file string) (string, error)
		sum    string
		want   string
	}{
		"another checksum": {sum: strings.Repeat("0", 64), want: "its SHA-256 is "},
		"absent": {change: func(file string) (string, error) { return file + "x", nil },
			want: "no such file"},
		"a link": {change: func(file string) (string, error) { return file + ".link", os.Symlink(file, file+".link") },
			want: ".link is a link: give the path that it leads to"},
		"a linked directory": {change: func(file string) (string, error) {
			dir := filepath.Dir(file)
			return dir + ".link/" + filepath.Base(file), os.Symlink(dir, dir+".link")
		}, want: ".link is a link: give the path that it leads to"},
		"a directory": {change: func(file string) (string, error) { return filepath.Dir(file), nil },
			want: "is not a regular file"},
		"a file on the way": {change: func(file string) (string, error) { return file + "/x", nil },
			want: "is not a directory"},
		"a pipe": {change: func(file string) (string, error) {
			return file + "p",
				unix.Mkfifo(file+"p", 0o755)
		}, want: "is not a regular file"},
		"its group's": {change: func(file string) (string, error) { return file, os.Chmod(file, 0o775) },
			want: "can be written by others than its owner (mode 0775): chmod go-w it first"},
		"everybody's": {change: func(file string) (string, error) { return file, os.Chmod(file, 0o757) },
			want: "can be written by others"},
		"another user's": {change: func(file string) (string, error) { return file, os.Chown(file, 65534, 0) },
			want: "belongs to user 65534"},
		"another's directory": {change: func(file string) (string, error) {
			return file,
				os.Chown(filepath.Dir(file), 65534, 0)
		}, want: "belongs to user 65534"},
		"everybody's above it": {change: func(file string) (string, error) {
			return file,
				os.Chmod(filepath.Dir(filepath.Dir(file)), 0o777)
		}, want: "can be written by others"},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 && strings.HasPrefix(name, "another's") {
				t.Skip("only root can give files away")
			}
			file, sum := place(t, "logs")
			if c.change != nil {
				changed, err := c.change(file)
				if err != nil {
					t.Fatal(err)
				}
				file = changed
			}
			if c.sum != "" {
				sum = c.sum
			}
			_, err := Open(context.Background(), Config{File: file, SHA256: sum})
			wantError(t, err, file, c.want)
			nothingLeft(t, filepath.Dir(file))
		})
	}
}

// TestMemfd: what runs is what was looked at, whatever is done to the file then, and nobody can
// write to it.
func TestMemfd(t *testing.T) {
	file, sum := place(t, "logs")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	program, err := memfd(file, strings.ToUpper(sum))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if err := os.WriteFile(file, []byte("#!/bin/sh\n>/tmp/pwned\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	after := make([]byte, len(before))
	if _, err := program.ReadAt(after, 0); err != nil || string(after) != string(before) {
		t.Errorf("it changed, or: %v", err)
	}
	if _, err := program.WriteAt([]byte("x"), 0); err == nil {
		t.Error("it can be written to")
	}
	if err := program.Truncate(0); err == nil {
		t.Error("it can be cut")
	}
}

// TestSwapped: what is started is what had the checksum, also where the file becomes another one
// right before.
func TestSwapped(t *testing.T) {
	file, sum := place(t, "logs")
	swap := func(start func() error) error {
		for _, change := range []func() error{
			func() error { return os.WriteFile(file, []byte("#!/bin/sh\nexit 7\n"), 0o755) },
			func() error { return os.Remove(file) },
			func() error { return os.WriteFile(file, []byte("#!/bin/sh\nexit 8\n"), 0o755) },
		} {
			if err := change(); err != nil {
				return err
			}
		}
		return start()
	}
	m, err := Open(t.Context(), Config{File: file, SHA256: sum, Host: port.Host{Root: "/"}, Starting: swap})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Installed(t.Context(), []string{"gdb"}); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestLongName: the file may be called whatever the host lets it.
func TestLongName(t *testing.T) {
	file, sum := place(t, strings.Repeat("x", 255))
	program, err := memfd(file, sum)
	if err != nil {
		t.Fatal(err)
	}
	_ = program.Close()
}

// TestMemoryFailure: the hint is there where it helps.
func TestMemoryFailure(t *testing.T) {
	for problem, hinted := range map[error]bool{unix.EACCES: true, unix.EPERM: true, unix.EINVAL: false, unix.ENOMEM: false,
		unix.ENOSYS: false} {
		if got := memoryFailure(problem); strings.Contains(got.Error(), "memfd_noexec") != hinted ||
			!errors.Is(got, problem) {
			t.Errorf("%v", got)
		}
	}
}

// TestWithoutDetachedMounts: where the kernel has none, the socket lies in a directory that is gone
// afterwards, also where the plugin sees other mounts.
func TestWithoutDetachedMounts(t *testing.T) {
	detach = func() (int, error) { return -1, unix.ENOSYS }
	defer func() { detach = detachedMount }()
	for name, starting := range map[string]func(func() error) error{
		"the same mounts": nil,
		"other mounts":    view.Throwaway("/", nil).Do,
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 && starting != nil {
				t.Skip("other mounts need root")
			}
			file, sum := place(t, "logs")
			m, err := Open(t.Context(), Config{File: file, SHA256: sum, Host: port.Host{Root: "/"}, Starting: starting})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Installed(t.Context(), []string{"gdb"}); err != nil {
				t.Error(err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			nothingLeft(t, filepath.Dir(file))
		})
	}
}
