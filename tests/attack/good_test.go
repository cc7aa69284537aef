// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

// good is a tree in which the program finds everything that it looks for. The trees differ in their
// package manager and in the files of an administrator.
type good struct {
	name string
	// host: the tree is the running host, and not an image.
	host bool
	// fill makes the tree. poison changes a copy of it so that a program that reads the copy gives
	// another answer, or shows the secret.
	fill, poison step
	// database are the files and directories that say which packages are installed and which
	// distribution it is. A run that cannot read one has to say so.
	database []string
}

// step makes a part of a tree.
type step func(dir string) error

const (
	enabler     = "yama-ptrace-enable"
	suseEnabler = "aaa_base-yama-enable-ptrace"
	backup      = ".ptrace_scope~"
	ownFile     = "/etc/sysctl.d/zz-ptrace_scope.conf"
	ownFloor    = "/etc/sysctl.d/05-ptrace_scope.conf"
	conffile    = "/etc/sysctl.d/10-ptrace.conf"
	scopeLine   = "kernel.yama.ptrace_scope = 0\n"
)

// trees returns the good trees. The first one has all files that an administrator may have.
func trees() []good {
	site, fedora := "NAME=site\nID=site\nVERSION_ID=1\n", "NAME=Fedora\nID=fedora\nVERSION_ID=45\n"
	suse := "NAME=openSUSE\nID=opensuse-tumbleweed\nVERSION_ID=20261120\n"
	return []good{
		{
			name: "apt", fill: steps(system(site), local, link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf"), dpkg),
			poison:   steps(poisonFiles, poisonDpkg),
			database: []string{"/etc/os-release", "/var/lib/dpkg/status", "/etc/ufw/sysctl.conf"},
		},
		{
			name: "apt-auto", fill: steps(system(site), archive(vendorFile), dpkg, archive(extendedStates)),
			poison:   steps(poisonFiles, poisonDpkg),
			database: []string{"/var/lib/dpkg/status", "/var/lib/apt/extended_states"},
		},
		{
			name: "dnf5", fill: steps(system(fedora), rpm(enabler), archive(packagesTOML)),
			poison:   steps(poisonFiles, rpm("gdb")),
			database: []string{"/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/libdnf5/packages.toml"},
		},
		{
			name: "zypper", fill: steps(system(suse), rpm(suseEnabler), archive(history)),
			poison:   steps(poisonFiles, rpm("gdb")),
			database: []string{"/var/log/zypp/history"},
		},
		{
			name: "pacman", fill: steps(system(site), archive(vendorFile), archive(alpm)),
			poison:   steps(poisonFiles, archive(poisonAlpm)),
			database: []string{"/var/lib/pacman/local", "/var/lib/pacman/local/" + enabler + "-1-1/desc"},
		},
		{
			name: "apk", fill: steps(oldSystem(site), archive(vendorFile), archive(apk)),
			poison:   steps(poisonFiles, archive(poisonAPK)),
			database: []string{"/lib/apk/db/installed", "/usr/lib/os-release"},
		},
		{
			name: "offer", fill: steps(system(site), archive(dpkgAlone), archive(repositories)),
			poison:   steps(poisonFiles, poisonDpkg),
			database: []string{"/var/lib/dpkg/status"},
		},
		{
			name: "host-apt", host: true, fill: steps(local, archive("-- "+conffile+" --\n"+conffileContent)),
			database: []string{"/usr/lib/os-release", "/var/lib/dpkg/status", "/etc/ufw/sysctl.conf"},
		},
		{
			name: "host-offer", host: true,
			fill:     steps(release(fedora), vendorRelease(fedora), withoutDpkg, rpm("gdb"), archive(repositories)),
			database: []string{"/var/lib/rpm/rpmdb.sqlite"},
		},
		{
			name: "host-dnf5", host: true,
			fill:     steps(release(fedora), vendorRelease(fedora), withoutDpkg, rpm(enabler), archive(packagesTOML)),
			database: []string{"/etc/os-release", "/var/lib/rpm/rpmdb.sqlite"},
		},
	}
}

// named returns the good tree of a name.
func named(name string) good {
	for _, g := range trees() {
		if g.name == name {
			return g
		}
	}
	panic("no tree is named " + name)
}

// steps does one step after the other.
func steps(all ...step) step {
	return func(dir string) error {
		for _, make := range all {
			if err := make(dir); err != nil {
				return err
			}
		}
		return nil
	}
}

// archive makes the files of a txtar archive. Its names are absolute.
func archive(text string) step {
	return func(dir string) error {
		for _, f := range txtar.Parse([]byte(text)).Files {
			if err := write(dir, f.Name, string(f.Data)); err != nil {
				return err
			}
		}
		return nil
	}
}

// link makes a symbolic link.
func link(name, target string) step {
	return func(dir string) error {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.Symlink(target, file)
	}
}

func release(text string) step { return archive("-- /etc/os-release --\n" + text) }

func vendorRelease(text string) step { return archive("-- /usr/lib/os-release --\n" + text) }

// system makes the parts that every tree has: the directories that the program looks into, with a
// file each, the libraries that tell the versions of the loaders, and devices.
func system(text string) step {
	return steps(release(text), link("/lib", "usr/lib"), archive(`
-- /usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so --
-- /usr/lib/x86_64-linux-gnu/libproc2.so.0 --
-- /usr/lib64/keep --
-- /usr/bin/keep --
-- /usr/sbin/keep --
-- /usr/local/bin/site --
-- /usr/local/sbin/keep --
-- /run/keep --
-- /tmp/keep --
-- /root/keep --
-- /var/cache/keep --
-- /var/lib/keep --
-- /var/log/keep --
-- /var/tmp/keep --
-- /proc/keep --
-- /sys/keep --
-- /dev/keep --
`), func(dir string) error {
		if err := sandbox.Device(filepath.Join(dir, "dev/null"), 3); err != nil {
			return err
		}
		return sandbox.Device(filepath.Join(dir, "dev/zero"), 5)
	})
}

// oldSystem makes a system where /lib is a directory of its own, and os-release is below /usr.
func oldSystem(text string) step {
	return steps(system(text), func(dir string) error {
		if err := os.Remove(dir + "/lib"); err != nil {
			return err
		}
		return os.Remove(dir + "/etc/os-release")
	}, archive("-- /usr/lib/os-release --\n"+text+"-- /lib/sysctl.d/00-alpine.conf --\n"+scopeLine+"-- /etc/keep --\n"))
}

// vendorFile is the drop-in of an enabler.
const vendorFile = `
-- /usr/lib/sysctl.d/10-default-yama-scope.conf --
kernel.yama.ptrace_scope = 0
`

// local makes the files of an administrator in all directories that loaders read, those of ufw, a
// mask, the program's own files and leftovers of a killed run.
var local = steps(archive(vendorFile), archive(`
-- /etc/sysctl.conf --
kernel.yama.ptrace_scope = 0
-- /etc/sysctl.d/20-local.conf --
kernel.yama.ptrace_scope = 0
-- /etc/sysctl.d/20-local.conf.ptrace_scope~ --
kernel.yama.ptrace_scope = 0
-- /etc/sysctl.d/.ptrace_scope-99999.tmp --
cut
-- /etc/.ptrace_scope-99999.tmp --
cut
-- /etc/sysctl.d/zz-ptrace_scope.conf --
# Written by hardening.yama.ptrace_scope for state=restricted, and again by its next run.
kernel.yama.ptrace_scope = 1
-- /etc/sysctl.d/05-ptrace_scope.conf --
# Written by hardening.yama.ptrace_scope for state=auto, and again by its next run.
kernel.yama.ptrace_scope = 1
-- /etc/site/30.conf --
kernel.yama.ptrace_scope = 0
-- /run/sysctl.d/40-run.conf --
kernel.yama.ptrace_scope = 0
-- /usr/local/lib/sysctl.d/50-site.conf --
kernel.yama.ptrace_scope = 0
-- /usr/lib/sysctl.d/50-other.conf --
kernel.pid_max = 4194304
-- /run/credentials/@system/sysctl.extra --
kernel.sysrq = 0
-- /etc/default/ufw --
IPT_SYSCTL=/etc/ufw/sysctl.conf
-- /etc/ufw/ufw.conf --
ENABLED=yes
-- /etc/ufw/sysctl.conf --
kernel/yama/ptrace_scope=0
`),
	link("/etc/sysctl.d/10-default-yama-scope.conf", "/dev/null"),
	link("/etc/sysctl.d/30-link.conf", "../site/30.conf"),
	link("/etc/sysctl.d/35-gone.conf", "/nowhere.conf"),
)

const conffileContent = "# The PTRACE system is used for debugging.\nkernel.yama.ptrace_scope = 1\n"

// dpkg makes a database of dpkg, with an enabler and an unchanged conffile.
func dpkg(dir string) error {
	sum := fmt.Sprintf("%x", md5.Sum([]byte(conffileContent)))
	status := paragraphOf("dpkg", "1.22") + paragraphOf(enabler, "1") +
		paragraphOf("strace-site", "1", "Depends: "+enabler) +
		paragraphOf("procps", "2:4", "Conffiles:\n "+conffile+" "+sum)
	return archive("-- " + conffile + " --\n" + conffileContent + "-- /var/lib/dpkg/status --\n" + status + `
-- /var/lib/dpkg/available --
-- /var/lib/dpkg/info/format --
1
-- /var/lib/dpkg/info/dpkg.list --
/.
-- /var/lib/dpkg/info/strace-site.list --
/.
-- /var/lib/dpkg/info/yama-ptrace-enable.list --
/.
/usr
/usr/lib
/usr/lib/sysctl.d
/usr/lib/sysctl.d/10-default-yama-scope.conf
-- /var/lib/dpkg/info/procps.list --
/.
/etc
/etc/sysctl.d
/etc/sysctl.d/10-ptrace.conf
-- /var/lib/dpkg/info/procps.conffiles --
/etc/sysctl.d/10-ptrace.conf
-- /var/lib/dpkg/info/procps.md5sums --
`)(dir)
}

// paragraphOf returns the paragraph of an installed package in dpkg's database, with more fields.
func paragraphOf(name, version string, more ...string) string {
	fields := []string{
		"Package: " + name, "Status: install ok installed", "Maintainer: nobody", "Architecture: all",
		"Version: " + version,
	}
	fields = append(append(fields, more...), "Description: stands for a package")
	return strings.Join(fields, "\n") + "\n\n"
}

// dpkgAlone is a database of dpkg without an enabler, so that the program looks for one.
const dpkgAlone = `
-- /var/lib/dpkg/status --
Package: dpkg
Status: install ok installed
Maintainer: nobody
Architecture: all
Version: 1.22
Description: stands for a package

-- /var/lib/dpkg/info/format --
1
-- /var/lib/dpkg/info/dpkg.list --
/.
`

// repositories are the files where managers read which repositories there are.
const repositories = `
-- /etc/apt/sources.list --
-- /etc/apt/sources.list.d/site.sources --
Types: deb
-- /etc/yum.repos.d/site.repo --
[site]
-- /etc/dnf/dnf.conf --
[main]
-- /etc/zypp/repos.d/site.repo --
[site]
-- /etc/apk/repositories --
/nowhere
`

// The records of apt, dnf5 and zypper, by which no user asked for the enabler.
const (
	extendedStates = `
-- /var/lib/apt/extended_states --
Package: yama-ptrace-enable
Architecture: all
Auto-Installed: 1

`
	packagesTOML = `
-- /usr/lib/sysimage/libdnf5/packages.toml --
version = "1.0"
[packages]
"yama-ptrace-enable.noarch" = {reason = "Weak Dependency"}
`
	history = `
-- /var/log/zypp/history --
2026-11-20 10:00:00|install|other|1-1|noarch|root@host|repo|sum|
-- /var/lib/zypp/AutoInstalled --
aaa_base-yama-enable-ptrace
`
)

// The databases of pacman and apk, with an enabler.
const (
	alpm = `
-- /etc/pacman.conf --
[options]
Architecture = auto
SigLevel = Never
-- /var/lib/pacman/local/ALPM_DB_VERSION --
9
-- /var/lib/pacman/local/pacman-7-1/desc --
%NAME%
pacman

%VERSION%
7-1

-- /var/lib/pacman/local/yama-ptrace-enable-1-1/desc --
%NAME%
yama-ptrace-enable

%VERSION%
1-1

%BASE%
yama-ptrace-enable

%ARCH%
any

%REASON%
1

%VALIDATION%
none

-- /var/lib/pacman/local/yama-ptrace-enable-1-1/files --
%FILES%
usr/
usr/lib/
usr/lib/sysctl.d/
usr/lib/sysctl.d/10-default-yama-scope.conf

`
	apk = `
-- /lib/apk/db/installed --
P:yama-ptrace-enable
V:1-r0
F:usr/lib/sysctl.d
R:10-default-yama-scope.conf

P:apk-tools
V:1-r0

-- /etc/apk/repositories --
/nowhere
`
)

// withoutDpkg takes dpkg's database off a host.
func withoutDpkg(dir string) error {
	if err := os.MkdirAll(dir+"/var/lib/dpkg", 0o755); err != nil {
		return err
	}
	for _, name := range []string{"/var/lib/dpkg/status", "/var/lib/dpkg/info"} {
		if err := unix.Mknod(dir+name, unix.S_IFCHR, 0); err != nil { // a whiteout of overlayfs
			return err
		}
	}
	return nil
}

// rpmSpec is built into an enabler of Fedora, one of SUSE, and a debugger whose version is secret.
const rpmSpec = `
Name: site
Version: 1
Release: 1
Summary: stands for packages
License: GPL-3.0-or-later
BuildArch: noarch
AutoReqProv: no
%description
x
%package -n yama-ptrace-enable
Summary: sets 0
%description -n yama-ptrace-enable
x
%package -n aaa_base-yama-enable-ptrace
Summary: sets 0
%description -n aaa_base-yama-enable-ptrace
x
%package -n filesystem
Summary: the base of a system
%description -n filesystem
x
%package -n gdb
Version: SECRET
Summary: a debugger
%description -n gdb
x
%install
mkdir -p %{buildroot}/usr/lib/sysctl.d %{buildroot}/usr/bin
echo 'kernel.yama.ptrace_scope = 0' >%{buildroot}/usr/lib/sysctl.d/10-default-yama-scope.conf
echo '-kernel.yama.ptrace_scope = 0' >%{buildroot}/usr/lib/sysctl.d/52-yama.conf
echo >%{buildroot}/usr/bin/gdb
%files -n yama-ptrace-enable
/usr/lib/sysctl.d/10-default-yama-scope.conf
%files -n aaa_base-yama-enable-ptrace
/usr/lib/sysctl.d/52-yama.conf
%files -n filesystem
%files -n gdb
/usr/bin/gdb
`

// rpmPackages builds the packages once, and returns their directory.
var rpmPackages = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/", "packages")
	if err != nil {
		return "", err
	}
	h, err := sandbox.New(nil)
	if err != nil {
		return "", err
	}
	defer h.Close()
	// The version of a package has no hyphen.
	spec := strings.ReplaceAll(rpmSpec, "SECRET", strings.ReplaceAll(secret, "-", "_"))
	if err := write(h.Root, "/site.spec", spec); err != nil {
		return "", err
	}
	build := h.Command("/usr/bin/rpmbuild", "--quiet", "-bb", "/site.spec", "--define", "_topdir /build",
		"--define", "_rpmdir /built", "--define", "_rpmformat 4", "--define", "__os_install_post %{nil}",
		"--define", "_build_name_fmt %%{NAME}.rpm")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("rpmbuild: %w: %s", err, output)
	}
	return dir, copyTree(h.Root+"/built", dir)
})

// rpm makes the database of rpm anew, with one package and the base.
func rpm(name string) step {
	return func(dir string) error {
		built, err := rpmPackages()
		if err != nil {
			return err
		}
		h, err := sandbox.New(func(upper string) error { return os.Mkdir(upper+image, 0o755) })
		if err != nil {
			return err
		}
		defer h.Close()
		if err := copyTree(built, h.Root+"/mnt"); err != nil {
			return err
		}
		install := h.Command("/usr/bin/rpm", "--root="+image, "--install", "--nosignature",
			"/mnt/"+name+".rpm", "/mnt/filesystem.rpm")
		if output, err := install.CombinedOutput(); err != nil {
			return fmt.Errorf("rpm: %w: %s", err, output)
		}
		if err := os.RemoveAll(dir + "/var/lib/rpm"); err != nil {
			return err
		}
		for _, part := range []string{"/var/lib/rpm", "/usr"} {
			if err := os.MkdirAll(dir+part, 0o755); err != nil {
				return err
			}
			if err := copyTree(h.Root+image+part, dir+part); err != nil {
				return err
			}
		}
		return nil
	}
}

// poisonLine sets a value that a report would show. Files outside that have no like in the tree
// have this line, too.
const poisonLine = "kernel.yama.ptrace_scope = 2 " + secret + "\n"

// poisonFiles changes every file that a loader reads, the records of managers, and the
// distribution.
func poisonFiles(dir string) error {
	return filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content := ""
		switch base := filepath.Base(name); {
		case base == "os-release":
			content = "NAME=" + secret + "\nID=debian\nVERSION_ID=13\n"
		case base == "site":
			return os.Rename(name, filepath.Join(filepath.Dir(name), "gdb"))
		case strings.Contains(name, "sysctl"), strings.Contains(name, "/site/"), strings.Contains(name, "/ufw/"):
			content = poisonLine
		case base == "extended_states":
			content = "Package: " + enabler + "\nArchitecture: all\nAuto-Installed: 0\n\n"
		case base == "packages.toml":
			content = `"` + enabler + `.noarch" = {reason = "User"}` + "\n"
		case base == "history":
			content = "2026-11-20 10:00:00|install|" + suseEnabler + "|1-1|noarch|root@" + secret + "|repo|sum|\n"
		case base == "AutoInstalled":
			content = secret + "\n"
		default:
			return nil
		}
		return os.WriteFile(name, []byte(content), 0o644)
	})
}

func poisonDpkg(dir string) error {
	return write(dir, "/var/lib/dpkg/status", paragraphOf("dpkg", "1.22")+paragraphOf("gdb", secret))
}

const (
	poisonAlpm = `
-- /var/lib/pacman/local/gdb-` + secret + `-1/desc --
%NAME%
gdb

-- /var/lib/pacman/local/pacman-7-1/desc --
%NAME%
pacman

%VERSION%
7-1

-- /var/lib/pacman/local/yama-ptrace-enable-1-1/desc --
%NAME%
yama-ptrace-enable

%VERSION%
` + secret + `

`
	poisonAPK = `
-- /lib/apk/db/installed --
P:gdb
V:` + secret + `

P:apk-tools
V:1-r0

-- /usr/lib/os-release --
NAME=` + secret + `
ID=debian
VERSION_ID=13
`
)
