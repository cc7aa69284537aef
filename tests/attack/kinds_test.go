// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

// kind is something that replaces a file or directory.
type kind struct {
	name, what string
	// plant makes it at a place. It returns errNot if the kind does not apply there.
	plant func(p place) error
	// control makes a similar link to nothing. The report must be the same for both links: a file
	// outside of the tree must make no difference.
	control func(p place) error
	// unreadable: there is no content to read, so that the program cannot know what it says.
	unreadable bool
}

// place is a place where a kind is planted.
type place struct {
	at   string // the path in the sandbox
	name string // the name in the tree
	was  string // the path of the same name in the good tree, "" if it is missing
}

// errNot says that a kind does not apply.
var errNot = errors.New("this kind does not apply here")

// outside is a directory of the host, where links out of the tree lead. nowhere has the same length
// and does not exist.
const outside, nowhere = "/outside", "/nowhere"

var up = strings.Repeat("../", 40)

// kinds are all kinds, in the order of the columns.
var kinds = []kind{
	{name: "fifo", what: "a FIFO that nobody opens", unreadable: true, plant: func(p place) error {
		return unix.Mkfifo(p.at, 0o644)
	}},
	{name: "null", what: "the device 1:3, /dev/null", plant: func(p place) error { return sandbox.Device(p.at, 3) }},
	{name: "zero", what: "the device 1:5, /dev/zero", unreadable: true, plant: func(p place) error {
		return sandbox.Device(p.at, 5)
	}},
	{name: "->zero", what: "a link to /dev/zero", unreadable: true, plant: func(p place) error {
		return os.Symlink("/dev/zero", p.at)
	}},
	{name: "socket", what: "a socket", unreadable: true, plant: func(p place) error {
		return unix.Mknod(p.at, unix.S_IFSOCK|0o644, 0)
	}},
	{name: "dir", what: "a directory, in place of a file", unreadable: true, plant: directory},
	{name: "file", what: "a regular file, in place of a directory", unreadable: true, plant: func(p place) error {
		if !p.isDirectory() {
			return errNot
		}
		return os.WriteFile(p.at, []byte("no directory\n"), 0o644)
	}},
	{name: "->../out", what: "a relative link out of the tree, to /etc/shadow or a directory of the host",
		plant: func(p place) error { return os.Symlink(up+p.out("etc/shadow", outside[1:]), p.at) },
		control: func(p place) error {
			return os.Symlink(up+p.out("etc/shadox", nowhere[1:]), p.at)
		}},
	{name: "->/out", what: "an absolute link to a file or directory that exists on the host alone",
		plant:   func(p place) error { return os.Symlink(outside+p.name, p.at) },
		control: func(p place) error { return os.Symlink(nowhere+p.name, p.at) }},
	{name: "loop", what: "a link to itself", plant: func(p place) error {
		return os.Symlink(filepath.Base(p.at), p.at)
	}},
	{name: "1TiB", what: "a sparse file of a terabyte", unreadable: true, plant: func(p place) error {
		if err := os.WriteFile(p.at, []byte("x"), 0o644); err != nil {
			return err
		}
		return os.Truncate(p.at, 1<<40)
	}},
	{name: "10MB", what: "ten megabytes of one line", plant: func(p place) error {
		return os.WriteFile(p.at, append(longLine, '\n'), 0o644)
	}},
	{name: "empty", what: "an empty file", plant: func(p place) error { return os.WriteFile(p.at, nil, 0o644) }},
	{name: "000", what: "the same with mode 000", plant: func(p place) error {
		return p.as(func() error { return os.Chmod(p.at, 0) }, false)
	}},
	{name: "777", what: "the same with mode 777", plant: func(p place) error {
		return p.as(func() error { return os.Chmod(p.at, 0o777) }, false)
	}},
	{name: "other's", what: "the same, owned by another user", plant: func(p place) error {
		return p.as(func() error { return os.Lchown(p.at, service, service) }, true)
	}},
}

var longLine = []byte(strings.Repeat("x", 10<<20))

// controls replaces the names in the report of a control by those of the other link.
var controls = strings.NewReplacer(nowhere, outside, nowhere[1:], outside[1:], "shadox", "shadow")

func (p place) isDirectory() bool {
	info, err := os.Lstat(p.was)
	return err == nil && info.IsDir()
}

// out returns the target of a relative link: for a file the given one, for a directory the same
// name below another directory.
func (p place) out(file, dir string) string {
	if p.isDirectory() {
		return dir + p.name
	}
	return file
}

func directory(p place) error {
	if p.isDirectory() {
		return errNot
	}
	if err := os.Mkdir(p.at, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.at, "inside.conf"), []byte(scopeLine), 0o644)
}

// as makes the same object with a difference. A directory in the upper layer of an overlay shows
// the entries of the lower one.
func (p place) as(different func() error, links bool) error {
	info, err := os.Lstat(p.was)
	if errors.Is(err, fs.ErrNotExist) || p.was == "" || err == nil && info.Mode()&fs.ModeSymlink != 0 && !links {
		return errNot
	}
	if err != nil {
		return err
	}
	if err := copyOne(p.was, p.at, info); err != nil {
		return err
	}
	return different()
}
