// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/module/internal/tree"
)

// others returns the files of others that name the key, with what was read of them, and finds out whether one may edit them.
func (h *Host) others(o ptrace.Observed, c copies) (map[string]ptrace.OtherFile, error) {
	found := map[string]ptrace.OtherFile{}
	edited := map[string]bool{}
	for _, name := range c.finished {
		edited[name] = true
	}
	for _, f := range o.Tree {
		read, names := h.found[f.Path]
		if !names || isOwn(f.Path) {
			continue
		}
		why, err := h.notEditable(f.Path, read, o)
		if err != nil {
			return nil, err
		}
		found[f.Path] = ptrace.OtherFile{
			Content: string(read.Content), Target: read.Path, NotEditable: why,
			Original: originalOf(read.Path), Edited: edited[read.Path],
		}
	}
	return found, nil
}

// editable are the trees in which files are an administrator's, unless a package owns them.
var editable = []string{"/etc/", "/run/", "/usr/local/"}

// notEditable says why a file must not be edited, "" where it may be.
func (h *Host) notEditable(name string, f tree.File, o ptrace.Observed) (string, error) {
	inTree := slices.ContainsFunc(editable, func(tree string) bool { return strings.HasPrefix(f.Path, tree) })
	switch {
	case slices.Contains(sysctld.Credentials, name):
		return "it is a credential", nil
	case o.Packaged[name] != "":
		return "the package " + o.Packaged[name] + " owns it", nil
	case o.OriginOf(name) == ptrace.Vendor:
		return "it is the distribution's", nil
	case !inTree:
		return "it is a link to " + f.Path, nil
	}
	if why := notAlone(f.Info); why != "" {
		return h.tree.At(f.Path) + " " + why, nil
	}
	dir, err := h.tree.Trusted(path.Dir(f.Path))
	var untrusted *tree.Untrusted
	switch {
	case errors.As(err, &untrusted):
		return untrusted.Error(), nil
	case err != nil:
		return "", err
	}
	return "", dir.Close()
}

// notAlone says who besides root can change a file, or that a new file in its place would leave another name behind; ""
// where neither is so.
func notAlone(info tree.Info) string {
	if why := info.OthersCanWrite(); why != "" {
		return why
	}
	if info.Nlink > 1 {
		return fmt.Sprintf("has %d names (hard links), of which only one would be changed: remove the others (find -samefile) first", info.Nlink)
	}
	return ""
}

// withRemedy returns the error of a file that cannot be replaced, with what to do about it.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: the file or its directory is immutable: see lsattr, and chattr -i it first", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: the file is a mount of its own (findmnt): edit what is mounted there", err)
	}
	return err
}

// ufwFile is what ufw applies when it starts: IPT_SYSCTL in /etc/default/ufw, ufw-framework(8).
const ufwFile = "/etc/ufw/sysctl.conf"

// ufw returns what ufw's own file sets, nil where that is nothing. ufw has procps read it.
func (h *Host) ufw() (*sysctld.Setting, error) {
	f, err := h.tree.Read(ufwFile, fileLimit)
	if tree.Nobody(err) {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	if err != nil {
		return nil, err
	}
	file := h.loaders.Read(sysctld.Conf, f.Content, ptrace.KeyPath)
	setting, ok := sysctld.Tree{file}.Reload()
	if !ok {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	setting.Path = ufwFile
	return &setting, nil
}
