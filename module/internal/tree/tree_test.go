// SPDX-License-Identifier: GPL-3.0-or-later

package tree

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// treeOf makes a tree of files: a content of "-> x" is a link to x, one of "/" a directory.
func treeOf(t testing.TB, files map[string]string) (*Tree, string) {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, name)
		case content == "/":
			err = os.MkdirAll(name, 0o755)
		default:
			err = os.WriteFile(name, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	opened, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened, root
}

const limit = 1 << 16

// TestRead: what is no regular file of the tree is refused at once, with its name and kind, and
// nothing outside is read.
func TestRead(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func(root, file string) error
		want string // the content, or a part of the error
		kind error
	}{
		{"a file", func(_, file string) error { return os.WriteFile(file, []byte("text"), 0o600) }, "text", nil},
		{"an empty one", func(_, file string) error { return os.WriteFile(file, nil, 0o600) }, "", nil},
		{"of the limit", func(_, file string) error { return os.WriteFile(file, make([]byte, limit), 0o600) },
			strings.Repeat("\x00", limit), nil},
		{"beyond the limit", func(_, file string) error { return os.WriteFile(file, make([]byte, limit+1), 0o600) },
			"more than 65536 bytes", nil},
		{"sparse", func(_, file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<40))
		}, "more than 65536 bytes", nil},
		{"missing", func(string, string) error { return nil }, "no such file", fs.ErrNotExist},
		{"a FIFO", func(_, file string) error { return unix.Mkfifo(file, 0o600) }, "it is a FIFO, not a regular file",
			nil},
		{"a directory", func(_, file string) error { return os.Mkdir(file, 0o755) },
			"it is a directory, not a regular file", nil},
		{"a link to a device", func(_, file string) error { return os.Symlink("/dev/zero", file) }, "no such file",
			fs.ErrNotExist},
		{"a link in a circle", func(_, file string) error { return os.Symlink(filepath.Base(file), file) },
			"too many levels", unix.ELOOP},
		{"an absolute link out", func(_, file string) error { return os.Symlink(outside, file) }, "no such file",
			fs.ErrNotExist},
		{"a relative link out", func(_, file string) error {
			return os.Symlink(strings.Repeat("../", strings.Count(file, "/"))+outside[1:], file)
		}, "no such file", fs.ErrNotExist},
		{"a link to a file", func(root, file string) error {
			return errors.Join(os.Mkdir(root+"/b", 0o755), os.WriteFile(root+"/b/c", []byte("linked"), 0o600),
				os.Symlink("/b/c", file))
		}, "linked", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, root := treeOf(t, map[string]string{"a": "/"})
			if err := c.make(root, root+"/a/file"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			f, err := files.Read("/a/file", limit)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
			switch {
			case err == nil && string(f.Content) != c.want:
				t.Errorf("read %.20q, want %.20q", f.Content, c.want)
			case err != nil &&
				(!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), root+"/a/file")):
				t.Errorf("got %v, want %q and the name", err, c.want)
			case c.kind != nil && !errors.Is(err, c.kind):
				t.Errorf("got %v, want a %v", err, c.kind)
			}
		})
	}
}

// TestGrows: a file of which the size is not known, or that grows, is read up to the limit.
func TestGrows(t *testing.T) {
	files, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if f, err := files.Read("/proc/version", limit); err != nil || len(f.Content) == 0 {
		t.Errorf("/proc/version: %q, %v", f.Content, err)
	}
	if _, err := files.Read("/proc/version", 3); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Errorf("beyond the limit: %v", err)
	}
	for _, name := range []string{"/proc/self/root/etc/passwd", "/proc/self/cwd/x", "/proc/self/exe"} {
		if _, err := files.Read(name, limit); !errors.Is(err, ErrMagic) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAgainstTheKernel: in random trees of links, each path leads where the kernel leads it below a
// root: RESOLVE_IN_ROOT of openat2(2).
func TestAgainstTheKernel(t *testing.T) {
	names := []string{"a", "b", "c", "..", ".", ""}
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int, absolute bool) string {
		parts := make([]string, 0, n)
		for range n {
			parts = append(parts, names[random.IntN(len(names))])
		}
		path := strings.Join(parts, "/")
		if absolute {
			path = "/" + path
		}
		return path
	}
	compared := 0
	for range 300 {
		files, root := treeOf(t, map[string]string{"a": "/"})
		for range 12 { // most fail, since something is there already
			name := filepath.Join(root, "/"+some(1+random.IntN(3), false))
			switch random.IntN(4) {
			case 0:
				_ = os.MkdirAll(name, 0o755)
			case 1:
				_ = os.WriteFile(name, []byte(name), 0o644)
			default:
				if target := some(1+random.IntN(4), random.IntN(2) == 0); target != "" {
					_ = os.Symlink(target, name)
				}
			}
		}
		for range 40 {
			path := "/" + some(1+random.IntN(5), false)
			how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
				Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
			fd, theirs := unix.Openat2(files.root, path, how)
			for errors.Is(theirs, unix.EAGAIN) { // something was renamed or mounted somewhere: openat2(2)
				fd, theirs = unix.Openat2(files.root, path, how)
			}
			if errors.Is(theirs, unix.ENOSYS) {
				t.Skip("this kernel has no openat2(2) to compare with")
			}
			info, ours := files.Stat(path)
			if theirs != nil {
				if !errors.Is(ours, theirs) {
					t.Fatalf("%s in %s: the kernel says %v, we %v", path, root, theirs, ours)
				}
				continue
			}
			var want unix.Stat_t
			if err := errors.Join(unix.Fstat(fd, &want), unix.Close(fd)); err != nil {
				t.Fatal(err)
			}
			if ours != nil || info.Ino != want.Ino || info.Dev != want.Dev {
				t.Fatalf("%s in %s: the kernel finds %d, we %d, %v", path, root, want.Ino, info.Ino, ours)
			}
			resolved, err := files.Resolve(path)
			if again, problem := files.Lstat(resolved); err != nil || problem != nil || again.Ino != want.Ino {
				t.Fatalf("%s in %s resolves to %s, %v, %v", path, root, resolved, err, problem)
			}
			compared++
		}
	}
	if compared < 1000 {
		t.Errorf("only %d paths led to something", compared)
	}
}

// TestDescriptors: no walk leaves a descriptor open, however it ends.
func TestDescriptors(t *testing.T) {
	files, _ := treeOf(t,
		map[string]string{"a/b/file": "x", "a/link": "-> b/file", "a/loop": "-> loop", "a/gone": "-> nowhere/x"})
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	before := count()
	for _, name := range []string{"/a/b/file", "/a/link", "/a/loop", "/a/gone", "/a/b/file/x", "/x/y", "/a/b",
		"/a/../a/b/./file", ""} {
		_, _ = files.Read(name, limit)
		_, _ = files.Stat(name)
		_, _ = files.Readlink(name)
		_, _ = files.Resolve(name)
		if d, err := files.Dir(name); err == nil {
			d.Close()
		}
		if d, err := files.Trusted(name); err == nil {
			d.Close()
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors are open, and were %d", after, before)
	}
}

// TestTrusted: the first directory on the way that others than root can change is named.
func TestTrusted(t *testing.T) {
	others := 12345
	for _, c := range []struct {
		name string
		make func(root string) error
		want string
	}{
		{"root's alone", func(string) error { return nil }, ""},
		{"the directory", func(root string) error { return os.Chmod(root+"/a/b", 0o777) },
			"/a/b can be written by others than root (mode drwxrwxrwx)"},
		{"a group's", func(root string) error { return os.Chmod(root+"/a/b", 0o775) }, "/a/b can be written by others"},
		{"one above", func(root string) error { return os.Chmod(root+"/a", 0o777) }, "/a can be written by others"},
		{"both", func(root string) error {
			return errors.Join(os.Chmod(root+"/a", 0o777),
				os.Chmod(root+"/a/b", 0o777))
		}, "/a can be"},
		{"a sticky one above", func(root string) error { return os.Chmod(root+"/a", os.ModeSticky|0o777) }, ""},
		{"a sticky directory", func(root string) error { return os.Chmod(root+"/a/b", os.ModeSticky|0o777) },
			"/a/b can be written by others"},
		{"the root itself", func(root string) error { return os.Chmod(root, 0o777) }, "/ can be written by others"},
		{"a link there", func(root string) error {
			return errors.Join(os.Rename(root+"/a", root+"/c"), os.Symlink("c", root+"/a"))
		}, ""},
		{"a link to others'", func(root string) error {
			return errors.Join(os.Chmod(root+"/a", 0o777), os.Rename(root+"/a", root+"/c"), os.Symlink("c", root+"/a"))
		}, "/c can be written by others"},
		{"another user's", func(root string) error { return os.Chown(root+"/a/b", others, 0) },
			"/a/b belongs to user 12345"},
		{"another user's link in a sticky one", func(root string) error {
			return errors.Join(os.Chmod(root+"/a", os.ModeSticky|0o777), os.Rename(root+"/a/b", root+"/b"),
				os.Symlink("/b", root+"/a/b"),
				os.Lchown(root+"/a/b", others, 0))
		}, "/a/b belongs to user 12345"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, root := treeOf(t, map[string]string{"a/b": "/"})
			if err := c.make(root); errors.Is(err, fs.ErrPermission) {
				t.Skipf("only root can make it: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			d, err := files.Trusted("/a/b")
			var untrusted *Untrusted
			switch {
			case c.want == "" && err == nil:
				d.Close()
			case c.want == "":
				t.Errorf("got %v", err)
			case !errors.As(err, &untrusted) ||
				!strings.HasPrefix(err.Error(),
					filepath.Join(root, strings.Fields(c.want)[0])+c.want[len(strings.Fields(c.want)[0]):]):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestSwapped: while another process exchanges a directory, a link and files, nothing outside is
// read or written and nothing blocks: what was looked at is what is read.
func TestSwapped(t *testing.T) {
	files, root := treeOf(t,
		map[string]string{"a/x/file": "inside", "b/x": "-> /../../../../../../../../tmp", "a/other": "inside"})
	outside := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(outside, []byte("secret"), 0o600), unix.Mkfifo(root+"/fifo", 0o600),
		os.Symlink(outside, root+"/out")); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			_ = unix.Renameat2(unix.AT_FDCWD, root+"/a", unix.AT_FDCWD, root+"/b", unix.RENAME_EXCHANGE)
			_ = unix.Renameat2(unix.AT_FDCWD, root+"/a/other", unix.AT_FDCWD, root+"/fifo", unix.RENAME_EXCHANGE)
			_ = unix.Renameat2(unix.AT_FDCWD, root+"/fifo", unix.AT_FDCWD, root+"/out", unix.RENAME_EXCHANGE)
		}
	}()
	read := 0
	for began := time.Now(); time.Since(began) < 500*time.Millisecond; {
		for _, name := range []string{"/a/x/file", "/a/other", "/fifo", "/out"} {
			if f, err := files.Read(name, limit); err == nil {
				if read++; string(f.Content) != "inside" {
					t.Fatalf("%s: read %q", name, f.Content)
				}
			}
		}
	}
	stop.Store(true)
	<-done
	if read == 0 {
		t.Error("nothing could be read at all")
	}
}

// TestPut: a file is there as a whole with its attributes, whatever was there and whatever the
// umask.
func TestPut(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	files, root := treeOf(t, nil)
	d, made, err := files.Make("/a/b/c", 3, 0o755)
	if err != nil || !slices.Equal(made, []string{"/a", "/a/b", "/a/b/c"}) {
		t.Fatalf("made %q, %v", made, err)
	}
	defer d.Close()
	for _, mode := range []uint32{0o644, 0o600, 0o640} {
		content := bytes.Repeat([]byte{byte(mode)}, 100000)
		if err := d.Put("file", content, Attributes{Mode: mode}); err != nil {
			t.Fatal(err)
		}
		f, err := d.Read("file", 1<<20)
		if err != nil || !bytes.Equal(f.Content, content) || f.Info.Perm() != mode {
			t.Errorf("%o, %d bytes, %v", f.Info.Perm(), len(f.Content), err)
		}
	}
	if info, err := os.Stat(root + "/a/b"); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the directory: %v, %v", info, err)
	}
	names, err := d.Names()
	if err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("there are %q, %v", names, err)
	}
	if _, _, err := files.Make("/x/y/z", 2, 0o755); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("three levels where two may be made: %v", err)
	}
	if err := d.Put("dir/file", nil, ours); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path: %v", err)
	}
	if err := os.Mkdir(root+"/a/b/c/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Put("dir", nil, ours); err == nil {
		t.Error("a directory was replaced")
	}
	if names, _ := d.Names(); slices.ContainsFunc(names, Temporary) {
		t.Errorf("a temporary file was left: %q", names)
	}
}

var ours = Attributes{Mode: 0o644}

// FuzzResolve: no path leads out of a tree, and what a path resolves to resolves to itself.
func FuzzResolve(f *testing.F) {
	files, _ := treeOf(f,
		map[string]string{"a/b/file": "x", "a/up": "-> ../../..", "a/abs": "-> /a/b", "l": "-> a/up/a/abs/file",
			"loop": "-> loop"})
	for _, seed := range []string{"/a/b/file", "/l", "/a/up/../a", "/loop", "//a/./b/..", "/a/abs/file/", "/\x00",
		strings.Repeat("a/../", 500)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		resolved, err := files.Resolve(name)
		if err != nil {
			return
		}
		if !strings.HasPrefix(resolved, "/") || slices.Contains(strings.Split(resolved, "/"), "..") {
			t.Errorf("%q resolves to %q", name, resolved)
		}
		if again, err := files.Resolve(resolved); err != nil || again != resolved {
			t.Errorf("%q resolves to %q, and that to %q, %v", name, resolved, again, err)
		}
	})
}
