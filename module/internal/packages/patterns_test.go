// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// liveImage is what a Fedora desktop from a live image has, and what else a pattern could match.
const liveImage = `Name: anaconda-install-env-deps
Version: 45.9
Release: 1.fc45
Summary: a
License: a
BuildArch: noarch
Requires: gdb
%description
a
%define a() %package -n %1 \
Summary: a \
Version: %2 \
Epoch: 1 \
%{?3:Requires: %3} \
%{?4:Provides: %4} \
%description -n %1 \
a \
%files -n %1
%files
%a gdb 17.1 gdb-headless /usr/bin/gdb
%a gdb-headless 17.1
%a gdb-doc 17.1
%a lldb 19
%a lldb21 21.1
%a lldb21-devel 21.1
%a gcc-toolset-14-gdb 14.2
%a gcc-toolset-14-gdb-doc 14.2
%a acme-probe 1
%a acme-tools 1 /usr/bin/gdb
`

// realRPM makes a root whose database the real rpm has written, and returns its manager. Other
// packages are left out.
func realRPM(t *testing.T, left ...string) *Manager {
	t.Helper()
	rpm, err := exec.LookPath("rpm")
	build, problem := exec.LookPath("rpmbuild")
	if err != nil || problem != nil {
		t.Skip("this machine has no rpm and rpmbuild, so nobody can judge")
	}
	top, root := t.TempDir(), t.TempDir()
	write(t, top+"/live.spec", liveImage)
	command := exec.Command(build, "-bb", "--define", "_topdir "+top, top+"/live.spec") // #nosec G204 -- a test
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	files, err := filepath.Glob(top + "/RPMS/noarch/*.rpm")
	files = slices.DeleteFunc(files, func(file string) bool {
		return slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(filepath.Base(file), name) })
	})
	check(t, err)
	check(t, os.MkdirAll(root+"/var/lib/rpm", 0o755))
	args := append([]string{"--dbpath", root + "/var/lib/rpm", "-i", "--nodeps", "--justdb", "--nosignature"},
		files...)
	if said, err := exec.Command(rpm, args...).CombinedOutput(); err != nil { // #nosec G204 -- a test
		t.Fatalf("%v: %s", err, said)
	}
	database := rpmDatabase
	database.program, database.rootOptions = rpm, nil
	return &Manager{
		Name: "dnf5", files: filesOf(t, root), root: root, database: &database, memory: &memory{},
		dbDir: root + "/var/lib/rpm", program: rpm, removal: (*Manager).rpmRemoval,
		userInstalled: (*Manager).dnf5UserInstalled,
	}
}

// TestPatternsAgainstRPM: the real rpm is asked once, for names or for all packages, and what
// matches is what it has.
func TestPatternsAgainstRPM(t *testing.T) {
	m := realRPM(t)
	catalog := schema.Known()
	known, _ := catalog.Names()
	for _, c := range []struct {
		names []string
		want  string
	}{
		{known, "gcc-toolset-14-gdb 1:14.2-1.fc45, gdb 1:17.1-1.fc45, " +
			"gdb-headless 1:17.1-1.fc45, lldb 1:19-1.fc45, lldb21 1:21.1-1.fc45"},
		{[]string{"acme-*", "strace"}, "acme-probe 1:1-1.fc45, acme-tools 1:1-1.fc45"},
		{[]string{"gdb", "lldb2?"}, "gdb 1:17.1-1.fc45, lldb21 1:21.1-1.fc45"},
		{[]string{"none-*"}, ""},
	} {
		found, err := m.StartInstalled(t.Context(), c.names)()
		got := make([]string, 0, len(found))
		for _, p := range found {
			got = append(got, p.Name+" "+p.Version)
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); err != nil || text != c.want {
			t.Errorf("%.60s\n got: %s, %v\nwant: %s", c.names, text, err, c.want)
		}
	}
	m.database.program = "/bin/false"
	if found, err := m.StartInstalled(t.Context(), []string{"acme-*"})(); err == nil {
		t.Errorf("a query that fails is no answer: %v", found)
	}
}

// TestIncidentalAgainstRPM: who requires gdb, and whether the user installed it, as rpm and dnf5's
// record say. Of what they print, package host decides whether it counts.
func TestIncidentalAgainstRPM(t *testing.T) {
	const installer = "anaconda-install-env-deps-45.9-1.fc45.noarch"
	const dependency, user = `"gdb.noarch" = {reason = "Dependency"}`, `"gdb.noarch" = {reason = "User"}`
	const headless = ", [gdb-1:17.1-1.fc45.noarch] false"
	for _, c := range []struct {
		name, record string
		left         []string
		want         string
	}{
		{"from a live image", dependency, []string{"acme-tools"}, "[" + installer + "] false" + headless},
		{"installed by the user", user, []string{"acme-tools"}, "[" + installer + "] true" + headless},
		{"required by another package", dependency, nil,
			"[acme-tools-1:1-1.fc45.noarch " + installer + "] false" + headless},
	} {
		m := realRPM(t, c.left...)
		check(t, os.MkdirAll(m.root+"/usr/lib/sysimage/libdnf5", 0o755))
		write(t, m.root+dnf5State, "[packages]\n"+c.record+"\n\"gdb-headless.noarch\" = {reason = \"Dependency\"}\n")
		got := make([]string, 0, 2)
		for _, name := range []string{"gdb", "gdb-headless"} {
			with, err := m.Needers(t.Context(), name)
			user, problem := m.UserInstalled(t.Context(), name)
			if err != nil || problem != nil {
				t.Error(err, problem)
			}
			got = append(got, fmt.Sprint(with, user))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s\n got: %s\nwant: %s", c.name, text, c.want)
		}
	}
}

// TestReadAll: the list of all packages is read for a pattern. A list that is empty, or too long to
// be complete, is no answer.
func TestReadAll(t *testing.T) {
	const none = "[] cannot query the rpm database for acme-*: no answer (exit code 0): "
	for stdout, want := range map[string]string{
		"gdb\t1-1\nacme-a\t2-1\nacme-a\t2-1\n":  "[{acme-a 2-1}] <nil>",
		"gdb\t1-1\n":                            "[] <nil>",
		"":                                      none,
		"error: cannot open Packages\ngdb\t1\n": "[] cannot query the rpm database: cannot open Packages",
		strings.Repeat("x\t1\n", 200_000):       none + "x\t1 | x\t1 | x\t1 | x\t1",
	} {
		found, err := readInstalled(process.Result{Stdout: stdout}, []string{"acme-*"})
		if got := fmt.Sprint(found, " ", err); got != want {
			t.Errorf("%.40q\n got: %s\nwant: %s", stdout, got, want)
		}
	}
}

// TestReadLabel: rpm prints version 19 of lldb for the name lldb-19, too. That is no package of
// this name.
func TestReadLabel(t *testing.T) {
	found, err := readInstalled(process.Result{Stdout: "lldb\t1:19-1\nlldb\t1:19-1\n"}, []string{"lldb", "lldb-19"})
	if err != nil || !slices.Equal(found, []port.Package{{Name: "lldb", Version: "1:19-1"}}) {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := readInstalled(process.Result{Stdout: "lldb\t1:19-1\n"}, []string{"lldb", "lldb-1"}); err == nil {
		t.Errorf("a name without a line is no answer: %v", found)
	}
}

// TestOneQuery: rpm is asked once, for names, or for all packages if a pattern is among the names.
func TestOneQuery(t *testing.T) {
	said := rpmOfHost(t, "/nowhere")
	root := t.TempDir()
	m := &Manager{files: filesOf(t, root), root: root, database: &rpmDatabase, memory: &memory{}}
	for names, want := range map[string]string{
		"enabler":             ` -q --qf %{NAME}\t%{EVR}\n -- enabler filesystem rpm`,
		"enabler acme-*":      ` -q --qf %{NAME}\t%{EVR}\n -a`,
		"enabler acme-[^a] a": ` -q --qf %{NAME}\t%{EVR}\n -a`,
	} {
		found, err := m.StartInstalled(t.Context(), strings.Fields(names))()
		got := strings.TrimSpace(said())
		if err != nil || len(found) != 1 || !strings.HasSuffix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %v, %v, rpm was asked %q", names, found, err, got)
		}
	}
}

// TestPatternIsNoName: to the port, which plugins implement, a pattern is a name that no package
// has.
func TestPatternIsNoName(t *testing.T) {
	root := t.TempDir()
	check(t, os.MkdirAll(root+"/var/lib/dpkg", 0o755))
	write(t, root+dpkgStatus, "Package: gdb\nStatus: install ok installed\nVersion: 1\n\n"+
		"Package: dpkg\nStatus: install ok installed\nVersion: 1\n")
	m := &Manager{Name: ptrace.None, files: filesOf(t, root), root: root, database: &dpkgDatabase, memory: &memory{}}
	if found, err := m.Installed(t.Context(), []string{"*", "g[d]b"}); err != nil || found != nil {
		t.Errorf("%v, %v", found, err)
	}
	found, err := m.StartInstalled(t.Context(), []string{"g[d]b*"})()
	if err != nil || !slices.Equal(found, []port.Package{{Name: "gdb", Version: "1"}}) {
		t.Errorf("%v, %v", found, err)
	}
}
