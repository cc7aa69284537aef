// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
)

// others reads again the files of others that name the key, and finds out whether one may edit them.
func (h *Host) others(o ptrace.Observed) (map[string]ptrace.OtherFile, error) {
	found := map[string]ptrace.OtherFile{}
	for _, f := range o.Tree {
		if !f.Names() || isOwn(f.Path) || f.Path == sysctld.CommandLine {
			continue
		}
		target, err := h.resolve(f.Path)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(h.path(target))
		if err != nil {
			return nil, err
		}
		other := ptrace.OtherFile{Content: string(content), Target: target}
		if other.Sealed, err = h.sealed(f.Path, target, o); err != nil {
			return nil, err
		}
		_, missing := os.Lstat(h.path(target + ptrace.BackupSuffix))
		other.Edited = missing == nil
		found[f.Path] = other
	}
	return found, nil
}

// editable are the trees in which files are an administrator's, unless a package owns them.
var editable = []string{"/etc/", "/run/", "/usr/local/"}

// sealed says why a file should not be edited, "" where it may be.
func (h *Host) sealed(file, target string, o ptrace.Observed) (string, error) {
	inTree := slices.ContainsFunc(editable, func(tree string) bool { return strings.HasPrefix(target, tree) })
	switch {
	case slices.Contains(sysctld.Credentials, file):
		return "it is a credential", nil
	case o.Packaged[file] != "":
		return "the package " + o.Packaged[file] + " owns it", nil
	case o.OriginOf(file) == ptrace.Vendor:
		return "it is the distribution's", nil
	case !inTree:
		return "it is a link to " + target, nil
	}
	info, err := os.Lstat(h.path(target))
	if err != nil {
		return "", err
	}
	if !ownedByUs(info) || info.Mode()&0o022 != 0 || linked(info) {
		return fmt.Sprintf("%s is not root's alone (mode %s)", target, info.Mode()), nil
	}
	if dir, err := h.directory(target); err != nil {
		return err.Error(), nil //nolint:nilerr // that is the answer
	} else if err := dir.Close(); err != nil {
		return "", err
	}
	return "", nil
}

// linked tells whether a file has other names, which a new file in its place would leave behind.
func linked(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// editFile replaces the content of somebody else's file, which keeps its mode, owner and label, and leaves the file as it
// was beside it. Where the content becomes what that holds, as when a run is taken back, the two are one again.
func (h *Host) editFile(name, before, after string) error {
	dir, err := h.directory(name)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it after its sync
	base := path.Base(name)
	backup := base + ptrace.BackupSuffix
	info, err := dir.Lstat(base)
	if err != nil {
		return err
	}
	now, err := dir.ReadFile(base)
	if err != nil {
		return err
	}
	if string(now) != before || !info.Mode().IsRegular() {
		return fmt.Errorf("edit %s: somebody else changed it during this run", name)
	}
	if kept, err := dir.ReadFile(backup); err == nil && string(kept) == after {
		return errors.Join(dir.Rename(backup, base), syncDir(dir))
	}
	for _, file := range []struct{ name, content string }{{backup, before}, {base, after}} {
		if err := h.replaceLike(dir, info, base, file.name, file.content); err != nil {
			return fmt.Errorf("edit %s: %w", name, err)
		}
	}
	return syncDir(dir)
}

// replaceLike replaces a file by one that has the mode, owner and label of another one in its directory.
func (h *Host) replaceLike(dir *os.Root, info fs.FileInfo, like, name, content string) error {
	temp, err := writeTemp(dir, content, 0o644)
	if err != nil {
		return err
	}
	keepLabel(filepath.Join(dir.Name(), like), filepath.Join(dir.Name(), temp))
	err = dir.Chmod(temp, info.Mode().Perm())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && err == nil && os.Geteuid() == 0 {
		err = dir.Chown(temp, int(stat.Uid), int(stat.Gid))
	}
	if err == nil {
		err = dir.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(temp))
	}
	return nil
}

// ufwFile is what ufw applies when it starts: IPT_SYSCTL in /etc/default/ufw, ufw-framework(8).
const ufwFile = "/etc/ufw/sysctl.conf"

// ufw returns what ufw's own file sets, nil where that is nothing. ufw has procps read it.
func (h *Host) ufw() (*sysctld.Setting, error) {
	inside, err := h.inside(ufwFile)
	var content []byte
	if err == nil {
		content, err = os.ReadFile(inside) // #nosec G304 -- inside of the root
	}
	if nobodyOpens(err) {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	if err != nil {
		return nil, err
	}
	file := h.loaders.Read(sysctld.Conf, content, ptrace.KeyPath)
	setting, ok := sysctld.Tree{file}.Reload()
	if !ok {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	setting.Path = ufwFile
	return &setting, nil
}
