// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// programLimit bounds how large a plugin may be.
const programLimit = 512 << 20

// memfd returns the program as a sealed file in memory (memfd_create(2), F_SEAL_WRITE) whose
// content has the checksum: what was checked is what runs, whatever happens to the file in the
// meantime.
func memfd(file, sum string) (*os.File, error) {
	source, err := openOwned(file)
	if err != nil {
		return nil, err
	}
	defer source.Close() //nolint:errcheck // only read
	memory, err := memoryFile()
	if err != nil {
		return nil, memoryFailure(err)
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(memory, hash), io.LimitReader(source, programLimit+1))
	if err == nil && n > programLimit {
		err = fmt.Errorf("it has more than %d bytes", programLimit)
	}
	if is := hex.EncodeToString(hash.Sum(nil)); err == nil && is != strings.ToLower(sum) {
		err = fmt.Errorf("its SHA-256 is %s, and backend_plugin says %s: install the one that was meant, or correct sha256", is, sum)
	}
	if err == nil {
		_, err = unix.FcntlInt(memory.Fd(), unix.F_ADD_SEALS,
			unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(err, memory.Close())
	}
	return memory, nil
}

// firstFree is above the descriptors that a child gets: while they are put in place, the program's
// must stay what it is.
const firstFree = 64

// memoryFile makes a file in memory that can be sealed and executed. Kernels up to 6.2 do not know
// that one may say so.
func memoryFile() (*os.File, error) {
	const name, flags = "backend_plugin", unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, err
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstFree)
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return nil, err
	}
	if err := unix.Fchmod(high, 0o500); err != nil {
		return nil, errors.Join(err, unix.Close(high))
	}
	return os.NewFile(uintptr(high), name), nil
}

// memoryFailure says what may be done where there is no such file.
func memoryFailure(err error) error {
	hint := ""
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		hint = ": the kernel must let files in memory be executed (sysctl vm.memfd_noexec below 2)"
	}
	return fmt.Errorf("memfd_create: %w%s", err, hint)
}

// openOwned opens a regular file that only root can have put there, or the user who runs this. Each
// directory on the way is opened in the one before and looked at; no link is followed.
func openOwned(file string) (*os.File, error) {
	dir, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	steps := strings.Split(strings.TrimPrefix(file, "/"), "/")
	for i, step := range steps {
		here := "/" + strings.Join(steps[:i+1], "/")
		flags := unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
		last := i == len(steps)-1
		if last {
			flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
		}
		next, err := unix.Openat(dir, step, flags, 0)
		_ = unix.Close(dir)
		if errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("%s is a link: give the path that it leads to", here)
		}
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", here, err)
		}
		if err := owned(next, here, last); err != nil {
			return nil, errors.Join(err, unix.Close(next))
		}
		dir = next
	}
	return os.NewFile(uintptr(dir), file), nil
}

// owned tells what is wrong with an open file, or with a directory on the way to it.
func owned(fd int, name string, last bool) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	kind := stat.Mode & unix.S_IFMT
	sticky := kind == unix.S_IFDIR && stat.Mode&unix.S_ISVTX != 0 // who can write to it cannot replace what is others'
	switch {
	case kind == unix.S_IFLNK:
		return fmt.Errorf("%s is a link: give the path that it leads to", name)
	case last && kind != unix.S_IFREG:
		return fmt.Errorf("%s is not a regular file", name)
	case !last && kind != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", name)
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, who could put anything there: chown root it first", name, stat.Uid)
	case stat.Mode&0o022 != 0 && !sticky:
		return fmt.Errorf("%s can be written by others than its owner (mode %04o): chmod go-w it first", name,
			stat.Mode&0o7777)
	}
	return nil
}
