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

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
)

// Temporary files are hidden and never end in .conf, so that no loader reads one.
const tempPrefix, tempSuffix = ".ptrace_scope-", ".tmp"

// fileLimit bounds a drop-in; real ones have some kilobytes.
const fileLimit = 4 << 20

const devNull = "/dev/null"

func isOwn(file string) bool { return slices.Contains(ptrace.OwnFiles, file) }

// SysctlTree reads every file that a loader of sysctl.d(5) may read.
func (h *Host) SysctlTree() (sysctld.Tree, error) {
	h.findLoaders()
	var commandLine []byte
	var err error
	if !h.image { // its next boot has another one
		commandLine, err = os.ReadFile(h.path(sysctld.CommandLine))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	tree := sysctld.Tree{sysctld.ReadCommandLine(commandLine, ptrace.KeyPath)}
	for _, dir := range sysctld.Dirs {
		entries, err := h.sysctlDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if !strings.HasSuffix(entry.Name(), ".conf") {
				continue
			}
			if tree, err = h.withSysctlFile(tree, path.Join(dir, entry.Name())); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range append([]string{sysctld.Conf}, sysctld.Credentials...) {
		if tree, err = h.withSysctlFile(tree, name); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// sysctlDir returns what is in a directory, and nothing for what no loader takes for one, or for one that was there before.
func (h *Host) sysctlDir(dir string) ([]fs.DirEntry, error) {
	inside, err := h.inside(dir)
	if vendor, _ := h.inside(sysctld.VendorDir); dir == sysctld.LibDir && inside == vendor {
		return nil, nil
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = os.ReadDir(inside)
	}
	if nobodyOpens(err) {
		return nil, nil
	}
	return entries, err
}

// nobodyOpens tells whether an error is the same for whoever opens a path: there is nothing, or nothing that can be followed.
func nobodyOpens(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// withSysctlFile returns the tree with one file more, if there is one. What is no file, or a link that leads nowhere, still
// hides the lower files of its name.
func (h *Host) withSysctlFile(tree sysctld.Tree, name string) (sysctld.Tree, error) {
	dir, err := h.inside(path.Dir(name))
	if nobodyOpens(err) {
		return tree, nil // a folder that leads nowhere has no files
	}
	if err != nil {
		return nil, err
	}
	itself := path.Join(dir, path.Base(name))
	if target, err := os.Readlink(itself); err == nil && target == devNull {
		return append(tree, h.loaders.Empty(name)), nil
	}
	inside, err := h.inside(name)
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(inside, os.O_RDONLY|syscall.O_NONBLOCK, 0) // #nosec G304 -- a loader reads it, too; a pipe must not hold us up
	}
	switch {
	case nobodyOpens(err), errors.Is(err, syscall.ENXIO): // ENXIO: a socket
		if _, missing := os.Lstat(itself); missing != nil {
			return tree, nil
		}
		return append(tree, h.loaders.Nowhere(name, nobodyOpens(err) && !errors.Is(err, fs.ErrNotExist))), nil
	case errors.Is(err, fs.ErrPermission) && h.readOnly && os.Geteuid() != 0:
		h.unread = append(h.unread, name)
		return tree, nil
	case err != nil:
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return append(tree, h.loaders.Empty(name)), nil
	}
	content, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return nil, err
	}
	if len(content) > fileLimit {
		return nil, fmt.Errorf("read %s: larger than %d bytes, which is no drop-in", name, fileLimit)
	}
	return append(tree, h.loaders.Read(name, content, ptrace.KeyPath)), nil
}

// linksLimit is MAXSYMLINKS, from which path_resolution(7) is ELOOP.
const linksLimit = 40

// inside returns where a file of the host lies once links are followed, none of which leads out of the host's root.
func (h *Host) inside(name string) (string, error) {
	target, err := h.resolve(name)
	return h.path(target), err
}

// resolve follows links as inside does, and returns the path as the host has it.
func (h *Host) resolve(name string) (string, error) {
	done, todo := "/", strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		next := path.Join(done, part)
		if part == "" || part == "." || part == ".." {
			if _, err := os.Lstat(h.path(done) + "/."); err != nil {
				return "", err
			}
			done = next
			continue
		}
		target, err := os.Readlink(h.path(next))
		if err != nil {
			done = next // no link, or nothing: whoever opens it will see
			continue
		}
		if links++; links > linksLimit {
			return "", &fs.PathError{Op: "open", Path: h.path(name), Err: syscall.ELOOP}
		}
		if path.IsAbs(target) {
			done = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return done, nil
}

// ownFiles reads the files of ours, and the names of what a killed run left.
func (h *Host) ownFiles() (map[string]ptrace.OwnFile, []string, error) {
	own := map[string]ptrace.OwnFile{}
	for _, name := range ptrace.OwnFiles {
		place, err := h.beside(name)
		var info fs.FileInfo
		if err == nil {
			info, err = os.Lstat(place)
		}
		if nobodyOpens(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, nil, fmt.Errorf("read %s: not a regular file, and not made by this module: remove it", name)
		}
		content, err := os.ReadFile(place) // #nosec G304 -- ours
		if err != nil {
			return nil, nil, err
		}
		own[name] = ptrace.OwnFile{Content: string(content), Sound: info.Mode().Perm() == 0o644 && ownedByUs(info)}
	}
	var left []string
	for _, dir := range []string{path.Dir(sysctld.Conf), sysctld.Dirs[0], sysctld.Dirs[1], sysctld.Dirs[2]} {
		place, err := h.inside(dir)
		if err != nil && !nobodyOpens(err) {
			return nil, nil, err
		}
		for _, name := range namesBelow(place) {
			if strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix) {
				left = append(left, path.Join(dir, name))
			}
		}
	}
	return own, left, nil
}

// namesBelow returns the names in a directory in no order, and none where nobody lets us see them.
func namesBelow(dir string) []string {
	f, err := os.Open(dir) // #nosec G304 -- only its names are read
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // only read
	names, _ := f.Readdirnames(-1)
	return names
}

// ownedByUs tells whether a file belongs to root, or to whoever runs a test.
func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

// beside returns where a file lies that may be a link itself, in a directory that links may lead to.
func (h *Host) beside(name string) (string, error) {
	dir, err := h.inside(path.Dir(name))
	return filepath.Join(dir, path.Base(name)), err
}

// place returns where a file lies whose directory is a link nowhere on the way, which is what we write to.
func (h *Host) place(name string) (string, error) {
	dir := path.Dir(name)
	resolved, err := h.resolve(dir)
	if err == nil && resolved != dir {
		err = fmt.Errorf("%s is not a directory: it is a link to %s, which cannot be trusted in its place", h.path(dir), h.path(resolved))
	}
	return h.path(name), err
}

// directory opens the directory of a file of ours, which it makes if need be, and refuses one that others control.
func (h *Host) directory(name string) (*os.Root, error) {
	place, err := h.place(name)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(place)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // #nosec G301 -- as every loader needs it
		return nil, err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory: a file in its place cannot be trusted", dir)
	case !onlyOurs(info):
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
	temp, err := writeTemp(dir, *after, 0o644)
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
func writeTemp(dir *os.Root, content string, mode fs.FileMode) (name string, err error) {
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
	if err = f.Chmod(mode); err != nil {
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
