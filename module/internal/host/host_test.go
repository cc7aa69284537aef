// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/schema"
)

// hostOf makes a host of files, each a path and its content; a content of "-> x" is a link to x.
func hostOf(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if len(content) > 3 && content[:3] == "-> " {
			err = os.Symlink(content[3:], name)
		} else {
			err = os.WriteFile(name, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h, err := New(root, Config{Catalog: schema.Catalog{}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestLoadersOfTheHost: the versions are read from the libraries that come with the programs.
func TestLoadersOfTheHost(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  sysctld.Loaders
	}{
		{"Debian 13", []string{"usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so", "usr/lib/x86_64-linux-gnu/libproc2.so.0", "usr/lib/x86_64-linux-gnu/libproc2.so.0.0.2"}, sysctld.LoadersOf(257, 0)},
		{"Fedora 45", []string{"usr/lib64/systemd/libsystemd-shared-262.1-1.fc45.so", "usr/lib64/libproc2.so.1"}, sysctld.LoadersOf(262, 1)},
		{"Arch", []string{"usr/lib/systemd/libsystemd-shared-256.7-1.so", "usr/lib/libproc2.so.0"}, sysctld.LoadersOf(256, 0)},
		{"Debian 14 that was 13", []string{"usr/lib/x86_64-linux-gnu/libproc2.so.0", "usr/lib/x86_64-linux-gnu/libproc2.so.1"}, sysctld.LoadersOf(-1, 1)},
		{"one of another architecture was left", []string{"usr/lib/i386-linux-gnu/libproc2.so.0", "usr/lib/x86_64-linux-gnu/libproc2.so.1", "usr/lib/x86_64-linux-gnux32/libproc2.so.0"}, sysctld.LoadersOf(-1, 1)},
		{"neither systemd nor procps", nil, sysctld.LoadersOf(-1, -1)},
		{"a name without a number", []string{"usr/lib/systemd/libsystemd-shared-x.so"}, sysctld.LoadersOf(-1, -1)},
	} {
		files := map[string]string{"etc/os-release": ""}
		for _, f := range c.files {
			files[f] = ""
		}
		h := hostOf(t, files)
		if h.findLoaders(); h.loaders != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, h.loaders, c.want)
		}
	}
}

// TestWhatHides: every kind of name in a higher directory hides the vendor's file, or does not, as the loaders have it.
func TestWhatHides(t *testing.T) {
	const vendor = "usr/lib/sysctl.d/10-a.conf"
	for _, c := range []struct {
		name, path, content string
		boot, reload        bool // whether the vendor's setting still counts
	}{
		{"nothing", "etc/keep", "", true, true},
		{"a link to /dev/null", "etc/sysctl.d/10-a.conf", "-> /dev/null", false, false},
		{"an empty file", "etc/sysctl.d/10-a.conf", "", false, false},
		{"a link that leads nowhere", "etc/sysctl.d/10-a.conf", "-> nowhere", false, false},
		{"a link to itself, passed over by a new systemd", "etc/sysctl.d/10-a.conf", "-> 10-a.conf", true, false},
		{"a directory", "etc/sysctl.d/10-a.conf/keep", "", false, false},
		{"another name", "etc/sysctl.d/10-b.conf", "-> /dev/null", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, err := hostOf(t, map[string]string{vendor: ptrace.Key + "=0\n", c.path: c.content}).SysctlTree()
			if err != nil {
				t.Fatal(err)
			}
			if _, boot := tree.Boot(); boot != c.boot {
				t.Errorf("boot: the vendor's setting counts: %t", boot)
			}
			if _, reload := tree.Reload(); reload != c.reload {
				t.Errorf("reload: the vendor's setting counts: %t", reload)
			}
		})
	}
}

// FuzzParseOSRelease: a name has a value without quotes around it.
func FuzzParseOSRelease(f *testing.F) {
	f.Add("ID=fedora\nVERSION_ID=\"45\"\n# ID=x\n")
	f.Add(strings.Repeat("A=\"1\"\n", 1<<17))
	f.Fuzz(func(t *testing.T, content string) {
		for name, value := range parseOSRelease(content) {
			if strings.HasPrefix(value, `"`) || strings.Contains(name, "\n") {
				t.Errorf("%q: %q", name, value)
			}
		}
	})
}

// TestRepositories: whichever file is changed, or comes or goes, the configuration of the repositories is another one.
func TestRepositories(t *testing.T) {
	h := hostOf(t, map[string]string{"etc/os-release": "", "etc/yum.repos.d/a.repo": "", "etc/pacman.conf": "", "srv/zypp/b.repo": "", "etc/zypp/repos.d": "-> /srv/zypp"})
	past := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	all := []string{"etc/yum.repos.d", "etc/yum.repos.d/a.repo", "etc/pacman.conf", "srv/zypp", "srv/zypp/b.repo"}
	for _, name := range all {
		if err := os.Chtimes(filepath.Join(h.root, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range all {
		changed := past.AddDate(0, 0, i)
		if err := os.Chtimes(filepath.Join(h.root, name), changed, changed); err != nil {
			t.Fatal(err)
		}
		if got, want := h.repositories(), changed.Format(time.RFC3339); got != want {
			t.Errorf("%s was changed on %s, got %s", name, want, got)
		}
	}
}
