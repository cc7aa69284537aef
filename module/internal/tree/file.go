// SPDX-License-Identifier: GPL-3.0-or-later

package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Info is what stat(2) says of a file.
type Info struct{ unix.Stat_t }

// Regular tells whether it is a regular file, Dir whether it is a directory, and Link whether it is
// a symbolic link.
func (i Info) Regular() bool { return i.Mode&unix.S_IFMT == unix.S_IFREG }
func (i Info) Dir() bool     { return i.Mode&unix.S_IFMT == unix.S_IFDIR } //nolint:revive // documented above
func (i Info) Link() bool    { return i.Mode&unix.S_IFMT == unix.S_IFLNK } //nolint:revive // documented above

// Socket tells whether it is a socket, which nobody can open.
func (i Info) Socket() bool { return i.Mode&unix.S_IFMT == unix.S_IFSOCK }

// Null tells whether it is /dev/null: null(4).
func (i Info) Null() bool {
	return i.Mode&unix.S_IFMT == unix.S_IFCHR && i.Rdev == unix.Mkdev(1, 3)
}

// Perm returns the permission bits.
func (i Info) Perm() uint32 { return i.Mode & 0o777 }

// Same tells whether it is the same file.
func (i Info) Same(other Info) bool { return i.Dev == other.Dev && i.Ino == other.Ino }

// Kind returns the kind of file in words.
func (i Info) Kind() string {
	switch i.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFLNK:
		return "a link"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return "a device"
}

// mode returns the mode as ls(1) shows it.
func (i Info) mode() string {
	mode := fs.FileMode(i.Perm())
	if i.Dir() {
		mode |= fs.ModeDir
	}
	if i.Mode&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode.String()
}

// OthersCanWrite says who besides root can change a file or directory, and what to do about it; ""
// where nobody can.
func (i Info) OthersCanWrite() string {
	switch {
	case !i.ours():
		return fmt.Sprintf("belongs to user %d, who could put anything there: chown root it first", i.Uid)
	case i.Mode&0o022 != 0:
		return fmt.Sprintf("can be written by others than root (mode %s): chown root and chmod go-w it first", i.mode())
	}
	return ""
}

// ours tells whether it belongs to root, or to the user who runs this.
func (i Info) ours() bool { return i.Uid == 0 || int(i.Uid) == os.Geteuid() }

// NotRegular is the error of reading what is no regular file.
type NotRegular struct{ Info Info }

func (e *NotRegular) Error() string { return "it is " + e.Info.Kind() + ", not a regular file" }

// TooLarge is the error of reading a file that is larger than any real one.
type TooLarge struct{ Limit int64 }

func (e *TooLarge) Error() string {
	return fmt.Sprintf("it has more than %d bytes, which no such file needs", e.Limit)
}

// again repeats a system call that a signal interrupted, as signal(7) demands.
func again[T any](call func() (T, error)) (T, error) {
	for {
		value, err := call()
		if !errors.Is(err, unix.EINTR) {
			return value, err
		}
	}
}

func readlink(dir int, name string) (string, error) {
	buffer := make([]byte, 256)
	for {
		n, err := again(func() (int, error) { return unix.Readlinkat(dir, name, buffer) })
		if err != nil {
			return "", err
		}
		if n < len(buffer) {
			return string(buffer[:n]), nil
		}
		buffer = make([]byte, 2*len(buffer)) // PATH_MAX is 4096
	}
}

// stat looks at a file itself.
func stat(dir int, name string) (info Info, err error) {
	_, err = again(func() (struct{}, error) {
		return struct{}{}, unix.Fstatat(dir, name, &info.Stat_t, unix.AT_SYMLINK_NOFOLLOW)
	})
	return info, err
}

func fstat(fd int) (info Info, err error) {
	_, err = again(func() (struct{}, error) { return struct{}{}, unix.Fstat(fd, &info.Stat_t) })
	return info, err
}

// open opens a regular file itself to read it. It is looked at before, since to open a device can
// have effects, and after, since it may have been exchanged.
func open(dir int, name string) (fd int, info Info, err error) {
	if info, err = stat(dir, name); err == nil && !info.Regular() {
		err = &NotRegular{info}
	}
	if err != nil {
		return -1, info, err
	}
	fd, err = again(func() (int, error) {
		return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, info, err
	}
	if info, err = fstat(fd); err == nil && !info.Regular() {
		err = &NotRegular{info}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, info, err
	}
	return fd, info, nil
}

// read reads a regular file itself.
func read(dir int, name string, limit int64) ([]byte, Info, error) {
	fd, info, err := open(dir, name)
	if err != nil {
		return nil, info, err
	}
	defer unix.Close(fd) //nolint:errcheck // only read
	content, err := readAll(fd, info.Size, limit)
	return content, info, err
}

// usual is the room for a file of which the size is not known, as below /proc.
const usual = 512

func readAll(fd int, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, &TooLarge{limit}
	}
	content := make([]byte, 0, max(size, usual)+1)
	for {
		n, err := again(func() (int, error) { return unix.Read(fd, content[len(content):cap(content)]) })
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return content, nil
		}
		content = content[:len(content)+n]
		if int64(len(content)) > limit {
			return nil, &TooLarge{limit}
		}
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
	}
}

// WriteValue writes a value to a file of the kernel's that is there, such as one below /proc/sys.
func (t *Tree) WriteValue(name, value string) error {
	w, base, err := t.walk(name, false, nil)
	if err != nil {
		return t.failed("open", name, err)
	}
	defer w.restart()
	fd, err := again(func() (int, error) {
		return unix.Openat(w.fd(), base, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return t.failed("open", name, err)
	}
	_, err = again(func() (int, error) { return unix.Write(fd, []byte(value)) })
	if problem := unix.Close(fd); err == nil && !errors.Is(problem, unix.EINTR) {
		err = problem
	}
	if err != nil {
		return t.failed("write", name, err)
	}
	return nil
}
