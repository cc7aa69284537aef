// SPDX-License-Identifier: GPL-3.0-or-later

package tree

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is an open directory. The names in it are names of files, not paths, and no link is followed.
type Dir struct {
	tree *Tree
	fd   int
	// Path is where it lies, links followed, as the tree has it.
	Path string
}

// namesLimit bounds how many names a directory may have; the largest real one (/var/lib/dpkg/info)
// has some ten thousand.
const namesLimit = 1 << 18

// Dir opens a directory to read it.
func (t *Tree) Dir(name string) (*Dir, error) { return t.openDir(name, nil) }

func (t *Tree) openDir(name string, look func(int, string) error) (*Dir, error) {
	w, base, err := t.walk(name+"/", true, look)
	if err == nil {
		defer w.restart()
		var fd int
		fd, err = again(func() (int, error) {
			return unix.Openat(w.fd(), base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		})
		if err == nil {
			return &Dir{tree: t, fd: fd, Path: w.at("")}, nil
		}
	}
	var untrusted *Untrusted
	if errors.As(err, &untrusted) {
		return nil, err
	}
	return nil, t.failed("open", name, err)
}

// Close closes the directory.
func (d *Dir) Close() error { return unix.Close(d.fd) }

func (d *Dir) failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return d.tree.failed(op, path.Join(d.Path, name), err)
}

// Names returns the names in the directory, in no order.
func (d *Dir) Names() ([]string, error) {
	var names []string
	buffer := make([]byte, 16<<10)
	if _, err := unix.Seek(d.fd, 0, 0); err != nil {
		return nil, d.failed("read", "", err)
	}
	for {
		n, err := again(func() (int, error) { return unix.ReadDirent(d.fd, buffer) })
		if err != nil {
			return nil, d.failed("read", "", err)
		}
		if n <= 0 {
			return names, nil
		}
		if _, _, names = unix.ParseDirent(buffer[:n], -1, names); len(names) > namesLimit {
			return nil, d.failed("read", "", errors.New("it has more than "+strconv.Itoa(namesLimit)+" names"))
		}
	}
}

// Lstat returns what a file in the directory is itself.
func (d *Dir) Lstat(name string) (Info, error) {
	info, err := stat(d.fd, name)
	return info, d.failed("stat", name, err)
}

// Readlink returns where a link leads to.
func (d *Dir) Readlink(name string) (string, error) {
	target, err := readlink(d.fd, name)
	return target, d.failed("readlink", name, err)
}

// Read reads a regular file in the directory, and no link.
func (d *Dir) Read(name string, limit int64) (File, error) {
	content, info, err := read(d.fd, name, limit)
	if err != nil {
		return File{}, d.failed("read", name, err)
	}
	return File{Path: path.Join(d.Path, name), Content: content, Info: info}, nil
}

// Untrusted is the error of changing a file below a directory that others than root can change,
// too.
type Untrusted struct {
	// Path is the directory, as messages name it.
	Path string
	why  string
}

func (e *Untrusted) Error() string { return e.Path + " " + e.why }

// trusted looks at a directory or a link on a way: it must be root's, and nobody else may write to
// it. In a sticky one nobody can exchange what is root's, see unlink(2), so the way may lead
// through it.
func (t *Tree) trusted(fd int, name string) error {
	info, err := fstat(fd)
	if err != nil {
		return err
	}
	if info.Link() || info.Mode&unix.S_ISVTX != 0 {
		info.Mode &^= 0o022
	}
	return t.distrust(info, name)
}

// distrust returns an *Untrusted for what others than root can change.
func (t *Tree) distrust(info Info, name string) error {
	if why := info.OthersCanWrite(); why != "" {
		return &Untrusted{Path: t.At(name), why: why}
	}
	return nil
}

// Trusted opens a directory to change what is in it. An *Untrusted names the first directory on the
// way, from the tree's root on, that others than root can change: there, what was looked at need
// not be what is changed.
func (t *Tree) Trusted(name string) (*Dir, error) {
	d, err := t.openDir(name, t.trusted)
	if err != nil {
		return nil, err
	}
	info, err := fstat(d.fd)
	if err == nil {
		err = t.distrust(info, d.Path) // a sticky one is no place for files of ours
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Make opens a directory as Trusted does, and makes up to levels of the last directories on the way
// where they are missing: the last one with a mode, those above so that everybody can read them.
// Made are those, the deepest last.
func (t *Tree) Make(name string, levels int, mode uint32) (d *Dir, made []string, err error) {
	d, err = t.Trusted(name)
	if !errors.Is(err, fs.ErrNotExist) || levels == 0 || path.Dir(name) == name {
		return d, nil, err
	}
	parent, made, err := t.Make(path.Dir(name), levels-1, 0o755)
	if err != nil {
		return nil, made, err
	}
	defer parent.Close() //nolint:errcheck // nothing is written through it after its sync
	created, err := parent.mkdir(path.Base(name), mode)
	if created {
		made = append(made, name)
	}
	if err != nil {
		return nil, made, err
	}
	d, err = t.Trusted(name)
	return d, made, err
}

func (d *Dir) mkdir(name string, mode uint32) (created bool, err error) {
	_, err = again(func() (int, error) { return 0, unix.Mkdirat(d.fd, name, mode) })
	switch {
	case errors.Is(err, unix.EEXIST):
		return false, nil
	case err != nil:
		return false, d.failed("mkdir", name, err)
	}
	_, err = again(func() (int, error) { return 0, unix.Fchmodat(d.fd, name, mode, 0) }) // whatever the umask
	if err != nil {
		return true, d.failed("chmod", name, err)
	}
	return true, d.sync()
}

// Rmdir removes an empty directory in the directory.
func (d *Dir) Rmdir(name string) error {
	_, err := again(func() (int, error) { return 0, unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
	if err != nil {
		return d.failed("rmdir", name, err)
	}
	return d.sync()
}

// Attributes are those of a file that is put in place.
type Attributes struct {
	Mode     uint32
	UID, GID int
	// Label is its SELinux label. Without one, a file gets the one that the policy has for its
	// directory.
	Label []byte
}

// TookEffect is the error of a change that took effect although a later step of it failed: it may
// not outlive a power failure, say.
type TookEffect struct{ Cause error }

func (e *TookEffect) Error() string { return e.Cause.Error() }

// Unwrap returns the failure.
func (e *TookEffect) Unwrap() error { return e.Cause }

// sync makes the names in the directory durable.
func (d *Dir) sync() error {
	_, err := again(func() (int, error) { return 0, unix.Fsync(d.fd) })
	return d.failed("sync", "", err)
}

// settle makes a change durable that took effect.
func (d *Dir) settle() error {
	if err := d.sync(); err != nil {
		return &TookEffect{err}
	}
	return nil
}

// Tree returns the tree below the directory. It has the directory's descriptor.
func (d *Dir) Tree() *Tree { return &Tree{root: d.fd, name: d.tree.At(d.Path)} }

// LockFile opens a file of ours to lock it, and makes it where it is missing. Only root can open
// it: who can open a file can lock it.
func (d *Dir) LockFile(name string) (fd int, err error) {
	fd, err = again(func() (int, error) {
		return unix.Openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return -1, d.failed("open", name, err)
	}
	info, err := fstat(fd)
	if err == nil && !info.Regular() {
		err = &NotRegular{info}
	}
	if err == nil && !info.ours() {
		err = errors.New(info.OthersCanWrite())
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, d.failed("open", name, err)
	}
	return fd, nil
}

// Temporary files are hidden and never end in .conf, so that no loader reads one. The time is in
// their names: the number of the process comes again.
const tempPrefix, tempSuffix = ".ptrace_scope-", ".tmp"

// Temporary tells whether a name is that of a file that Put had not finished.
func Temporary(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}

func newTemporary() string {
	return tempPrefix + strconv.FormatInt(time.Now().UnixNano(), 36) + tempSuffix
}

// Put makes or replaces a file, atomically and durably. Any error but *TookEffect means that all is
// as it was; a temporary file that cannot be removed again is named in it.
func (d *Dir) Put(name string, content []byte, a Attributes) error {
	temp, err := d.write(content, a)
	if err != nil {
		return d.failed("write", name, err)
	}
	_, err = again(func() (int, error) { return 0, unix.Renameat(d.fd, temp, d.fd, name) })
	if err != nil {
		return errors.Join(d.failed("rename to", name, err), d.unlink(temp))
	}
	return d.settle()
}

// write writes a complete file under a temporary name.
func (d *Dir) write(content []byte, a Attributes) (name string, err error) {
	fd := -1
	for err = unix.EEXIST; errors.Is(err, unix.EEXIST); {
		name = newTemporary()
		fd, err = again(func() (int, error) {
			return unix.Openat(d.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		})
	}
	if err != nil {
		return "", err
	}
	err = fill(fd, content, a)
	// Linux closes it all the same: close(2)
	if problem := unix.Close(fd); err == nil && !errors.Is(problem, unix.EINTR) {
		err = problem
	}
	if err != nil {
		return "", errors.Join(err, d.unlink(name))
	}
	return name, nil
}

func fill(fd int, content []byte, a Attributes) error {
	for len(content) > 0 {
		n, err := again(func() (int, error) { return unix.Write(fd, content) })
		if err != nil {
			return err
		}
		content = content[n:]
	}
	for _, step := range []func() error{
		func() error { return relabel(fd, a) },
		func() error { return chown(fd, a) },
		func() error { return unix.Fchmod(fd, a.Mode) },
		func() error { return unix.Fsync(fd) },
	} {
		if _, err := again(func() (int, error) { return 0, step() }); err != nil {
			return err
		}
	}
	return nil
}

// relabel gives a file its SELinux label. Where there are none, it has none to lose.
func relabel(fd int, a Attributes) error {
	if len(a.Label) == 0 {
		return nil
	}
	if err := unix.Fsetxattr(fd, label, a.Label, 0); !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	return nil
}

// chown gives a file to its owner. An ordinary user, who can only run tests, keeps it.
func chown(fd int, a Attributes) error {
	if unix.Geteuid() != 0 {
		return nil
	}
	return unix.Fchown(fd, a.UID, a.GID)
}

const label = "security.selinux"

// AttributesOf returns those of a regular file in the directory.
func (d *Dir) AttributesOf(name string) (Attributes, error) {
	fd, info, err := open(d.fd, name)
	if err != nil {
		return Attributes{}, d.failed("open", name, err)
	}
	defer unix.Close(fd) //nolint:errcheck // only read
	a := Attributes{Mode: info.Mode & 0o7777, UID: int(info.Uid), GID: int(info.Gid)}
	value := make([]byte, 256)
	n, err := again(func() (int, error) { return unix.Fgetxattr(fd, label, value) })
	switch {
	case err == nil:
		a.Label = value[:n]
	case !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP):
		return Attributes{}, d.failed("read the label of", name, err)
	}
	return a, nil
}

// Rename gives a file another name in the directory, durably.
func (d *Dir) Rename(from, to string) error {
	_, err := again(func() (int, error) { return 0, unix.Renameat(d.fd, from, d.fd, to) })
	if err != nil {
		return d.failed("rename", from, err)
	}
	return d.settle()
}

// Remove removes a file, durably.
func (d *Dir) Remove(name string) error {
	if err := d.unlink(name); err != nil {
		return err
	}
	return d.settle()
}

func (d *Dir) unlink(name string) error {
	_, err := again(func() (int, error) { return 0, unix.Unlinkat(d.fd, name, 0) })
	return d.failed("remove", name, err)
}

// Link makes a symbolic link, durably and never over a file that is there.
func (d *Dir) Link(target, name string) error {
	_, err := again(func() (int, error) { return 0, unix.Symlinkat(target, d.fd, name) })
	if err != nil {
		return d.failed("link", name, err)
	}
	return d.settle()
}

// Relink gives a symbolic link another target, atomically and durably.
func (d *Dir) Relink(target, name string) error {
	temporary := newTemporary()
	if _, err := again(func() (int, error) { return 0, unix.Symlinkat(target, d.fd, temporary) }); err != nil {
		return d.failed("link", name, err)
	}
	if _, err := again(func() (int, error) { return 0, unix.Renameat(d.fd, temporary, d.fd, name) }); err != nil {
		_ = d.unlink(temporary)
		return d.failed("link", name, err)
	}
	return d.settle()
}

// Chmod changes the directory's own mode.
func (d *Dir) Chmod(mode uint32) error {
	_, err := again(func() (int, error) { return 0, unix.Fchmod(d.fd, mode) })
	return d.failed("chmod", "", err)
}

// ReadOnly tells whether the directory's file system is mounted read-only.
func (d *Dir) ReadOnly() (bool, error) { return d.mounted(unix.ST_RDONLY) }

// NoExec tells whether programs in the directory cannot be run, since it is mounted so: statvfs(3).
func (d *Dir) NoExec() (bool, error) { return d.mounted(unix.ST_NOEXEC) }

func (d *Dir) mounted(flag uint64) (bool, error) {
	var mount unix.Statfs_t
	_, err := again(func() (int, error) { return 0, unix.Fstatfs(d.fd, &mount) })
	return uint64(mount.Flags)&flag != 0, d.failed("statfs", "", err) // #nosec G115 -- they are bits
}

// Volatile reports whether the directory lies in memory, so that its files are gone after a boot.
func (d *Dir) Volatile() (bool, error) {
	var mount unix.Statfs_t
	_, err := again(func() (int, error) { return 0, unix.Fstatfs(d.fd, &mount) })
	return mount.Type == unix.TMPFS_MAGIC || mount.Type == unix.RAMFS_MAGIC, d.failed("statfs", "", err)
}
