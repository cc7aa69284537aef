// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// socketDir makes the directory in which go-plugin puts the socket: in a file system in memory that
// is mounted nowhere, so that nothing is written to the host, nobody else finds it, and it is gone
// with us however we end. Kernels before 5.2 have no such thing, and ordinary users may not; there
// it is one in /run, or where the user's temporary files are. The plugin may see other mounts than
// we do, and what it makes there is found by way of it.
func socketDir() (dir string, detached bool, remove func(), err error) {
	mount, err := detach()
	if err == nil {
		return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), mount), true, func() { _ = unix.Close(mount) }, nil
	}
	for _, place := range []string{"/run", ""} {
		if dir, problem := os.MkdirTemp(place, "hardening.yama-*"); problem == nil {
			return dir, false, func() { _ = os.RemoveAll(dir) }, nil
		}
	}
	return "", false, nil, fmt.Errorf("make a place for its socket: %w", err)
}

// detach is detachedMount, but in a test.
var detach = detachedMount

func detachedMount() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs) //nolint:errcheck // the mount has what it needs of it
	err = errors.Join(unix.FsconfigSetString(fs, "mode", "0700"), unix.FsconfigSetString(fs, "size", "64k"),
		unix.FsconfigCreate(fs))
	if err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}
