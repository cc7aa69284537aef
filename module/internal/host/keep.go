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
	"syscall"
	"time"
)

// Where the program stays between tasks, under its SHA-256. The action plugin's command runs it from there, after a look
// at owner, mode and content.
const keepDir = "/var/cache/hardening.yama"

// keepLock lies where root alone can open it: whoever can open a file can lock it.
const keepLock = "/run/hardening.yama.cache.lock"

// sealSuffix is what the action plugin's command gives the file beside a program whose content it has found right.
const sealSuffix = ".seal"

// Other versions are of other controllers, unless nobody has sent them for long.
const (
	keepDays   = 30
	keepOthers = 3
)

// noExec is ST_NOEXEC of statvfs(3).
const noExec = 8

// Keep leaves this program on the host under the checksum that the controller knows it by, and removes the oldest ones.
// Only root keeps it. Where nothing can be written or may be run, there is nothing to keep.
func (h *Host) Keep(sum string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		running := &Host{root: "/"} // an image has no use for it
		err = running.keep(sum, string(program))
	}
	if err == nil || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("keep the program in %s: %w", keepDir, err)
}

func (h *Host) keep(sum, program string) error {
	if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return fmt.Errorf("no checksum: %q", sum)
	}
	name := keepPrefix + sum
	dir, err := h.directory(path.Join(keepDir, name))
	if linked, _ := h.resolve(path.Dir(keepDir)); linked != path.Dir(keepDir) {
		return fmt.Errorf("%w: have it mounted there (mount --bind), or set hardening_yama_cache to false", err)
	}
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it after its sync
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer self.Close() //nolint:errcheck // only read
	// The path may have been another directory a moment ago; this is the one that is written to.
	if info, err := self.Stat(); err != nil || !onlyOurs(info) {
		return errors.Join(err, errors.New("somebody replaced it just now"))
	}
	var mount syscall.Statfs_t
	if err := syscall.Fstatfs(int(self.Fd()), &mount); err != nil || mount.Flags&noExec != 0 {
		return err
	}
	lock, err := os.OpenFile(h.path(keepLock), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600) // #nosec G304 -- ours
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // only locked
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil // another run is at it
	}
	if !kept(dir, name, program) {
		if err := dir.Chmod(".", 0o755); err != nil { // whatever the umask
			return err
		}
		temp, err := writeTemp(dir, program, 0o755)
		if err != nil {
			return err
		}
		if err := dir.Rename(temp, name); err != nil {
			return errors.Join(err, dir.Remove(temp))
		}
	}
	names, err := self.Readdirnames(-1)
	stay := append(others(dir, names, name), name)
	for _, entry := range names {
		if !slices.Contains(stay, entry) && (strings.HasPrefix(entry, keepPrefix) || strings.HasPrefix(entry, tempPrefix)) {
			err = errors.Join(err, dir.Remove(entry))
		}
	}
	return errors.Join(err, self.Sync())
}

// others returns the newest other versions that were sent within some weeks, with their seals: another controller has them.
func others(dir *os.Root, names []string, ours string) (stay []string) {
	var found []fs.FileInfo
	for _, name := range names {
		if !strings.HasPrefix(name, keepPrefix) || strings.HasSuffix(name, sealSuffix) || name == ours {
			continue
		}
		if info, err := dir.Lstat(name); err == nil && time.Since(info.ModTime()) < keepDays*24*time.Hour {
			found = append(found, info)
		}
	}
	for _, info := range found {
		newer := 0
		for _, other := range found {
			if other.ModTime().After(info.ModTime()) {
				newer++
			}
		}
		if newer < keepOthers {
			stay = append(stay, info.Name(), info.Name()+sealSuffix)
		}
	}
	return stay
}

// kept tells whether the file is there as it should be.
func kept(dir *os.Root, name, program string) bool {
	info, err := dir.Lstat(name)
	if err != nil || info.Mode() != 0o755 || !ownedByUs(info) {
		return false
	}
	content, err := dir.ReadFile(name)
	return err == nil && string(content) == program
}

// onlyOurs tells whether nobody but root can write to it.
func onlyOurs(info fs.FileInfo) bool { return ownedByUs(info) && info.Mode()&0o022 == 0 }
