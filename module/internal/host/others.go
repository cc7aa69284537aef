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

// others returns the files of others that name the key, with what was read of them, and finds out
// whether one may edit them.
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
		other := ptrace.OtherFile{
			Content: string(read.Content), Target: read.Path, NotEditable: why,
			Original: originalOf(read.Path), Edited: edited[read.Path],
		}
		_, direct := h.found[read.Path]
		link := h.links[f.Path]
		if link != "" && !direct && o.OriginOf(f.Path) == ptrace.Local &&
			o.Loaders.SetsNothingElse(read.Content, ptrace.KeyPath) {
			other.Link, other.NotEditable, other.Original = link, "", originalOf(linkPrefix+f.Path)
		}
		found[f.Path] = other
	}
	return found, nil
}

// sealed are the trees in which files are not an administrator's, but for those below /usr/local.
var sealed = []string{"/usr/", "/lib/", "/nix/", "/gnu/", "/proc/", "/sys/"}

// notEditable says why a file must not be edited, "" where it may be.
func (h *Host) notEditable(name string, f tree.File, o ptrace.Observed) (string, error) {
	inTree := slices.ContainsFunc(sealed, func(tree string) bool {
		return strings.HasPrefix(f.Path,
			tree)
	}) && !strings.HasPrefix(f.Path, "/usr/local/")
	switch {
	case slices.Contains(sysctld.Credentials, name):
		return "it is a credential", nil
	case o.Packaged[name] != "":
		return "the package " + o.Packaged[name] + " owns it", nil
	case o.OriginOf(name) == ptrace.Vendor:
		return "it is the distribution's", nil
	case inTree:
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

// notAlone says who besides root can change a file, or that a new file in its place would leave
// another name behind; "" where neither is so.
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

// ufwFile returns the file that ufw has procps read when it starts, "" where there is none. Its
// script reads both of its settings files as a shell does, and applies nothing without one of them,
// or unless it is enabled: /lib/ufw/ufw-init-functions.
func (h *Host) ufwFile() string {
	defaults, conf := h.text("/etc/default/ufw"), h.text("/etc/ufw/ufw.conf")
	settings := parseOSRelease(defaults + "\n" + conf)
	if enabled := settings["ENABLED"]; defaults == "" || conf == "" || enabled != "yes" && enabled != "YES" {
		return ""
	}
	return settings["IPT_SYSCTL"]
}
