// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"os"
	"path"
	"strconv"
	"strings"

	"hardening.yama/module/internal/sysctld"
)

// findLoaders finds out which versions of the loaders will read the files: by the libraries that come with them, which costs
// less than to start them.
func (h *Host) findLoaders() {
	systemd, libproc2 := -1, -1
	for _, dir := range h.libraryDirs() {
		systemd = max(systemd, newestSystemd(path.Join(dir, "systemd")))
		libproc2 = max(libproc2, newestSoname(path.Join(dir, "libproc2.so.")))
	}
	h.loaders = sysctld.LoadersOf(systemd, libproc2)
}

// libraryDirs returns the directories that libraries are in: on Debian there is one for each architecture, in no order.
func (h *Host) libraryDirs() []string {
	dirs := []string{h.path("/usr/lib64")}
	for _, name := range namesBelow(h.path("/usr/lib")) {
		if strings.Contains(name, "-linux-") {
			dirs = append(dirs, path.Join(h.path("/usr/lib"), name))
		}
	}
	return append(dirs, h.path("/usr/lib"))
}

// newestSystemd returns the version of the newest libsystemd-shared-NNN*.so in a directory, -1 where there is none.
func newestSystemd(dir string) int {
	newest := -1
	for _, name := range namesBelow(dir) {
		if digits, ok := strings.CutPrefix(name, "libsystemd-shared-"); ok {
			if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
				digits = digits[:end]
			}
			if version, err := strconv.Atoi(digits); err == nil {
				newest = max(newest, version)
			}
		}
	}
	return newest
}

// newestSoname returns the highest number behind a library's name, -1 where there is none. It is tried out, since a directory of
// libraries has thousands of names. An older one may have stayed behind an upgrade.
func newestSoname(library string) int {
	for version := 9; version >= 0; version-- {
		if _, err := os.Lstat(library + strconv.Itoa(version)); err == nil {
			return version
		}
	}
	return -1
}
