// SPDX-License-Identifier: GPL-3.0-or-later

package view

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// apply mounts the layers, whose files in memory lie in scratch. A nested layer is made in scratch
// and moved when all are made: in its place it would hide what the layers inside it are made of.
func apply(layers []layer, scratch string) error {
	if err := syscall.Mount("tmpfs", scratch, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0700"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	toMove := make([]string, len(layers)) // "" for those that are in their place, or left out
	for i, l := range layers {
		at := filepath.Join(scratch, strconv.Itoa(i))
		info, err := os.Lstat(l.target)
		if l.tree && (err != nil || !info.IsDir()) {
			continue
		}
		place := l.target
		if l.nested {
			place = at + "/view"
		}
		if err == nil {
			err = l.mount(at, place, info.IsDir())
		}
		if err != nil && l.required {
			return err
		}
		if err == nil && l.nested {
			toMove[i] = place
		}
	}
	for i, l := range layers {
		if toMove[i] == "" {
			continue
		}
		if err := syscall.Mount(toMove[i], l.target, "", syscall.MS_MOVE, ""); err != nil && l.required {
			return fmt.Errorf("mount an overlay on %s: %w", l.target, err)
		}
	}
	return nil
}

// mount mounts a layer on place: an overlay of the target or, for a file and where overlayfs cannot
// have the target, a read-only bind mount of it. The directory at, which it makes, gets the
// overlay's files.
func (l layer) mount(at, place string, directory bool) error {
	dirs := []string{at, at + "/upper", at + "/work"}
	if directory && l.nested {
		dirs = append(dirs, place)
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil { // #nosec G301 -- as the tree it stands for, below a 0700 directory
			return err
		}
	}
	if !directory {
		if err := syscall.Mknod(place, syscall.S_IFREG, 0); err != nil {
			return err
		}
		return bindReadOnly(l.target, place)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", overlayEscapes.Replace(l.target), at, at)
	err := syscall.Mount("overlay", place, "overlay", 0, options)
	if err != nil && (l.writable || bindReadOnly(l.target, place) != nil) {
		return fmt.Errorf("mount an overlay on %s: %w", l.target, err)
	}
	return nil
}

var overlayEscapes = strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`)

// bindReadOnly mounts a file or directory, without the mounts below it, in another place, where it
// cannot be written to.
func bindReadOnly(from, to string) error {
	err := syscall.Mount(from, to, "", syscall.MS_BIND, "")
	if err == nil {
		if err = syscall.Mount("", to, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
			_ = syscall.Unmount(to, syscall.MNT_DETACH)
		}
	}
	if err != nil {
		return fmt.Errorf("mount %s read-only: %w", from, err)
	}
	return nil
}
