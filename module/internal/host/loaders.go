// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"path"
	"strconv"
	"strings"

	"hardening.yama/module/internal/sysctld"
)

// findLoaders finds out which versions of the loaders will read the files: by the libraries that
// come with them, which costs less than to start them.
func (h *Host) findLoaders() {
	systemd, libproc2 := -1, -1
	for _, dir := range h.libraryDirs() {
		systemd = max(systemd, h.newestSystemd(path.Join(dir, "systemd")))
		libproc2 = max(libproc2, h.newestSoname(dir, "libproc2.so."))
	}
	h.loaders = sysctld.LoadersOf(systemd, libproc2)
}

// libraryDirs returns the directories that libraries are in: on Debian there is one for each
// architecture, in no order.
func (h *Host) libraryDirs() []string {
	dirs := []string{"/usr/lib64"}
	names, _, _ := h.namesIn("/usr/lib") // without them the loaders are of no known version
	for _, name := range names {
		if strings.Contains(name, "-linux-") {
			dirs = append(dirs, path.Join("/usr/lib", name))
		}
	}
	return append(dirs, "/usr/lib")
}

// newestSystemd returns the version of the newest libsystemd-shared-NNN*.so in a directory, -1
// where there is none.
func (h *Host) newestSystemd(dir string) int {
	newest := -1
	names, _, _ := h.namesIn(dir)
	for _, name := range names {
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

// newestSoname returns the highest number behind a library's name, -1 where there is none. It is
// tried out, since a directory of libraries has thousands of names. An older one may have stayed
// behind an upgrade.
func (h *Host) newestSoname(dir, library string) int {
	d, err := h.tree.Dir(dir)
	if err != nil {
		return -1
	}
	defer d.Close() //nolint:errcheck // only read
	for version := 9; version >= 0; version-- {
		if _, err := d.Lstat(library + strconv.Itoa(version)); err == nil {
			return version
		}
	}
	return -1
}
