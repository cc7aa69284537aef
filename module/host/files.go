// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"hardening.yama/module/ptrace"
	"hardening.yama/module/sysctld"
)

// Temporary files are hidden and never end in .conf, so that no loader reads one.
const tempPrefix, tempSuffix = ".ptrace_scope-", ".tmp"

// fileLimit bounds a drop-in; real ones have some kilobytes.
const fileLimit = 4 << 20

const devNull = "/dev/null"

func isOwn(file string) bool { return slices.Contains(ptrace.OwnFiles, file) }

// sysctlTree reads every file that a loader of sysctl.d(5) may read.
func (h *Host) sysctlTree() (sysctld.Tree, error) {
	var tree sysctld.Tree
	for _, dir := range sysctld.Dirs {
		entries, err := os.ReadDir(h.path(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if !strings.HasSuffix(entry.Name(), ".conf") {
				continue
			}
			file, ok, err := h.sysctlFile(path.Join(dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			if ok {
				tree = append(tree, file)
			}
		}
	}
	for _, name := range append([]string{sysctld.Conf}, sysctld.Credentials...) {
		file, ok, err := h.sysctlFile(name)
		if err != nil {
			return nil, err
		}
		if ok {
			tree = append(tree, file)
		}
	}
	commandLine, err := os.ReadFile(h.path(sysctld.CommandLine))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return append(tree, sysctld.ReadCommandLine(commandLine, ptrace.KeyPath)), nil
}

// sysctlFile reads one file. It is false where there is none. What is no file, or a link that leads nowhere, still hides
// the lower files of its name.
func (h *Host) sysctlFile(name string) (sysctld.File, bool, error) {
	if target, err := os.Readlink(h.path(name)); err == nil && target == devNull {
		return sysctld.File{Path: name, Mask: true}, true, nil
	}
	// O_NONBLOCK: a pipe put there must not hold us up.
	f, err := os.OpenFile(h.path(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if loops := errors.Is(err, syscall.ELOOP); loops || errors.Is(err, fs.ErrNotExist) {
		_, err := os.Lstat(h.path(name))
		return h.loaders.Nowhere(name, loops), err == nil, nil
	}
	if errors.Is(err, syscall.ENXIO) { // a socket
		return sysctld.File{Path: name, Mask: true}, true, nil
	}
	if err != nil {
		return sysctld.File{}, false, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return sysctld.File{}, false, err
	}
	if !info.Mode().IsRegular() {
		return sysctld.File{Path: name, Mask: true}, true, nil
	}
	content, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return sysctld.File{}, false, err
	}
	if len(content) > fileLimit {
		return sysctld.File{}, false, fmt.Errorf("read %s: larger than %d bytes, which is no drop-in", name, fileLimit)
	}
	return h.loaders.Read(name, content, ptrace.KeyPath), true, nil
}

// libraryVersion returns the number that follows a library's name, -1 where there is none. It tells the version of the
// programs that come with it, and costs less than to start them.
func (h *Host) libraryVersion(name string) int {
	for _, dir := range []string{"/usr/lib", "/usr/lib64", "/usr/lib/*-linux-*"} {
		found, _ := filepath.Glob(h.path(path.Join(dir, name) + "*")) // the pattern is a good one
		for _, file := range found {
			digits := file[strings.LastIndex(file, path.Base(name))+len(path.Base(name)):]
			if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
				digits = digits[:end]
			}
			if version, err := strconv.Atoi(digits); err == nil {
				return version
			}
		}
	}
	return -1
}

// ownFiles reads the files of ours, and the names of what a killed run left.
func (h *Host) ownFiles() (map[string]ptrace.OwnFile, []string, error) {
	own := map[string]ptrace.OwnFile{}
	for _, name := range ptrace.OwnFiles {
		info, err := os.Lstat(h.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, nil, fmt.Errorf("read %s: not a regular file, and not made by this module: remove it", name)
		}
		content, err := os.ReadFile(h.path(name))
		if err != nil {
			return nil, nil, err
		}
		own[name] = ptrace.OwnFile{Content: string(content), Sound: info.Mode().Perm() == 0o644 && ownedByUs(info)}
	}
	left, err := filepath.Glob(h.path(path.Join(path.Dir(ptrace.DropIn), tempPrefix+"*"+tempSuffix)))
	for i := range left {
		left[i] = path.Join(path.Dir(ptrace.DropIn), filepath.Base(left[i]))
	}
	return own, left, err
}

// ownedByUs tells whether a file belongs to root, or to whoever runs a test.
func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

// directory opens the directory of a file of ours, which it makes if need be, and refuses one that others control.
func (h *Host) directory(name string) (*os.Root, error) {
	dir := h.path(path.Dir(name))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // #nosec G301 -- as every loader needs it
		return nil, err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory: a link or file in its place cannot be trusted", dir)
	case !ownedByUs(info) || info.Mode()&0o022 != 0:
		return nil, fmt.Errorf("%s can be written by others than root (mode %s): chown root and chmod go-w it first", dir, info.Mode())
	}
	return os.OpenRoot(dir)
}

// replaceFile replaces, makes or removes a file of ours, atomically and durably. The file must still be as observed.
func (h *Host) replaceFile(name string, before, after *string) error {
	dir, err := h.directory(name)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it after its sync
	base := path.Base(name)
	now, err := dir.ReadFile(base)
	switch {
	case errors.Is(err, fs.ErrNotExist) && before == nil:
	case err == nil && before != nil && string(now) == *before:
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		return fmt.Errorf("replace %s: somebody else changed it during this run", name)
	}
	if after == nil {
		if err := dir.Remove(base); err != nil {
			return err
		}
		return syncDir(dir)
	}
	temp, err := writeTemp(dir, *after)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if before != nil {
		keepLabel(filepath.Join(dir.Name(), base), filepath.Join(dir.Name(), temp))
	}
	if err := dir.Rename(temp, base); err != nil {
		return errors.Join(err, dir.Remove(temp))
	}
	return syncDir(dir)
}

// writeTemp writes a complete file under a temporary name and returns that.
func writeTemp(dir *os.Root, content string) (name string, err error) {
	name = tempName()
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = dir.Remove(name) // the first error is the one to tell
		}
	}()
	if _, err = f.WriteString(content); err != nil {
		return name, err
	}
	if os.Geteuid() == 0 {
		if err = f.Chown(0, 0); err != nil {
			return name, err
		}
	}
	if err = f.Chmod(0o644); err != nil {
		return name, err
	}
	return name, f.Sync()
}

// tempName is unique while the lock is held: what a killed run left is removed first.
func tempName() string { return tempPrefix + strconv.Itoa(os.Getpid()) + tempSuffix }

// keepLabel gives a file the SELinux label of the one it replaces. A new file has its directory's, which is right too.
func keepLabel(from, to string) {
	const label = "security.selinux"
	value := make([]byte, 256)
	if n, err := syscall.Getxattr(from, label, value); err == nil {
		_ = syscall.Setxattr(to, label, value[:n], 0) // no label is no harm: the directory's is in place
	}
}

// syncDir makes the names in a directory durable.
func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// setMask makes or removes a link to /dev/null.
func (h *Host) setMask(name string, exists bool) error {
	dir, err := h.directory(name)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it after its sync
	base := path.Base(name)
	if !exists {
		if target, err := dir.Readlink(base); err != nil || target != devNull {
			return fmt.Errorf("unmask %s: it is no link to %s any more", name, devNull)
		}
		if err := dir.Remove(base); err != nil {
			return err
		}
		return syncDir(dir)
	}
	// A link is made in one step, and never over a file that is there.
	if err := dir.Symlink(devNull, base); err != nil {
		return fmt.Errorf("mask %s: %w", name, err)
	}
	return syncDir(dir)
}

// removeLeftover removes a temporary file of a killed run.
func (h *Host) removeLeftover(name string) error {
	dir, err := h.directory(name)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it after its sync
	return errors.Join(dir.Remove(path.Base(name)), syncDir(dir))
}
