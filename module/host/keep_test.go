// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// theSum stands for the SHA-256 of theProgram; nobody computes it on the host but the action plugin's command.
var theSum = strings.Repeat("0123456789abcdef", 4)

const theProgram = "\x7fELF, say"

// TestKeep: the program is kept as it is, whatever was there, and nowhere where others could change it.
func TestKeep(t *testing.T) {
	for name, c := range map[string]struct {
		// before makes what is there, in the host's /var/cache.
		before func(cache string) error
		err    string
		// left is what is in the directory then, besides the program.
		left []string
	}{
		"nothing":            {before: func(string) error { return nil }},
		"the same":           {before: files("ptrace_scope-"+theSum, theProgram)},
		"cut short":          {before: files("ptrace_scope-"+theSum, theProgram[:3])},
		"older ones":         {before: files("ptrace_scope-1", "", ".ptrace_scope-1.tmp", "", "other", ""), left: []string{"other"}},
		"the other build":    {before: files("ptrace_scope_host-1", ""), left: []string{"ptrace_scope_host-1"}},
		"a link":             {before: links("/dev/null", "hardening.yama/ptrace_scope-"+theSum)},
		"others' program":    {before: modes(0o777, "hardening.yama/ptrace_scope-"+theSum)},
		"others' directory":  {before: modes(0o777, "hardening.yama"), err: "can be written by others than root"},
		"a linked directory": {before: links(".", "hardening.yama"), err: "is not a directory"},
		"a file for a directory": {before: func(cache string) error { return os.WriteFile(filepath.Join(cache, "hardening.yama"), nil, 0o644) },
			err: "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hostOf(t, map[string]string{"var/cache/x": ""})
			cache := h.path("/var/cache")
			if err := c.before(cache); err != nil {
				t.Fatal(err)
			}
			err := h.keep(theSum, theProgram)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(cache, "hardening.yama", "ptrace_scope-"+theSum)
			content, err := os.ReadFile(file)
			if err != nil || string(content) != theProgram {
				t.Errorf("kept %q, %v", content, err)
			}
			for _, name := range []string{file, filepath.Dir(file)} {
				if info, err := os.Lstat(name); err != nil || info.Mode().Perm() != 0o755 || info.Mode()&os.ModeSymlink != 0 {
					t.Errorf("%s: %v, %v", name, info.Mode(), err)
				}
			}
			var left []string
			entries, _ := os.ReadDir(filepath.Dir(file))
			for _, e := range entries {
				if e.Name() != filepath.Base(file) {
					left = append(left, e.Name())
				}
			}
			if !slices.Equal(left, c.left) {
				t.Errorf("left are %q, want %q", left, c.left)
			}
		})
	}
}

// TestKeepNothing: a name that is no checksum leads nowhere, and a host without /var/cache has no place.
func TestKeepNothing(t *testing.T) {
	h := hostOf(t, nil)
	for _, sum := range []string{"", "../../etc/passwd", theSum[1:], strings.ToUpper(theSum), theSum[1:] + "/"} {
		if err := h.keep(sum, theProgram); err == nil || !strings.Contains(err.Error(), "no checksum") {
			t.Errorf("%q: got %v", sum, err)
		}
	}
	if err := h.Keep(theSum); err != nil {
		t.Errorf("without /var/cache: %v", err)
	}
}

// TestKeepOneAtATime: while another run is at it, this one leaves everything alone.
func TestKeepOneAtATime(t *testing.T) {
	h := hostOf(t, map[string]string{"var/cache/hardening.yama/.ptrace_scope-1.tmp": ""})
	dir, err := os.Open(h.path(keepDir))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := h.keep(theSum, theProgram); err != nil {
		t.Fatal(err)
	}
	if names, _ := dir.Readdirnames(-1); !slices.Equal(names, []string{".ptrace_scope-1.tmp"}) {
		t.Errorf("it has %q", names)
	}
}

func files(namesAndContents ...string) func(string) error {
	return func(cache string) error {
		if err := os.Mkdir(filepath.Join(cache, "hardening.yama"), 0o700); err != nil {
			return err
		}
		for i := 0; i < len(namesAndContents); i += 2 {
			if err := os.WriteFile(filepath.Join(cache, "hardening.yama", namesAndContents[i]), []byte(namesAndContents[i+1]), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
}

func links(target, name string) func(string) error {
	return func(cache string) error {
		if strings.Contains(name, "/") {
			if err := os.Mkdir(filepath.Join(cache, filepath.Dir(name)), 0o755); err != nil {
				return err
			}
		}
		return os.Symlink(target, filepath.Join(cache, name))
	}
}

func modes(mode os.FileMode, name string) func(string) error {
	return func(cache string) error {
		if err := files("ptrace_scope-"+theSum, theProgram)(cache); err != nil {
			return err
		}
		return os.Chmod(filepath.Join(cache, name), mode)
	}
}
