// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package sandbox

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// trixie is the Debian release of the root, with rpm 4.20, dnf 4, zypper, pacman 7 and systemd 257.
const trixie = "trixie"

//go:embed trixie.packages
var trixiePackages string

// packagesIn returns the names in a list as mmdebstrap takes them. The list has one name on each
// line.
func packagesIn(list string) string {
	var names []string
	for line := range strings.Lines(list) {
		if !strings.HasPrefix(line, "#") {
			names = append(names, strings.TrimSpace(line))
		}
	}
	return strings.Join(names, ",")
}

// cacheDir returns the directory of the roots, which scripts/managers uses, too.
func cacheDir() (string, error) {
	if dir := os.Getenv("MANAGERS_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "hardening.yama", "managers"), err
}

// Root returns the directory of the Debian root. It makes the root if it is missing, under the lock
// of scripts/managers.
func Root() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	root := filepath.Join(cache, trixie)
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return "", errors.New("mmdebstrap is not installed (Debian and Fedora: mmdebstrap), and makes the Debian root")
	}
	return root, makeRoot(root)
}

// makeRoot makes the root under a temporary name, so that an existing root is complete.
func makeRoot(root string) error {
	began := time.Now()
	fmt.Fprintf(os.Stderr, "==> the managers of Debian %s (made once, kept in %s)\n", trixie, filepath.Dir(root))
	unfinished := root + ".new"
	if err := exec.Command("rm", "-rf", "--one-file-system", unfinished).Run(); err != nil { // of a run that was ended
		return fmt.Errorf("remove %s: %w", unfinished, err)
	}
	arguments := []string{
		"--quiet", "--variant=apt", "--include=" + packagesIn(trixiePackages),
		"--aptopt=Acquire::Check-Valid-Until \"false\"", trixie, unfinished,
	}
	if mirror := os.Getenv("LAB_MIRROR"); mirror != "" {
		arguments = append(arguments, mirror)
	}
	if output, err := exec.Command("mmdebstrap", arguments...).CombinedOutput(); err != nil {
		_ = exec.Command("rm", "-rf", "--one-file-system", unfinished).Run()
		cause := "mmdebstrap failed"
		for line := range strings.Lines(string(output)) {
			if strings.HasPrefix(line, "E: ") {
				cause = strings.TrimSpace(line)
			}
		}
		return fmt.Errorf("make the root of Debian %s: %s", trixie, cause)
	}
	fmt.Fprintf(os.Stderr, "    the managers of Debian %s: %d s\n", trixie, int(time.Since(began).Seconds()))
	return os.Rename(unfinished, root)
}
