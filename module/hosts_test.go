// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// furnishAs makes the tree of one of the hosts that the tests know.
func furnishAs(host, root string) error {
	if err := furnish(root); err != nil {
		return err
	}
	write := func(name, content string, mode fs.FileMode) error {
		return os.WriteFile(filepath.Join(root, name), []byte(content), mode)
	}
	enabler := func() error { return write(enablerFile, "kernel.yama.ptrace_scope = 0\n", 0o644) }
	administrator := func() error {
		if err := write("/etc/sysctl.conf", siteConf, 0o644); err != nil {
			return err
		}
		const site = "/etc/sysctl.d/50-site.conf"
		const content = "vm.swappiness = 10\nkernel.yama.ptrace_scope = 0\nkernel.sysrq = 0\n"
		if err := write(site, content, 0o640); err != nil || os.Geteuid() != 0 {
			return err
		}
		if err := os.Chown(filepath.Join(root, site), 0, 4); err != nil { // group adm
			return err
		}
		// Not every file system can store a label.
		_ = unix.Lsetxattr(filepath.Join(root, site), label, []byte("system_u:object_r:site_t:s0\x00"), 0)
		return nil
	}
	switch host {
	case "plain":
		return nil
	case "enabler":
		return enabler()
	case "administrator":
		return administrator()
	case "both":
		if err := enabler(); err != nil {
			return err
		}
		return administrator()
	case "linked": // a link in sysctl.d leads to the administrator's file elsewhere in /etc
		if err := os.Mkdir(filepath.Join(root, "/etc/site"), 0o755); err != nil {
			return err
		}
		if err := write("/etc/site/kernel", "kernel.sysrq = 0\nkernel.yama.ptrace_scope = 0\n", 0o644); err != nil {
			return err
		}
		return os.Symlink("../site/kernel", filepath.Join(root, "/etc/sysctl.d/60-site.conf"))
	case "alone": // a link that leads out of sysctl.d, to a file that sets nothing else
		if err := os.MkdirAll(filepath.Join(root, "/srv"), 0o755); err != nil {
			return err
		}
		if err := write("/srv/site.conf", "kernel.yama.ptrace_scope = 0\n", 0o644); err != nil {
			return err
		}
		return os.Symlink("../../srv/site.conf", filepath.Join(root, "/etc/sysctl.d/60-site.conf"))
	case "bare":
		return os.RemoveAll(filepath.Join(root, "/etc/sysctl.d"))
	}
	return fmt.Errorf("no host %q", host)
}

// label is the extended attribute that holds the SELinux label.
const label = "security.selinux"

// entry is a file, directory or link.
type entry struct {
	mode     fs.FileMode
	uid, gid uint32
	content  string // of a link: its target
	label    string
}

// files holds all entries below a root, by path.
type files map[string]entry

// lookAt reads a tree, except the file of the lock.
func lookAt(root string) (files, error) {
	found := files{}
	err := filepath.WalkDir(root, func(place string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := cmp.Or(strings.TrimPrefix(place, root), "/")
		info, err := os.Lstat(place)
		if err != nil {
			return err
		}
		if path.Dir(name) == "/run" && strings.HasSuffix(name, ".lock") && info.Mode().IsRegular() && info.Size() == 0 {
			return nil
		}
		stat := info.Sys().(*syscall.Stat_t)
		e := entry{mode: info.Mode(), uid: stat.Uid, gid: stat.Gid}
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(place)
			if err != nil {
				return err
			}
			e.content = string(content)
			value := make([]byte, 256)
			if n, err := unix.Lgetxattr(place, label, value); err == nil {
				e.label = string(value[:n])
			}
		case info.Mode()&fs.ModeSymlink != 0:
			e.content, err = os.Readlink(place)
		}
		found[name] = e
		return err
	})
	return found, err
}

// copyTo makes a copy of the tree in an empty directory.
func (f files) copyTo(root string) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		e, place := f[name], filepath.Join(root, name)
		var err error
		switch {
		case name == "/":
		case e.mode.IsDir():
			err = os.Mkdir(place, 0o700)
		case e.mode&fs.ModeSymlink != 0:
			err = os.Symlink(e.content, place)
		default:
			err = os.WriteFile(place, []byte(e.content), 0o600)
		}
		if err == nil && e.mode&fs.ModeSymlink == 0 {
			err = os.Chmod(place, e.mode.Perm())
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(place, int(e.uid), int(e.gid))
		}
		if err == nil && e.label != "" {
			err = unix.Lsetxattr(place, label, []byte(e.label), 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// differing returns the paths at which two trees differ.
func differing(a, b files) []string {
	var names []string
	for name := range a {
		if e, ok := b[name]; !ok || e != a[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// empty reports whether a path is a directory without a file below it.
func (f files) empty(name string) bool {
	for other, e := range f {
		if strings.HasPrefix(other, name+"/") && !e.mode.IsDir() {
			return false
		}
	}
	return f[name].mode.IsDir()
}

// difference describes how two trees differ, "" where they are the same.
func difference(got, want files) string {
	var texts []string
	for _, name := range differing(got, want) {
		is, isThere := got[name]
		should, shouldBe := want[name]
		switch {
		case !shouldBe:
			texts = append(texts, fmt.Sprintf("%s is there (%s)", name, is))
		case !isThere:
			texts = append(texts, fmt.Sprintf("%s is gone (%s)", name, should))
		default:
			texts = append(texts, fmt.Sprintf("%s is %s, not %s", name, is, should))
		}
	}
	return strings.Join(texts, "; ")
}

func (e entry) String() string {
	text := fmt.Sprintf("%s %d:%d %q", e.mode, e.uid, e.gid, e.content)
	if e.label != "" {
		text += fmt.Sprintf(" %q", e.label)
	}
	return text
}
