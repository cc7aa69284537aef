// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"fmt"
	"maps"
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
		{"Debian 13",
			[]string{"usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so",
				"usr/lib/x86_64-linux-gnu/libproc2.so.0", "usr/lib/x86_64-linux-gnu/libproc2.so.0.0.2"},
			sysctld.LoadersOf(257, 0)},
		{"Fedora 45", []string{"usr/lib64/systemd/libsystemd-shared-262.1-1.fc45.so", "usr/lib64/libproc2.so.1"},
			sysctld.LoadersOf(262, 1)},
		{"Arch", []string{"usr/lib/systemd/libsystemd-shared-256.7-1.so", "usr/lib/libproc2.so.0"},
			sysctld.LoadersOf(256, 0)},
		{"Debian 14 that was 13",
			[]string{"usr/lib/x86_64-linux-gnu/libproc2.so.0", "usr/lib/x86_64-linux-gnu/libproc2.so.1"},
			sysctld.LoadersOf(-1, 1)},
		{"one of another architecture was left",
			[]string{"usr/lib/i386-linux-gnu/libproc2.so.0", "usr/lib/x86_64-linux-gnu/libproc2.so.1",
				"usr/lib/x86_64-linux-gnux32/libproc2.so.0"}, sysctld.LoadersOf(-1, 1)},
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

// TestWhatHides: every kind of name in a higher directory hides the vendor's file, or does not, as
// the loaders have it.
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

// TestRepositories: whichever file is changed, or comes or goes, the configuration of the
// repositories is another one.
func TestRepositories(t *testing.T) {
	h := hostOf(t,
		map[string]string{"etc/os-release": "", "etc/yum.repos.d/a.repo": "", "etc/pacman.conf": "",
			"srv/zypp/b.repo": "", "etc/zypp/repos.d": "-> /srv/zypp"})
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

// TestBootOfTheHost: what sets the key at boot, by what runs, or by what would run. The files are
// those of real hosts.
func TestBootOfTheHost(t *testing.T) {
	const (
		openrcScript = "Linux_sysctl()\n{\n\tsysctl ${quiet} --system\n}\n"
		alpineScript = "for f in /lib/sysctl.d/*.conf \\\n\t/usr/lib/sysctl.d/*.conf; do\n" +
			"sysctl $quiet -p \"$f\"\ndone\nfor f in /etc/sysctl.d/*.conf; do\n" +
			"sysctl $quiet -p \"$f\"\nsysctl $quiet -p /etc/sysctl.conf\n" +
			"for f in /run/sysctl.d/*.conf; do\nsysctl $quiet -p \"$f\"\n"
		upstreamLoop = "for i in /run/sysctl.d/*.conf /etc/sysctl.d/*.conf; do\nsysctl -p \"$i\"\ndone\n" // Alpine 3.6
		voidScript   = "if [ -x /sbin/sysctl ]; then\n    sysctl --system\nfi\n"
		debianScript = "do_start_cmd() {\n\t$DAEMON $QUIET_SYSCTL --system || STATUS=$?\n}\n"
	)
	alpine := map[string]string{
		"etc/os-release": "ID=alpine\nVERSION_ID=3.22.0\n", "run/openrc/softlevel": "default",
		"sbin/init": "-> /bin/busybox", "etc/inittab": "",
		"etc/init.d/sysctl": alpineScript, "etc/runlevels/boot/sysctl": "-> /etc/init.d/sysctl",
		"sbin/sysctl": "-> /bin/busybox",
	}
	and := func(files map[string]string, more ...string) map[string]string {
		all := map[string]string{}
		for name, content := range files {
			all[name] = content
		}
		for i := 0; i < len(more); i += 2 {
			if all[more[i]] = more[i+1]; more[i+1] == "gone" {
				delete(all, more[i])
			}
		}
		return all
	}
	gentoo := map[string]string{
		"etc/os-release": "ID=gentoo\n", "run/openrc/softlevel": "default", "sbin/init": "", "etc/inittab": "",
		"sbin/openrc":       "",
		"etc/init.d/sysctl": openrcScript, "etc/runlevels/boot/sysctl": "-> /etc/init.d/sysctl", "usr/sbin/sysctl": "",
	}
	void := map[string]string{
		"etc/os-release": "ID=void\n", "run/runit/reboot": "", "sbin/init": "-> runit-init",
		"etc/runit/core-services/08-sysctl.sh": voidScript, "usr/bin/sysctl": "",
	}
	devuan := map[string]string{
		"etc/os-release": "ID=devuan\n", "sbin/init": "", "etc/inittab": "", "etc/init.d/procps": debianScript,
		"etc/rcS.d/S14procps": "-> ../init.d/procps", "sbin/sysctl": "",
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		boot  sysctld.Boot
		why   string
	}{
		{"Fedora", map[string]string{"etc/os-release": "ID=fedora\n", "run/systemd/system/keep": ""}, sysctld.Systemd,
			""},
		{"an image of Fedora without an init", map[string]string{"etc/os-release": "ID=fedora\nVERSION_ID=45\n"},
			sysctld.Systemd, ""},
		{"Debian with the package runit", map[string]string{
			"etc/os-release": "ID=debian\n", "sbin/init": "-> /lib/systemd/systemd", "run/runit/supervise/keep": "",
		}, sysctld.Systemd, ""},
		{"an image of NixOS", map[string]string{"etc/os-release": "ID=nixos\n",
			"sbin/init": "-> /nix/store/x/lib/systemd/systemd"}, sysctld.Systemd, ""},
		{"an image of nothing known", map[string]string{"etc/os-release": "ID=site\n"}, sysctld.Unknown, noInit},
		{"Alpine", alpine, sysctld.Alpine, ""},
		{"an image of Alpine", and(alpine, "run/openrc/softlevel", "gone", "sbin/openrc", ""), sysctld.Alpine, ""},
		{"Alpine with procps", and(alpine, "bin/sysctl", ""), sysctld.AlpineProcps, ""},
		{"Alpine whose sysctl does not start", and(alpine, "etc/runlevels/boot/sysctl", "gone"), sysctld.Unknown,
			noService},
		{"Alpine 3.6", and(alpine, "etc/init.d/sysctl", upstreamLoop), sysctld.Unknown, noScript},
		{"a container of Alpine", map[string]string{"etc/os-release": "ID=alpine\n", "bin/busybox": ""},
			sysctld.Unknown, noInit},
		{"Gentoo", gentoo, sysctld.Procps, ""},
		{"Artix", and(gentoo, "etc/os-release", "ID=artix\n", "sbin/init", "-> openrc-init", "sbin/openrc", "gone",
			"usr/bin/openrc", ""), sysctld.Procps, ""},
		{"Gentoo with busybox' sysctl", and(gentoo, "usr/sbin/sysctl", "-> busybox"), sysctld.Unknown, noSysctl},
		{"Debian with OpenRC", and(devuan, "run/openrc/softlevel", "", "etc/runlevels/sysinit/procps", ""),
			sysctld.Procps, ""},
		{"Void", void, sysctld.Procps, ""},
		{"Void, another script", and(void, "etc/runit/core-services/08-sysctl.sh", "sysctl -p /etc/site.conf\n"),
			sysctld.Unknown, noScript},
		{"Devuan", devuan, sysctld.Procps, ""},
		{"Ubuntu in WSL without systemd", map[string]string{
			"etc/os-release": "ID=ubuntu\n", "sbin/init": "-> /lib/systemd/systemd", "run/WSL/1_interop": "",
		}, sysctld.Unknown, wslNoLoader},
		{"Ubuntu in WSL with systemd", map[string]string{
			"etc/os-release": "ID=ubuntu\n", "run/systemd/system/keep": "", "run/WSL/1_interop": "",
		}, sysctld.Systemd, ""},
		{"Chimera", map[string]string{"etc/os-release": "ID=chimera\n", "sbin/init": "-> ../usr/bin/dinit",
			"usr/lib/keep": ""}, sysctld.Unknown, noScript},
	} {
		h := hostOf(t, c.files)
		release := parseOSRelease(c.files["etc/os-release"])
		h.distro = schema.Known().Distribution(release["ID"], release["VERSION_ID"])
		if boot, why := h.findBoot(); boot != c.boot || why != c.why {
			t.Errorf("%s: got %d, %q, want %d, %q", c.name, boot, why, c.boot, c.why)
		}
	}
}

// TestUFWFile: ufw's settings are a shell's.
func TestUFWFile(t *testing.T) {
	const named, enabled = "IPT_SYSCTL=/etc/ufw/sysctl.conf\n", "ENABLED=yes\n"
	for _, c := range []struct{ name, defaults, settings, want string }{
		{"Ubuntu, enabled", named, enabled, "/etc/ufw/sysctl.conf"},
		{"Debian, as installed", named, "ENABLED=no\n", ""},
		{"quotes, blanks and comments", " IPT_SYSCTL=\"/etc/a b.conf\" # ours\n", "ENABLED='YES' # why\n",
			"/etc/a b.conf"},
		{"commented out", "#" + named, enabled, ""},
		{"empty", "IPT_SYSCTL=\n", enabled, ""},
		{"the last one counts", named + "IPT_SYSCTL=/etc/other\n", enabled, "/etc/other"},
		{"ufw.conf comes last", named, enabled + "IPT_SYSCTL=/etc/third\n", "/etc/third"},
		{"one file is missing", named, "", ""},
	} {
		files := map[string]string{"etc/os-release": "", "etc/default/ufw": c.defaults}
		if c.settings != "" {
			files["etc/ufw/ufw.conf"] = c.settings
		}
		if got := hostOf(t, files).ufwFile(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestTmpfiles: lines that write the key are found, in the files that systemd-tmpfiles reads.
func TestTmpfiles(t *testing.T) {
	h := hostOf(t, map[string]string{
		"etc/os-release": "",
		"etc/tmpfiles.d/a.conf": "# why\nw! /proc/sys/kernel/yama/ptrace_scope - - - - 0\n" +
			"d /proc/sys/kernel/yama/ptrace_scope - - - - 0\n",
		"usr/lib/tmpfiles.d/a.conf": "w /proc/sys/kernel/yama/ptrace_scope - - - - 1\n",
		"usr/lib/tmpfiles.d/b.conf": "w+ /proc/sys/kernel/yama/ptrace_scope - - - - 2\n" +
			"w /proc/sys/kernel/sysrq - - - - 1\nw /proc/sys/kernel/yama/ptrace_scope\n",
		"run/tmpfiles.d/b.conf~":      "w /proc/sys/kernel/yama/ptrace_scope - - - - 3\n",
		"usr/local/lib/tmpfiles.d/no": "w /proc/sys/kernel/yama/ptrace_scope - - - - 3\n",
	})
	got := ""
	for _, s := range h.tmpfiles() {
		got += s.Source() + "=" + s.Value + " "
	}
	if want := "/etc/tmpfiles.d/a.conf:2=0 /usr/lib/tmpfiles.d/b.conf:1=2 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestContainer: the files that container engines leave count only where there are namespaces of an
// engine's. A virtual machine whose disk was made of a container's image has the files, too.
func TestContainer(t *testing.T) {
	ns := fmt.Sprintf("proc/%d/ns/", os.Getpid())
	const uts, ipc, other = "-> uts:[4026531838]", "-> ipc:[4026531839]", "-> uts:[4026532167]"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a machine", nil, ""},
		{"Docker", map[string]string{".dockerenv": "", ns + "uts": other, ns + "ipc": ipc}, "docker"},
		{"Podman", map[string]string{"run/.containerenv": "", ns + "uts": other}, "podman"},
		{"a virtual machine made of Docker's image",
			map[string]string{".dockerenv": "", ns + "uts": uts, ns + "ipc": ipc}, ""},
		{"systemd-nspawn",
			map[string]string{"run/systemd/container": "systemd-nspawn\n", ns + "uts": uts, ns + "ipc": ipc},
			"systemd-nspawn"},
		{"WSL 2", map[string]string{"run/systemd/container": "wsl\n"}, ""},
	} {
		files := map[string]string{"etc/os-release": ""}
		maps.Copy(files, c.files)
		if got, err := hostOf(t, files).container(); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
