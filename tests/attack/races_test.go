// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

// swap is an attacker that exchanges a name with others, one after the other and back again, as
// fast as it can.
func swap(arguments []string) error {
	name, others := arguments[0], arguments[1:]
	exchange := func(other string) error {
		err := unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
		if err != nil && err != unix.ENOENT {
			return fmt.Errorf("exchange %s and %s: %w", name, other, err)
		}
		return nil
	}
	for i := 0; ; i++ {
		for _, other := range others {
			for range 2 {
				if err := exchange(other); err != nil {
					return err
				}
			}
		}
		if i == 0 {
			fmt.Println("ready")
		}
	}
}

// tries returns the number of tries of each race.
func tries() int {
	if all() {
		return 410
	}
	return 60
}

// giveUp is the number of lost tries after which a race ends.
const giveUp = 5

// race tries often. It fails for each lost try.
func race(t *testing.T, try func() (lost string)) {
	t.Helper()
	lost, tried := 0, 0
	for tried < tries() && lost < giveUp {
		tried++
		if how := try(); how != "" {
			lost++
			t.Errorf("try %d: %.800s", tried, how)
		}
	}
	t.Logf("lost %d of %d tries", lost, tried)
}

// wrong says why a run is wrong, "" if it is not: it shows a secret, hangs, or has no report.
func wrong(o sandbox.Outcome) string {
	if strings.Contains(o.Stdout+o.Stderr, secret) {
		return "it shows a secret: " + around(o.Stdout+o.Stderr, secret)
	}
	return o.Broken()
}

// restricted returns a run with state=restricted and more arguments.
func restricted(more ...any) sandbox.Run {
	arguments := map[string]any{"state": "restricted", "_ansible_diff": true}
	for i := 0; i < len(more); i += 2 {
		arguments[more[i].(string)] = more[i+1]
	}
	return sandbox.Run{Module: "ptrace_scope", Arguments: arguments, Limit: patience()}
}

// own makes the service account the owner of files.
func own(t testing.TB, h *sandbox.Host, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, os.Lchown(h.Path(name), service, service))
	}
}

// TestSwappedTarget has a link in /etc/sysctl.d lead to a file of a service account, which swaps
// the file for others. The run must end, and neither show nor rewrite a file that only root may
// read.
func TestSwappedTarget(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	const file, linked = "/srv/app/app.conf", "/etc/sysctl.d/50-app.conf"
	others := map[string]func(at string) error{
		"a FIFO":      func(at string) error { return unix.Mkfifo(at, 0o644) },
		"zero":        func(at string) error { return os.Symlink("/dev/zero", at) },
		"etc shadow":  func(at string) error { return os.Symlink("/etc/shadow", at) },
		"a directory": func(at string) error { return os.Mkdir(at, 0o755) },
		"a terabyte": func(at string) error {
			return errors.Join(os.WriteFile(at, []byte(scopeLine), 0o644), os.Truncate(at, 1<<40))
		},
	}
	names := slices.Sorted(maps.Keys(others))
	for _, name := range names {
		t.Run(name, func(t *testing.T) { swappedTarget(t, layer, file, linked, others, name) })
	}
	t.Run("all of them", func(t *testing.T) { swappedTarget(t, layer, file, linked, others, names...) })
}

func swappedTarget(t *testing.T, layer, file, linked string, others map[string]func(string) error, names ...string) {
	h := sandbox.NewHost(t, nil, layer)
	must(t, write(h.Root, file, scopeLine+"kernel.sysrq = 0\n"))
	own(t, h, path.Dir(file), file)
	arguments := append(make([]string, 0, 1+len(names)), file)
	for _, name := range names {
		other := file + "." + strings.ReplaceAll(name, " ", "-")
		must(t, others[name](h.Path(other)))
		own(t, h, other)
		arguments = append(arguments, other)
	}
	must(t, os.MkdirAll(h.Path("/etc/sysctl.d"), 0o755))
	h.Attack(t, "swap", service, arguments...)
	secretBefore := shadowOf(h)
	race(t, func() string {
		// Start again as before the first run.
		for _, name := range []string{ownFile, ownFloor, linked, file + backup, linked + backup} {
			_ = os.Remove(h.Path(name))
		}
		must(t, os.Symlink(file, h.Path(linked)), h.SetValue("0"))
		o := h.Run(restricted())
		if how := wrong(o); how != "" {
			return how
		}
		if now := shadowOf(h); now != secretBefore {
			defer func() { secretBefore = now }()
			return "/etc/shadow was " + secretBefore + " and is " + now
		}
		return ""
	})
}

// shadowOf returns the picture of the secret file and of its backup.
func shadowOf(h *sandbox.Host) string {
	all := sandbox.PictureOf(h.Path("/etc/shadow"), h.Path("/etc/shadow"+backup))
	return fmt.Sprint(all[h.Path("/etc/shadow")], all[h.Path("/etc/shadow"+backup)])
}

// builder makes a host with the tree of an image at /srv/build/img, and a poisoned tree at
// /outside.
func builder(t *testing.T, layer string, good good) (h *sandbox.Host, root string) {
	t.Helper()
	root = "/srv/build/img"
	h = sandbox.NewHost(t, nil, layer)
	must(t, os.MkdirAll(h.Path(root), 0o755), good.fill(h.Path(root)))
	must(t, os.Mkdir(h.Path(outside), 0o755), good.fill(h.Path(outside)), good.poison(h.Path(outside)))
	return h, root
}

// elsewhere returns the picture of a host without a directory.
func elsewhere(h *sandbox.Host, but string) sandbox.Picture {
	return h.Picture().Without(func(file string) bool {
		return strings.HasPrefix(file, h.Upper+but)
	})
}

// TestSwappedDirectory gives directories of a tree, or above it, to another user, who swaps an
// entry for a link out of the tree. The program must neither write there nor show what it reads
// there.
func TestSwappedDirectory(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	for _, c := range []struct {
		name, tree string
		// theirs belongs to the service account, which swaps its entry for a link to the target.
		theirs, entry, target string
	}{
		{"etc is another's, and sysctl.d a link", "apt", "/etc", "/sysctl.d", "/outside/etc/sysctl.d"},
		{
			"etc is another's, and sysctl.d a relative link", "apt",
			"/etc", "/sysctl.d", "../../../../outside/etc/sysctl.d",
		},
		{"the root is another's, and etc a link", "apt", "", "/etc", "/outside/etc"},
		{"the root is another's, and etc a link to the host's", "apt", "", "/etc", "/etc"},
		{"the directory above is another's, and the root a link", "apt", "/..", "/img", "/outside"},
		{"the directory above is another's, and the root a link to the host", "apt", "/..", "/img", "/"},
		{
			"a vendor's directory is another's, and a file in it a link", "apt",
			"/usr/lib/sysctl.d", "/50-other.conf", "/outside/usr/lib/sysctl.d/50-other.conf",
		},
		{
			"dpkg's directory is another's, and its database a link", "apt",
			"/var/lib/dpkg", "/status", "/outside/var/lib/dpkg/status",
		},
		{"/usr/lib is another's, and os-release a link", "apt", "/usr/lib", "/os-release", "/dev/zero"},
		{
			"rpm's directory is another's, and its database a link", "dnf5",
			"/var/lib/rpm", "/rpmdb.sqlite", "/outside/var/lib/rpm/rpmdb.sqlite",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, root := builder(t, layer, named(c.tree))
			theirs := path.Join(root, c.theirs)
			entry, other := theirs+c.entry, theirs+"/.other"
			if c.entry == "/os-release" {
				release := h.Path(root + "/etc/os-release")
				must(t, os.Rename(release, h.Path(entry)), os.Symlink("../usr/lib/os-release", release))
			}
			must(t, os.Symlink(c.target, h.Path(other)))
			own(t, h, theirs, other)
			h.Attack(t, "swap", service, entry, other)
			before := elsewhere(h, "/srv/build")
			race(t, func() string {
				o := h.Run(restricted("root", root))
				if how := wrong(o); how != "" {
					return how
				}
				if changes := elsewhere(h, "/srv/build").Since(before); changes != "" {
					defer func() { before = elsewhere(h, "/srv/build") }()
					return "written outside of the tree: " + changes
				}
				return ""
			})
		})
	}
}

// TestSwappedCache gives /var/cache to another user, who swaps the cache directory of the program
// for a link to a private directory of root. The private directory must not change.
func TestSwappedCache(t *testing.T) {
	sandbox.Enter(t)
	h := sandbox.NewHost(t, nil, hostLayer(t))
	const private, kept, other = "/srv/private", "/var/cache/hardening.yama", "/var/cache/other"
	must(t, os.Mkdir(h.Path(private), 0o700), os.WriteFile(h.Path(private+"/key"), []byte(secret), 0o600),
		os.MkdirAll(h.Path(kept), 0o755), os.Symlink(private, h.Path(other)))
	own(t, h, "/var/cache", other)
	h.Attack(t, "swap", service, kept, other)
	before := sandbox.PictureOf(h.Upper + "/srv")
	race(t, func() string {
		_ = os.Remove(h.Path(kept + "/ptrace_scope-" + checksum))
		o := h.Run(restricted("_hardening_yama_cache_as", checksum))
		if how := wrong(o); how != "" {
			return how
		}
		now := sandbox.PictureOf(h.Upper + "/srv")
		if changes := now.Since(before); changes != "" {
			defer func() { before = now }()
			return "a directory of root's: " + changes
		}
		return ""
	})
}

// checksum stands in for the checksum of the program, which is a part of its name in the cache.
var checksum = strings.Repeat("0123456789abcdef", 4)
