// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/module/internal/tree"
)

const (
	// fileLimit bounds a drop-in; real ones have some kilobytes.
	fileLimit = 4 << 20
	// volumeLimit bounds all drop-ins together.
	volumeLimit = 2 * fileLimit
	// factLimit bounds what the kernel, systemd and a distribution say of themselves.
	factLimit = 1 << 20
)

// markedLimit is more than such a file has once all its lines are commented out: the shortest that
// sets the key has 7 bytes.
const markedLimit = 4 * fileLimit

const devNull = "/dev/null"

func isOwn(file string) bool { return slices.Contains(ptrace.OwnFiles, file) }

// SysctlTree reads every file that a loader of sysctl.d(5) may read, once: what it says, where it
// lies and who can write to it are of the same file.
func (h *Host) SysctlTree() (sysctld.Tree, error) {
	h.findLoaders()
	h.found, h.links, h.listed, h.unread, h.volume = map[string]tree.File{}, map[string]string{},
		map[string][]string{}, nil, 0
	h.failed = nil
	h.loaders.Boot, h.boot.Unknown = h.findBoot()
	if h.boot.UFW = h.ufwFile(); h.failed != nil {
		return nil, h.failed
	}
	var commandLine tree.File
	var err error
	if !h.image { // its next boot has another one
		commandLine, err = h.tree.Read(sysctld.CommandLine, factLimit)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files := sysctld.Tree{sysctld.ReadCommandLine(commandLine.Content, ptrace.KeyPath)}
	files[0].Then = h.loaders.Boot
	vendor := ""
	for _, dir := range sysctld.Dirs {
		d, err := h.tree.Dir(dir)
		if tree.Nobody(err) {
			continue // what no loader takes for a directory
		}
		if h.mayNotRead(err) {
			h.unread = append(h.unread, dir)
			continue
		}
		if err != nil {
			return nil, err
		}
		if dir == sysctld.VendorDir {
			vendor = d.Path
		}
		if dir != sysctld.LibDir || d.Path != vendor { // that one was there before
			files, err = h.withSysctlDir(files, dir, d)
		}
		if err = errors.Join(err, d.Close()); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Concat([]string{sysctld.Conf}, sysctld.Credentials, []string{h.boot.UFW}) {
		if _, read := files.Find(name); read || !path.IsAbs(name) {
			continue // that of ufw can be any file, or none
		}
		info, err := h.tree.Lstat(name)
		if tree.Nobody(err) {
			continue
		}
		if h.mayNotRead(err) {
			h.unread = append(h.unread, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		if files, err = h.withSysctlFile(files, name, name, info); err != nil {
			return nil, err
		}
	}
	return files, files.Check()
}

// mayNotRead reports whether an error says that an ordinary user may not read something. Where
// nothing will be changed, a caution says that the answer is incomplete.
func (h *Host) mayNotRead(err error) bool {
	return errors.Is(err, fs.ErrPermission) && h.readOnly && os.Geteuid() != 0
}

// withSysctlDir returns the tree with the files of a directory.
func (h *Host) withSysctlDir(files sysctld.Tree, dir string, d *tree.Dir) (sysctld.Tree, error) {
	names, err := d.Names()
	if h.mayNotRead(err) {
		h.unread = append(h.unread, dir)
		return files, nil
	}
	if err != nil {
		return nil, err
	}
	h.listed[dir] = names
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		info, err := d.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went just now
		}
		if h.mayNotRead(err) {
			h.unread = append(h.unread, path.Join(dir, name))
			continue
		}
		if err != nil {
			return nil, err
		}
		if files, err = h.withSysctlFile(files, path.Join(dir, name), path.Join(d.Path, name), info); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// withSysctlFile returns the tree with one file more, which is there. A link that leads nowhere,
// and what is no file, still hides the lower files of its name. The loaders know the file by its
// name; it lies at a place of the tree.
func (h *Host) withSysctlFile(files sysctld.Tree, name, place string, info tree.Info) (sysctld.Tree, error) {
	link := ""
	if info.Link() {
		link, _ = h.tree.Readlink(place)
	}
	var f tree.File
	var err error
	if link != devNull {
		f, err = h.tree.Read(place, markedLimit)
	}
	size := len(f.Content) - sysctld.Marks(f.Content)
	h.volume += size
	var irregular *tree.NotRegular
	var file sysctld.File
	switch {
	case size > fileLimit:
		return nil, fmt.Errorf("read %s: it has more than %d bytes, which no drop-in needs", h.tree.At(name), fileLimit)
	case h.volume > volumeLimit:
		return nil, fmt.Errorf("read %s: with it the drop-ins have more than %d bytes together, which no host needs",
			h.tree.At(name), volumeLimit)
	case errors.As(err, &irregular) && name == h.boot.UFW:
		return nil, err // to ufw it is no drop-in, which hides others
	case link == devNull, irregular != nil && !irregular.Info.Socket():
		file = h.loaders.Empty(name)
	case irregular != nil, tree.Nobody(err):
		file = h.loaders.Nowhere(name, irregular == nil && !errors.Is(err, fs.ErrNotExist))
	case h.mayNotRead(err):
		h.unread = append(h.unread, name)
		return files, nil
	case err != nil:
		return nil, err
	default:
		file = h.loaders.Read(name, f.Content, ptrace.KeyPath)
		file.ByUFW = name == h.boot.UFW
	}
	if file.Names() {
		h.found[name] = f
		if link != "" && path.Dir(f.Path) != path.Dir(place) {
			h.links[name] = link
		}
	}
	return append(files, file), nil
}

// ownFiles reads the files of ours.
func (h *Host) ownFiles() (map[string]ptrace.OwnFile, error) {
	own := map[string]ptrace.OwnFile{}
	for _, name := range ptrace.OwnFiles {
		info, err := h.tree.Lstat(name)
		if tree.Nobody(err) || h.mayNotRead(err) { // SysctlTree noted what is not read
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := foreign(info); err != nil {
			// In a directory of others anything can lie.
			if untrusted := trust(h.tree, path.Dir(name)); untrusted != nil {
				return nil, untrusted
			}
			return nil, fmt.Errorf("read %s: it %w, and is not made by this module: remove it", h.tree.At(name), err)
		}
		f, err := h.tree.Read(name, fileLimit)
		if h.mayNotRead(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		own[name] = ptrace.OwnFile{Content: string(f.Content),
			Sound: f.Info.Perm() == 0o644 && f.Info.OthersCanWrite() == ""}
	}
	return own, nil
}

// foreign returns why a file in the place of one of ours cannot be ours. Its content may be that of
// any file.
func foreign(info tree.Info) error {
	switch {
	case !info.Regular():
		return errors.New("is " + info.Kind() + ", not a regular file")
	case info.Nlink > 1:
		return errors.New("has other names (hard links)")
	}
	return nil
}

// leftovers returns what a killed run left: temporary files, in each directory that a run writes
// to, and copies of files that it was about to edit.
func (h *Host) leftovers(c copies) ([]ptrace.Leftover, error) {
	var left []ptrace.Leftover
	dirs := append([]string{path.Dir(sysctld.Conf)}, sysctld.Dirs[:3]...)
	for _, file := range h.found {
		dirs = append(dirs, path.Dir(file.Path))
	}
	for _, file := range slices.Concat(c.finished, c.pending) {
		dirs = append(dirs, path.Dir(strings.TrimPrefix(file, linkPrefix)))
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		names, read := h.listed[dir]
		if !read {
			var err error
			if names, _, err = h.namesIn(dir); err != nil {
				return nil, err
			}
		}
		left = append(left, temporary(dir, names)...)
	}
	left = append(left, temporary(originals, c.names)...)
	for _, file := range c.pending {
		leftover, err := h.pendingCopy(file)
		if err != nil {
			return nil, err
		}
		left = append(left, leftover)
	}
	return left, nil
}

func temporary(dir string, names []string) (left []ptrace.Leftover) {
	for _, name := range names {
		if tree.Temporary(name) {
			left = append(left, ptrace.Leftover{Path: path.Join(dir, name)})
		}
	}
	return left
}

// namesIn returns the names in a directory, in no order, and none if there is no such directory. An
// ordinary user may not see them; then hidden is true.
func (h *Host) namesIn(dir string) (names []string, hidden bool, err error) {
	d, err := h.tree.Dir(dir)
	if err == nil {
		names, err = d.Names()
		err = errors.Join(err, d.Close())
	}
	if hidden = errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0; hidden || tree.Nobody(err) {
		return nil, hidden, nil
	}
	return names, false, err
}

// directory opens the directory of a file to change what is in it, and makes it if need be. It
// returns what takes back that it was made.
func (h *Host) directory(name string, levels int, mode uint32) (d *tree.Dir, takeBack func() error, err error) {
	d, made, err := h.tree.Make(path.Dir(name), levels, mode)
	takeBack = func() (err error) {
		for _, dir := range slices.Backward(made) {
			err = errors.Join(err, h.removeDirectory(dir))
		}
		return err
	}
	if err != nil {
		return nil, nil, undone(err, takeBack())
	}
	h.made = append(h.made, made...)
	return d, takeBack, nil
}

// removeDirectory removes a directory that this run made, unless something else is in it now.
func (h *Host) removeDirectory(dir string) error {
	parent, err := h.tree.Trusted(path.Dir(dir))
	if err != nil {
		return err
	}
	err = parent.Rmdir(path.Base(dir))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) { // ErrExist: ENOTEMPTY
		err = nil
	}
	return errors.Join(err, parent.Close())
}

// undone returns the failure of a step that has no effect, but for what could not be cleaned up
// after it.
func undone(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	//nolint:errorlint // the first one is the one to test for
	return fmt.Errorf("%w; and clean up after it: %v", err, cleanup)
}

// tookEffect tells whether a step took effect although it failed.
func tookEffect(err error) bool {
	var done *tree.TookEffect
	return errors.As(err, &done)
}

// dropDirectories removes the directories of this run in which nothing is left.
func (h *Host) dropDirectories(dir string) error {
	for slices.Contains(h.made, dir) {
		if err := h.removeDirectory(dir); err != nil {
			return err
		}
		dir = path.Dir(dir)
	}
	return nil
}

// ours are the attributes of a file of ours.
var ours = tree.Attributes{Mode: 0o644}

// replaceFile replaces, makes or removes a file of ours. The file must still be as observed.
func (h *Host) replaceFile(name string, before, after *string) error {
	dir, takeBack, err := h.directory(name, 1, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // what it changed is durable by then
	base := path.Base(name)
	now, err := dir.Read(base, fileLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist) && before == nil:
	case err == nil && before != nil && string(now.Content) == *before:
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return undone(err, takeBack())
	default:
		return undone(errChanged, takeBack())
	}
	if after == nil {
		return h.remove(dir, name)
	}
	attributes := ours
	if before != nil {
		like, err := dir.AttributesOf(base)
		if err != nil {
			return err
		}
		attributes.Label = like.Label
	}
	err = dir.Put(base, []byte(*after), attributes)
	if err != nil && !tookEffect(err) {
		err = undone(err, takeBack())
	}
	return err
}

// errChanged is the cause where a file is not any more as it was observed.
var errChanged = errors.New("another program changed it during this run: run the module again")

// remove removes a file of ours, and the directory if this run made it.
func (h *Host) remove(dir *tree.Dir, name string) error {
	if err := dir.Remove(path.Base(name)); err != nil {
		return err
	}
	if err := h.dropDirectories(path.Dir(name)); err != nil {
		return &tree.TookEffect{Cause: err}
	}
	return nil
}

// setMask makes or removes a link to /dev/null.
func (h *Host) setMask(name string, exists bool) error {
	dir, takeBack, err := h.directory(name, 1, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // what it changed is durable by then
	base := path.Base(name)
	if exists {
		// A link is made in one step, and never over a file that is there.
		err := dir.Link(devNull, base)
		if err != nil && !tookEffect(err) {
			err = undone(err, takeBack())
		}
		return err
	}
	if target, err := dir.Readlink(base); err != nil || target != devNull {
		return undone(errors.New("it is no link to "+devNull+" any more"), takeBack())
	}
	return h.remove(dir, name)
}

// relink gives a link of the administrator's another target: a mask, or its own again.
func (h *Host) relink(name, before, after string) error {
	dir, err := h.tree.Trusted(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // what it changed is durable by then
	base := path.Base(name)
	if target, err := dir.Readlink(base); err != nil || target != before {
		return errChanged
	}
	copyTo := func(d *tree.Dir, as string) error { return d.Link(before, as) }
	return h.withCopy(linkPrefix+name, copyTo, func() error { return dir.Relink(after, base) })
}

// clear removes what a killed run left, or gives it the name that it was to have.
func (h *Host) clear(name string, becomes *string) error {
	dir, err := h.tree.Trusted(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // what it changed is durable by then
	if becomes != nil {
		return dir.Rename(path.Base(name), path.Base(*becomes))
	}
	return dir.Remove(path.Base(name))
}
