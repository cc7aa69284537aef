// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/process"
)

const status = `Package: procps
Status: install ok installed
Version: 2:4.0.4-4ubuntu3
Depends: libc6 (>= 2.38), libproc2-0 (>= 2:4.0.4), init-system-helpers (>= 1.29~)
Conffiles:
 /etc/sysctl.conf c05441d664b2dd6e5b6d2ad4d8e5c8d1
 /etc/sysctl.d/10-ptrace.conf 7b5a7b8d5b6e3f1e2a1d7a4a7c7e7b6e
Description: /proc file system utilities
 Package: not a field

Package: gdb
Status: deinstall ok config-files
Version: 15.0

Package: elfutils
Status: hold ok installed
Version: 0.190-1.1

Package: debugedit
Status: install ok half-configured
Version: 1:5.0
Pre-Depends: elfutils:any (>= 0.1) | elfutils-ng

Package: rpm
Status: install ok installed
Version: 4.18
Depends: debugedit [amd64],elfutils
`

// TestReadStatus: what is installed, what of it needs what, and which conffiles it brought.
func TestReadStatus(t *testing.T) {
	all, err := readStatus(status)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(installedOf(all, []string{"gdb", "elfutils", "rpm", "none"})); got != "[{elfutils 0.190-1.1} {rpm 4.18}]" {
		t.Errorf("installed: %s", got)
	}
	if got := fmt.Sprint(requirersOf(all, []string{"elfutils", "gdb"}, dependencies)); got != "map[debugedit:[rpm] elfutils:[debugedit rpm]]" {
		t.Errorf("requirers: %s", got)
	}
	if got := all[0].conffiles; !slices.Equal(got, []string{"/etc/sysctl.conf", "/etc/sysctl.d/10-ptrace.conf"}) {
		t.Errorf("conffiles: %q", got)
	}
	for _, broken := range []string{"", "Package: a\n", "Status: install ok installed\n", "x\n\ny\n"} {
		if all, err := readStatus(broken); err == nil {
			t.Errorf("%q: absent is not unknown, got %+v", broken, all)
		}
	}
}

// TestAgainstDpkg holds what we read against what dpkg-query says of this machine.
func TestAgainstDpkg(t *testing.T) {
	m, err := Find(filesOf(t, "/"), "/", []string{"apt"}, false)
	if err != nil || m.Name != "apt" {
		t.Skip("this machine has no dpkg, so nobody can judge")
	}
	want, err := exec.Command(dpkgSearcher, "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	all, err := m.dpkgPackages()
	if err != nil {
		t.Fatal(err)
	}
	ours := make([]string, 0, len(all))
	var theirs []string
	for _, p := range all {
		ours = append(ours, p.name+"|"+p.version)
	}
	for line := range strings.Lines(string(want)) {
		if state, rest, _ := strings.Cut(strings.TrimSpace(line), "|"); state[1] != 'c' && state[1] != 'n' {
			theirs = append(theirs, rest)
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	if !slices.Equal(ours, theirs) {
		t.Errorf("%d packages, dpkg-query has %d", len(ours), len(theirs))
	}
	const conffile, library = "/etc/sysctl.conf", "/usr/lib/os-release"
	// As the module asks: what was changed is part of the answer.
	owners, err := ownersOf(m, conffile, library, "/usr/lib/none", "/etc/none")
	if err != nil || owners[library] != "base-files" || owners["/usr/lib/none"]+owners["/etc/none"] != "" {
		t.Errorf("owners %v, %v", owners, err)
	}
}

// TestReadDpkg: what dpkg prints about a conffile that was changed, and about files that nobody owns.
func TestReadDpkg(t *testing.T) {
	const file = "/etc/sysctl.d/10-ptrace.conf"
	if same, err := readUnchanged(process.Result{Stdout: "??5?????? c " + file + "\n"}, file); same || err != nil {
		t.Errorf("changed: %t, %v", same, err)
	}
	if same, err := readUnchanged(process.Result{Stdout: "??5?????? c /etc/sysctl.conf\n"}, file); !same || err != nil {
		t.Errorf("not changed: %t, %v", same, err)
	}
	owners := map[string]string{}
	r := process.Result{
		Stdout: "diversion by x from: /lib/a\ndiversion by x to: /lib/a.x\nlocal diversion from: /lib/e\nlocal diversion to: /lib/e.distrib\n" +
			"systemd, other: /lib/b\nz: /lib/c\nlibc6:amd64, libc6:i386: /lib/d\n",
		Stderr: "dpkg-query: no path found matching pattern /lib/a\n", Code: 1,
	}
	files := []string{"/lib/a", "/lib/a.x", "/lib/b", "/lib/d", "/lib/e", "/lib/e.distrib"}
	if err := readSearch(r, files, owners); err != nil || fmt.Sprint(owners) != "map[/lib/b:systemd /lib/d:libc6]" {
		t.Errorf("owners %v, %v", owners, err)
	}
	r.Stderr = "dpkg-query: error: cannot read the info directory\n"
	if err := readSearch(r, []string{"/lib/a"}, owners); err == nil {
		t.Error("a failure is an answer")
	}
}

// FuzzReadStatus: each package has a name, whatever the file holds.
func FuzzReadStatus(f *testing.F) {
	f.Add(status)
	f.Add(strings.Repeat("Package: a\nStatus: b\nDepends: c|d, e\n\n", 1<<15))
	f.Fuzz(func(t *testing.T, content string) {
		all, err := readStatus(content)
		if (err == nil) != (len(all) > 0) {
			t.Errorf("%d packages, error %v", len(all), err)
		}
		requirersOf(all, []string{"a", "c"}, dependencies)
	})
}

func BenchmarkReadStatus(b *testing.B) {
	content, err := os.ReadFile(dpkgStatus)
	if err != nil {
		b.Skip(err)
	}
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := readStatus(string(content)); err != nil {
			b.Fatal(err)
		}
	}
}
