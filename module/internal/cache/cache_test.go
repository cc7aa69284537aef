// SPDX-License-Identifier: GPL-3.0-or-later

package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hardening.yama/module/internal/tree"
)

// treeOf makes a tree of empty files.
func treeOf(t *testing.T, names ...string) (*tree.Tree, string) {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := tree.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files, root
}

// theSum stands for the SHA-256 of theProgram; nobody computes it on the host but the action
// plugin's command.
var theSum = strings.Repeat("0123456789abcdef", 4)

const theProgram = "\x7fELF, say"

// TestCacheProgram: the program is kept as it is, whatever was there, and nowhere where others
// could change it.
func TestCacheProgram(t *testing.T) {
	for name, c := range map[string]struct {
		// before makes what is there, in the host's /var/cache.
		before func(cache string) error
		err    string
		// left is what is in the directory then, besides the program.
		left []string
	}{
		"nothing":                {before: func(string) error { return nil }},
		"the same":               {before: files("ptrace_scope-"+theSum, theProgram)},
		"cut short":              {before: files("ptrace_scope-"+theSum, theProgram[:3])},
		"what a killed run left": {before: files(".ptrace_scope-1.tmp", "", "other", ""), left: []string{"other"}},
		"other controllers' versions": {before: files("ptrace_scope-1", "", "ptrace_scope-1.checked", "",
			"ptrace_scope-"+theSum+".checked", ""),
			left: []string{"ptrace_scope-1", "ptrace_scope-1.checked"}},
		"a version of a month ago": {before: aged(map[string]time.Duration{"ptrace_scope-1": 31 * 24 * time.Hour,
			"ptrace_scope-2": 29 * 24 * time.Hour}),
			left: []string{"ptrace_scope-2"}},
		"four others": {before: aged(map[string]time.Duration{"ptrace_scope-1": 1, "ptrace_scope-2": time.Hour,
			"ptrace_scope-3": 2, "ptrace_scope-4": 3}),
			left: []string{"ptrace_scope-1", "ptrace_scope-3", "ptrace_scope-4"}},
		"a marker without a program": {before: files("ptrace_scope-1.checked", "")},
		"the other build": {before: files("ptrace_scope_plugins-1", ""),
			left: []string{"ptrace_scope_plugins-1"}},
		"a link":          {before: links("/dev/null", "hardening.yama/ptrace_scope-"+theSum)},
		"others' program": {before: modes(0o777, "hardening.yama/ptrace_scope-"+theSum)},
		"the setuid bit":  {before: modes(0o755|os.ModeSetuid, "hardening.yama/ptrace_scope-"+theSum)},
		"others' directory": {before: modes(0o777, "hardening.yama"),
			err: "can be written by others than root"},
		"a linked directory": {before: links(".", "hardening.yama"), err: "cannot be trusted in its place"},
		"a linked /var/cache": {before: linkedCache,
			err: "cannot be trusted in its place: have it mounted there (mount --bind), or set hardening_yama_cache to false"},
		"a file for a directory": {before: func(cache string) error {
			return os.WriteFile(filepath.Join(cache,
				"hardening.yama"), nil, 0o644)
		},
			err: "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			files, root := treeOf(t, "var/cache/x", "run/x")
			cache := filepath.Join(root, "var/cache")
			if err := c.before(cache); err != nil {
				t.Fatal(err)
			}
			err := cacheProgram(files, theSum, []byte(theProgram))
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
				if info, err := os.Lstat(name); err != nil || info.Mode().Perm() != 0o755 ||
					info.Mode()&(os.ModeSymlink|os.ModeSetuid) != 0 {
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

// TestCacheNothing: a name that is no checksum leads nowhere, and a host without /var/cache has no
// place.
func TestCacheNothing(t *testing.T) {
	files, _ := treeOf(t)
	for _, sum := range []string{"", "../../etc/passwd", theSum[1:], strings.ToUpper(theSum), theSum[1:] + "/"} {
		if err := cacheProgram(files, sum, []byte(theProgram)); err == nil ||
			!strings.Contains(err.Error(), "no checksum") {
			t.Errorf("%q: got %v", sum, err)
		}
	}
	if err := cacheProgram(files, theSum, []byte(theProgram)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without /var/cache: %v", err)
	}
}

// TestOneAtATime: while another run is at it, this one leaves everything alone. A user who locks
// what all can read is not heard.
func TestOneAtATime(t *testing.T) {
	for what, alone := range map[string]bool{lockDir + "/" + lockFile: false, dir: true} {
		files, root := treeOf(t, "var/cache/hardening.yama/.ptrace_scope-1.tmp", "run/hardening.yama.cache.lock")
		f, err := os.Open(filepath.Join(root, what))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if err := cacheProgram(files, theSum, []byte(theProgram)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, dir, "ptrace_scope-"+theSum)); (err == nil) != alone {
			t.Errorf("%s is locked by another, and the program: %v", what, err)
		}
	}
}

// TestLock: nobody but root can open what is locked.
func TestLock(t *testing.T) {
	files, root := treeOf(t, "var/cache/x", "run/x")
	if err := cacheProgram(files, theSum, []byte(theProgram)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(root, lockDir, lockFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// aged leaves these versions, each sent so long ago.
func aged(since map[string]time.Duration) func(string) error {
	return func(cache string) error {
		err := os.Mkdir(filepath.Join(cache, "hardening.yama"), 0o755)
		for name, ago := range since {
			file, then := filepath.Join(cache, "hardening.yama", name), time.Now().Add(-ago)
			err = errors.Join(err, os.WriteFile(file, nil, 0o755), os.Chtimes(file, then, then))
		}
		return err
	}
}

// linkedCache has an administrator's link in the place of /var/cache.
func linkedCache(cache string) error {
	return errors.Join(os.Rename(cache, cache+".moved"), os.Symlink(filepath.Base(cache)+".moved", cache))
}

func files(namesAndContents ...string) func(string) error {
	return func(cache string) error {
		if err := os.Mkdir(filepath.Join(cache, "hardening.yama"), 0o700); err != nil {
			return err
		}
		for i := 0; i < len(namesAndContents); i += 2 {
			if err := os.WriteFile(filepath.Join(cache, "hardening.yama", namesAndContents[i]),
				[]byte(namesAndContents[i+1]), 0o600); err != nil {
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
