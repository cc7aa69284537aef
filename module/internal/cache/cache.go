// SPDX-License-Identifier: GPL-3.0-or-later

// Package cache keeps the program on the host between tasks, under its SHA-256. The action plugin's
// command runs it from there, after a look at owner, mode and content.
package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"hardening.yama/module/internal/tree"
)

// dir is where the programs lie, below parent.
const parent, dir = "/var/cache", "/var/cache/hardening.yama"

// lockFile lies where root alone can open it: who can open a file can lock it.
const lockDir, lockFile = "/run", "hardening.yama.cache.lock"

// checkedSuffix is what the action plugin's command gives the file beside a program whose content
// it has found right.
const checkedSuffix = ".checked"

// Other versions are of other controllers, unless none has sent them for long.
const (
	keptDays = 30
	kept     = 3
)

// programLimit bounds how large a program can be; the larger build has 12 MB.
const programLimit = 64 << 20

// Program leaves this program on the host under the checksum that the controller knows it by, and
// removes the oldest ones. Only root does. Where nothing can be written or run, nothing is left,
// and that is no error.
func Program(sum string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	files, err := tree.Open("/") // the running host's: an image has no use for it
	if err != nil {
		return err
	}
	defer files.Close() //nolint:errcheck // only looked through
	program, err := self()
	if err == nil {
		err = cacheProgram(files, sum, program)
	}
	if err == nil || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("keep the program in %s: %w", dir, err)
}

// self returns the content of the running program.
func self() ([]byte, error) {
	return os.ReadFile("/proc/self/exe") // the kernel's own link to what runs, whatever has its name by now
}

// Tidy removes what a killed run left in the cache. Whether that succeeds changes nothing for the
// host.
func Tidy() {
	if os.Geteuid() != 0 {
		return
	}
	if files, err := tree.Open("/"); err == nil {
		_ = tidy(files)
		_ = files.Close()
	}
}

func tidy(files *tree.Tree) error {
	d, err := files.Trusted(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // what it changed is durable by then
	names, err := d.Names()
	if err != nil || !slices.ContainsFunc(names, tree.Temporary) {
		return err
	}
	return locked(files, func() error { return remove(d, names, tree.Temporary) })
}

// locked does something while no other run has the cache; where one has, nothing.
func locked(files *tree.Tree, do func() error) error {
	run, err := files.Trusted(lockDir)
	if err != nil {
		return err
	}
	defer run.Close() //nolint:errcheck // only looked through
	lock, err := run.LockFile(lockFile)
	if err != nil {
		return err
	}
	defer syscall.Close(lock) //nolint:errcheck // only locked
	if syscall.Flock(lock, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil // another run is at it
	}
	return do()
}

func cacheProgram(files *tree.Tree, sum string, program []byte) error {
	if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return fmt.Errorf("no checksum: %q", sum)
	}
	d, _, err := files.Make(dir, 1, 0o755)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // what it changed is durable by then
	if d.Path != dir {
		// The command of the action plugin follows no link either.
		return fmt.Errorf("it is a link to %s, which cannot be trusted in its place: have it mounted there (mount --bind), "+
			"or set hardening_yama_cache to false", d.Path)
	}
	if noExec, err := d.NoExec(); err != nil || noExec {
		return err
	}
	return locked(files, func() error {
		name := prefix + sum
		if !intact(d, name, program) {
			if err := d.Chmod(0o755); err != nil { // of an earlier version, whatever its umask
				return err
			}
			if err := d.Put(name, program, tree.Attributes{Mode: 0o755}); err != nil {
				return err
			}
		}
		names, err := d.Names()
		if err != nil {
			return err
		}
		stay := append(others(d, names, name), name)
		return remove(d, names, func(entry string) bool {
			return !slices.Contains(stay, entry) && (strings.HasPrefix(entry, prefix) || tree.Temporary(entry))
		})
	})
}

// remove removes those of the names that are unwanted.
func remove(d *tree.Dir, names []string, unwanted func(string) bool) (err error) {
	for _, name := range names {
		if unwanted(name) {
			err = errors.Join(err, d.Remove(name))
		}
	}
	return err
}

// others returns the newest other versions that were sent within some weeks, with their markers:
// another controller has them.
func others(d *tree.Dir, names []string, ours string) (stay []string) {
	type version struct {
		name string
		sent time.Time
	}
	var found []version
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) || strings.HasSuffix(name, checkedSuffix) || name == ours {
			continue
		}
		if info, err := d.Lstat(name); err == nil && time.Since(time.Unix(info.Mtim.Unix())) < keptDays*24*time.Hour {
			found = append(found, version{name, time.Unix(info.Mtim.Unix())})
		}
	}
	// slices.SortStableFunc would make the program 4 KB larger: it is compiled for each type.
	sort.SliceStable(found, func(i, j int) bool { return found[i].sent.After(found[j].sent) })
	for _, v := range found[:min(kept, len(found))] {
		stay = append(stay, v.name, v.name+checkedSuffix)
	}
	return stay
}

// intact tells whether the file is there as it should be.
func intact(d *tree.Dir, name string, program []byte) bool {
	f, err := d.Read(name, programLimit)
	return err == nil && f.Info.Mode&0o7777 == 0o755 && f.Info.OthersCanWrite() == "" &&
		string(f.Content) == string(program)
}
