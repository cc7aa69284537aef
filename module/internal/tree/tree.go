// SPDX-License-Identifier: GPL-3.0-or-later

// Package tree reads and changes files below a root. The module runs as root, and whoever owns a
// directory on the way to a file can exchange what lies there between two looks by name. So every
// path is walked by descriptors: each directory is opened in the one before, links are followed
// inside the tree only, and what was looked at is what is read or replaced. A read never blocks and
// has a bound.
package tree

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Tree is the files below a root: those of the running host, or of an image that is being built.
type Tree struct {
	root int
	name string
}

// Open opens the tree below a directory. The name is used as it is; links in it lead where the
// kernel follows them.
func Open(dir string) (*Tree, error) {
	fd, err := again(func() (int, error) {
		return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Tree{root: fd, name: dir}, nil
}

// Close closes the tree.
func (t *Tree) Close() error { return unix.Close(t.root) }

// At returns the name of a file of the tree for messages, and for programs that are told about it.
func (t *Tree) At(name string) string { return path.Join(t.name, name) }

func (t *Tree) failed(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: t.At(name), Err: err}
}

// linksLimit is MAXSYMLINKS, from which path_resolution(7) is ELOOP.
const linksLimit = 40

// trail is a way down from the root of a tree: an open directory for each step. It goes back up
// through these, since the ".." of a directory that was moved meanwhile may lie outside of the
// tree.
type trail struct {
	fds   []int // the first is the tree's own
	names []string
	// look is called with each directory and each link on the way, the root first.
	look func(fd int, name string) error
}

func (w *trail) fd() int { return w.fds[len(w.fds)-1] }

// at returns the path of the directory, or of a file in it, as the tree has it.
func (w *trail) at(base string) string { return "/" + path.Join(strings.Join(w.names, "/"), base) }

func (w *trail) up() {
	if last := len(w.fds) - 1; last > 0 {
		_ = unix.Close(w.fds[last])
		w.fds, w.names = w.fds[:last], w.names[:last-1]
	}
}

func (w *trail) restart() {
	for len(w.fds) > 1 {
		w.up()
	}
}

// down enters a directory, which is no link.
func (w *trail) down(name string) error {
	fd, err := again(func() (int, error) {
		return unix.Openat(w.fd(), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	w.fds, w.names = append(w.fds, fd), append(w.names, name)
	if w.look != nil {
		return w.look(fd, w.at(""))
	}
	return nil
}

// link returns where a link leads to, EINVAL for what is no link. One that is looked at is held
// meanwhile.
func (w *trail) link(name string) (string, error) {
	if w.look == nil {
		return readlink(w.fd(), name)
	}
	fd, err := again(func() (int, error) {
		return unix.Openat(w.fd(), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd) //nolint:errcheck // only looked at
	info, err := fstat(fd)
	switch {
	case err != nil:
		return "", err
	case !info.Link():
		return "", unix.EINVAL
	}
	if err := w.look(fd, w.at(name)); err != nil {
		return "", err
	}
	return readlink(fd, "")
}

// ErrMagic is the error of a path through one of the kernel's own links in /proc, such as
// /proc/1/root. What such a link says is not where it leads.
var ErrMagic = errors.New("it leads through a link of /proc, which says nothing about where it leads")

// plain returns an error where the links in the directory may be the kernel's own: proc(5).
func (w *trail) plain() error {
	var mount unix.Statfs_t
	_, err := again(func() (int, error) { return 0, unix.Fstatfs(w.fd(), &mount) })
	if err == nil && mount.Type == unix.PROC_SUPER_MAGIC {
		err = ErrMagic
	}
	return err
}

// walk goes to the directory of a file and returns the file's name there, "." where the path ends
// in a directory. Links are followed as path_resolution(7) does for a process whose root is the
// tree's; the last one only if follow is set. Where the file or what a link leads to is missing,
// that is not an error yet: whoever opens it sees.
func (t *Tree) walk(name string, follow bool, look func(int, string) error) (w *trail, base string, err error) {
	w = &trail{fds: append(make([]int, 0, 8), t.root), look: look}
	if look != nil {
		err = look(t.root, "/")
	}
	todo := partsOf(name)
	for links := 0; err == nil && len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		last := len(todo) == 0
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			w.up()
			continue
		case last && !follow:
			return w, part, nil
		case !last:
			if err = w.down(part); err == nil {
				continue
			}
			if !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
				continue
			}
		}
		target, problem := w.link(part)
		switch {
		case errors.Is(problem, unix.EINVAL) || errors.Is(problem, unix.ENOENT):
			if last {
				return w, part, nil // no link, or nothing
			}
			continue // with the error of the step down
		case problem != nil:
			err = problem
			continue
		}
		if err = w.plain(); err == nil && links == linksLimit {
			err = unix.ELOOP
		}
		if err != nil {
			continue
		}
		links++
		if path.IsAbs(target) {
			w.restart()
		}
		todo = append(partsOf(target), todo...)
	}
	if err != nil {
		w.restart()
		return nil, "", err
	}
	return w, ".", nil
}

// partsOf returns the parts of a path that lead anywhere, and an empty one at the end where that
// must be a directory. A link can have two thousand that do not.
func partsOf(name string) []string {
	var parts []string
	start := 0
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		part := name[start:i]
		if start = i + 1; part != "" && part != "." || i == len(name) {
			if part == "." {
				part = ""
			}
			parts = append(parts, part)
		}
	}
	return parts
}

// Resolve returns where a file lies once links are followed, as the tree has it.
func (t *Tree) Resolve(name string) (string, error) {
	w, base, err := t.walk(name, true, nil)
	if err != nil {
		return "", t.failed("open", name, err)
	}
	defer w.restart()
	return w.at(base), nil
}

// Readlink returns where a link leads to.
func (t *Tree) Readlink(name string) (string, error) {
	w, base, err := t.walk(name, false, nil)
	if err == nil {
		defer w.restart()
		var target string
		if target, err = readlink(w.fd(), base); err == nil {
			return target, nil
		}
	}
	return "", t.failed("readlink", name, err)
}

// Stat returns what a file is once links are followed, and Lstat what it is itself.
func (t *Tree) Stat(name string) (Info, error)  { return t.stat(name, true) }
func (t *Tree) Lstat(name string) (Info, error) { return t.stat(name, false) } //nolint:revive // documented above

func (t *Tree) stat(name string, follow bool) (Info, error) {
	w, base, err := t.walk(name, follow, nil)
	if err == nil {
		defer w.restart()
		var info Info
		if info, err = stat(w.fd(), base); err == nil {
			return info, nil
		}
	}
	return Info{}, t.failed("stat", name, err)
}

// File is a regular file as it was when it was opened.
type File struct {
	// Path is where it lies, links followed, as the tree has it.
	Path    string
	Content []byte
	Info    Info
}

// Read reads a regular file once links are followed. Nothing else is opened: what a device or a
// FIFO does to whoever opens it is not known. A file that is larger than the limit is an error, and
// so is one that grows beyond it.
func (t *Tree) Read(name string, limit int64) (File, error) {
	w, base, err := t.walk(name, true, nil)
	if err != nil {
		return File{}, t.failed("open", name, err)
	}
	defer w.restart()
	place := w.at(base)
	content, info, err := read(w.fd(), base, limit)
	if err != nil {
		if place != name {
			name += " (" + t.At(place) + ")" // both names: the one that was asked for, and the one to look at
		}
		return File{}, t.failed("read", name, err)
	}
	return File{Path: place, Content: content, Info: info}, nil
}

// Open opens a regular file to read it, links followed, for a use that needs the descriptor.
func (t *Tree) Open(name string, use func(fd int) error) error {
	w, base, err := t.walk(name, true, nil)
	if err != nil {
		return t.failed("open", name, err)
	}
	defer w.restart()
	fd, _, err := open(w.fd(), base)
	if err != nil {
		return t.failed("open", name, err)
	}
	defer unix.Close(fd) //nolint:errcheck // only read
	return use(fd)
}

// Nobody tells whether an error is the same for whoever opens a path: there is nothing, or nothing
// that can be followed.
func Nobody(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
