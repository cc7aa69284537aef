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
	all, err := readStatus(status, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(installedOf(all,
		[]string{"gdb", "elfutils", "rpm", "none"})); got != "[{elfutils 0.190-1.1} {rpm 4.18}]" {
		t.Errorf("installed: %s", got)
	}
	if got := fmt.Sprint(requirersOf(all, []string{"elfutils", "gdb"},
		dependencies)); got != "map[debugedit:[rpm] elfutils:[debugedit rpm]]" {
		t.Errorf("requirers: %s", got)
	}
	want := []conffile{
		{file: "/etc/sysctl.conf", md5: "c05441d664b2dd6e5b6d2ad4d8e5c8d1"},
		{file: "/etc/sysctl.d/10-ptrace.conf", md5: "7b5a7b8d5b6e3f1e2a1d7a4a7c7e7b6e"},
	}
	if got := all[0].conffiles; !slices.Equal(got, want) {
		t.Errorf("conffiles: %+v", got)
	}
	for _, broken := range []string{"", "Package: a\n", "Status: install ok installed\n", "x\n\ny\n"} {
		if all, err := readStatus(broken, nil); err == nil {
			t.Errorf("%q: absent is not unknown, got %+v", broken, all)
		}
	}
}

// TestReadJournal: what dpkg has not merged into the status file yet counts, the newest change
// first.
func TestReadJournal(t *testing.T) {
	const journal = "Package: gdb\nStatus: install ok installed\nVersion: 16\n\n" +
		"Package: gdb\nStatus: install ok unpacked\nVersion: 15.5\n\n" +
		"Package: rpm\nStatus: deinstall ok not-installed\n\n"
	all, err := readStatus(journal+status, map[string]bool{})
	got := fmt.Sprint(installedOf(all, []string{"gdb", "elfutils", "rpm"}))
	if err != nil || got != "[{gdb 16} {elfutils 0.190-1.1}]" {
		t.Errorf("installed: %s, %v", got, err)
	}
	if got := fmt.Sprint(requirersOf(all, []string{"debugedit"}, dependencies)); got != "map[]" {
		t.Errorf("requirers: %s", got)
	}
	if got := all[len(all)-1].conffiles; got != nil {
		t.Errorf("conffiles: %v", got)
	}
}

// TestReadConffiles: one that is obsolete is the package's still, one that it has removed is not.
func TestReadConffiles(t *testing.T) {
	all, err := readStatus("Package: a\nStatus: install ok installed\nConffiles:\n"+
		" /etc/a 1 obsolete\n /etc/b 2 remove-on-upgrade\n /etc/c newconffile\n\n", nil)
	if got := fmt.Sprint(all[0].conffiles); err != nil || got != "[{/etc/a 1} {/etc/c newconffile}]" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestAgainstDpkg holds what we read against what dpkg-query says of this machine.
func TestAgainstDpkg(t *testing.T) {
	m, err := Find(filesOf(t, "/"), "/", Want{Managers: []string{"apt"}})
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
		if !p.removed {
			ours = append(ours, p.name+"|"+p.version)
		}
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

// TestReadDpkg: what dpkg-query prints about owners. A warning is not an answer, and a failure is
// none.
func TestReadDpkg(t *testing.T) {
	r := process.Result{
		Stdout: "diversion by x from: /lib/a\ndiversion by x to: /lib/a.x\nlocal diversion from: /lib/e\nlocal diversion to: /lib/e.distrib\n" +
			"systemd, other: /lib/b\nz: /lib/c\nlibc6:amd64, libc6:i386: /lib/d\n",
		Stderr: "dpkg-query: warning: parsing file '/var/lib/dpkg/status' near line 91526 package 'yaak':\n" +
			" missing 'Maintainer' field\n" +
			"dpkg-query: warning: files list file for package 'x' missing; " +
			"assuming package has no files currently installed\n" +
			"ERROR: ld.so: object '/x.so' from /etc/ld.so.preload cannot be preloaded " +
			"(cannot open shared object file): ignored.\n" +
			"dpkg-query: no path found matching pattern /lib/a\n",
		Code: 1,
	}
	owners := ""
	err := readSearch(r, func(owner, name string) { owners += owner + ":" + name + " " })
	if err != nil || owners != "systemd:/lib/b other:/lib/b z:/lib/c libc6:/lib/d libc6:/lib/d " {
		t.Errorf("owners %v, %v", owners, err)
	}
	r = process.Result{Stderr: "dpkg-query: error: cannot read the info directory\n", Code: 2}
	if err := readSearch(r, nil); err == nil {
		t.Error("a failure is an answer")
	}
}

// FuzzReadStatus: each package has a name, whatever the file holds.
func FuzzReadStatus(f *testing.F) {
	f.Add(status)
	f.Add(strings.Repeat("Package: a\nStatus: b\nDepends: c|d, e\n\n", 1<<15))
	f.Fuzz(func(t *testing.T, content string) {
		all, err := readStatus(content, nil)
		if (err == nil) != slices.ContainsFunc(all, func(p paragraph) bool { return !p.removed }) {
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
		if _, err := readStatus(string(content), nil); err != nil {
			b.Fatal(err)
		}
	}
}
