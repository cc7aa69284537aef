// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"syscall"
)

// Where the program stays between tasks. The action plugin runs it from there; it looks at owner, mode and checksum first.
const (
	keepUnder  = "/var/cache"
	keepDir    = "hardening.yama"
	keepPrefix = "ptrace_scope-"
)

// checksum is a SHA-256 as text.
var checksum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Keep leaves this program on the machine it runs on, under the checksum that the controller knows it by, and removes the
// older ones. Only root keeps it. A directory that others control is refused; one that nobody can write to, or from which
// nothing may be run, is left alone.
func Keep(sum string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("keep the program: %w", err)
	}
	err = keepIn(keepUnder, sum, program)
	if err == nil || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return fmt.Errorf("keep the program in %s: %w", path.Join(keepUnder, keepDir), err)
}

func keepIn(under, sum string, program []byte) error {
	if !checksum.MatchString(sum) {
		return fmt.Errorf("no checksum: %q", sum)
	}
	dir, err := openKeep(under)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it after its sync
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer self.Close() //nolint:errcheck // only read and locked
	var mount syscall.Statfs_t
	const noexec = 8 // ST_NOEXEC of statfs(2)
	if err := syscall.Fstatfs(int(self.Fd()), &mount); err != nil || mount.Flags&noexec != 0 {
		return err
	}
	if err := syscall.Flock(int(self.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil //nolint:nilerr // another run is at it
	}
	name := keepPrefix + sum
	if !isKept(dir, name, program) {
		if err := writeProgram(dir, name, program); err != nil {
			return err
		}
	}
	entries, err := self.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry != name && (strings.HasPrefix(entry, keepPrefix) || strings.HasPrefix(entry, tempPrefix)) {
			err = errors.Join(err, dir.Remove(entry))
		}
	}
	return errors.Join(err, self.Sync())
}

// openKeep opens the directory, which it makes if need be. What it returns is what it looked at, whatever happens to the
// name meanwhile.
func openKeep(under string) (*os.Root, error) {
	parent, err := os.OpenRoot(under)
	if err != nil {
		return nil, err
	}
	defer parent.Close() //nolint:errcheck // only a directory was made
	made := parent.Mkdir(keepDir, 0o755) == nil
	named, err := parent.Lstat(keepDir)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() {
		return nil, errors.New("not a directory: a link or file in its place cannot be trusted: remove it")
	}
	dir, err := parent.OpenRoot(keepDir)
	if err != nil {
		return nil, err
	}
	opened, err := dir.Stat(".")
	switch {
	case err != nil:
	case !os.SameFile(named, opened):
		err = errors.New("somebody replaced it just now")
	case !ownedByUs(opened) || opened.Mode()&0o022 != 0:
		err = fmt.Errorf("it can be written by others than root (mode %s): remove it", opened.Mode())
	case made:
		err = dir.Chmod(".", 0o755) // whatever the umask
	}
	if err != nil {
		_ = dir.Close() // the first error is the one to tell
		return nil, err
	}
	return dir, nil
}

// isKept tells whether the file is there as it should be.
func isKept(dir *os.Root, name string, program []byte) bool {
	info, err := dir.Lstat(name)
	if err != nil || info.Mode() != 0o755 || !ownedByUs(info) || info.Size() != int64(len(program)) {
		return false
	}
	content, err := dir.ReadFile(name)
	return err == nil && bytes.Equal(content, program)
}

// writeProgram makes or replaces the file, atomically and durably.
func writeProgram(dir *os.Root, name string, program []byte) error {
	temp := tempName()
	if err := dir.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(program))
	err = errors.Join(err, f.Chown(os.Geteuid(), os.Getegid()), f.Chmod(0o755), f.Sync(), f.Close())
	if err == nil {
		err = dir.Rename(temp, name)
	}
	if err != nil {
		_ = dir.Remove(temp) // the first error is the one to tell
	}
	return err
}
