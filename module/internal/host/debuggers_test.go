// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// debuggersOf returns what is observed of debuggers and tracers below a root.
func debuggersOf(t *testing.T, root string, c schema.Catalog) string {
	t.Helper()
	h, err := New(root, Config{Catalog: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	o, err := h.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range o.Debuggers {
		found = append(found, strings.TrimSpace(d.Name+" "+d.Path))
	}
	if len(o.Tracers) > 0 {
		found = append(found, "tracers: "+strings.Join(o.Tracers, " "))
	}
	return strings.Join(found, ", ")
}

// program puts a program into a tree.
func program(t *testing.T, root, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+name, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestDebuggersOfHosts: what counts on hosts with the package database of dpkg, by which the real
// dpkg-query agrees, and on hosts without a database.
func TestDebuggersOfHosts(t *testing.T) {
	_, err := exec.LookPath("dpkg-query")
	for _, c := range []struct {
		name      string
		packages  string // in the database of dpkg, "" where there is none
		programs  string
		debuggers string // options
		ignore    string
		want      string
	}{
		{name: "Debian 12 with lldb-19 and its libraries",
			packages: "base-files liblldb-19 lldb-19 lldb-19-dev python3-lldb-19", programs: "/usr/bin/lldb-19",
			want: "lldb-19"},
		{name: "Ubuntu 24.04 with apt.llvm.org", packages: "base-files lldb-18 lldb-20 clang-20",
			want: "lldb-18, lldb-20"},
		{name: "Ubuntu 18.04", packages: "base-files lldb-6.0 gdb-multiarch", want: "gdb-multiarch, lldb-6.0"},
		{name: "Debian 12 with documents only", packages: "base-files gdb-doc gdb-source gdb-avr gdbm-l10n " +
			"lldb-19-dev"},
		{name: "Ubuntu 24.04 with WineHQ", packages: "base-files wine-stable wine-staging wine64 austin",
			want: "austin, tracers: wine64 wine-stable wine-staging"},
		{name: "Kali with pwndbg's own packages", packages: "base-files pwndbg pwndbg-lldb",
			want: "pwndbg, pwndbg-lldb"},
		{name: "a site's own pattern", packages: "base-files acme-probe-7 acme-probe-7-doc libacme-probe",
			debuggers: "acme-*", want: "acme-probe-7"},
		{name: "a site that ignores versions of lldb", packages: "base-files lldb-18 gdb", ignore: "lldb-*",
			want: "gdb"},
		{name: "Debian 12 with a hand-built lldb", packages: "base-files",
			programs: "/usr/local/bin/lldb-20 /usr/local/bin/lldb-20.py", want: "lldb-20 /usr/local/bin/lldb-20"},
		{name: "Slackware without a known database", programs: "/usr/bin/lldb-18 /usr/bin/gdb /usr/bin/gdbm",
			want: "gdb /usr/bin/gdb, lldb-18 /usr/bin/lldb-18"},
		{name: "NixOS", programs: "/run/current-system/sw/bin/gdb /run/current-system/sw/bin/ls",
			want: "gdb /run/current-system/sw/bin/gdb"},
		{name: "Guix System", programs: "/run/current-system/profile/bin/strace",
			want: "strace /run/current-system/profile/bin/strace"},
		{
			name: "CentOS 7, whose database nobody finds",
			programs: "/opt/rh/devtoolset-12/root/usr/bin/strace /opt/rh/gcc-toolset-14/root/usr/bin/gdb " +
				"/opt/rh/x/root/usr/bin/ls",
			want: "strace /opt/rh/devtoolset-12/root/usr/bin/strace, gdb /opt/rh/gcc-toolset-14/root/usr/bin/gdb",
		},
		{
			name: "a collection that packages brought", packages: "base-files gcc-toolset-14-gdb",
			programs: "/opt/rh/gcc-toolset-14/root/usr/bin/gdb /opt/rh/own/root/usr/bin/gdb",
			want:     "gcc-toolset-14-gdb, gdb /opt/rh/own/root/usr/bin/gdb",
		},
		{name: "a collection that is ignored", packages: "base-files gcc-toolset-14-gdb",
			programs: "/opt/rh/gcc-toolset-14/root/usr/bin/gdb", ignore: "gcc-toolset-*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(root+"/etc", 0o755); err != nil {
				t.Fatal(err)
			}
			if c.packages != "" {
				if err != nil {
					t.Skip("this machine has no dpkg-query")
				}
				status := ""
				for name := range strings.FieldsSeq(c.packages) {
					status += "Package: " + name + "\nStatus: install ok installed\nMaintainer: a\nArchitecture: " +
						"all\nVersion: 1:2-3\nDescription: a\n\n"
				}
				if err := os.MkdirAll(root+"/var/lib/dpkg/info", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(root+"/var/lib/dpkg/status", []byte(status), 0o644); err != nil {
					t.Fatal(err)
				}
				theirs, err := exec.Command("dpkg-query", "--admindir="+root+"/var/lib/dpkg", "-W", "-f",
					"${Package} ").Output()
				if err != nil || len(strings.Fields(string(theirs))) != len(strings.Fields(c.packages)) {
					t.Errorf("dpkg-query has %s, %v", theirs, err)
				}
			}
			for name := range strings.FieldsSeq(c.programs) {
				program(t, root, name)
			}
			known := schema.Known()
			if got := debuggersOf(t, root, known.With(strings.Fields(c.debuggers),
				strings.Fields(c.ignore))); got != c.want {
				t.Errorf("\n got: %s\nwant: %s", got, c.want)
			}
		})
	}
}

// removals is a package manager that answers which packages need one, and whether the user
// installed it.
type removals struct {
	PackageManager
	answers map[string]ptrace.Removal
}

func (r removals) Needers(_ context.Context, name string) ([]string, error) {
	if cause := r.answers[name].Cause; cause != "" {
		return nil, errors.New(cause)
	}
	return r.answers[name].With, nil
}

func (r removals) UserInstalled(_ context.Context, name string) (bool, error) {
	if r.answers[name].Unknown {
		return false, errors.New("dnf is busy")
	}
	return r.answers[name].UserInstalled, nil
}

// TestExcuse: a debugger that only the installer's package requires does not count. The names are
// as rpm -e --test prints them.
func TestExcuse(t *testing.T) {
	const gdb, headless, installer = "gdb-17.1-1.fc45.x86_64", "gdb-headless-17.1-1.fc45.x86_64",
		"anaconda-install-env-deps-45.9-1.fc45.noarch"
	only := func(names ...string) ptrace.Removal { return ptrace.Removal{With: names} }
	user := func(r ptrace.Removal) ptrace.Removal { r.UserInstalled = true; return r }
	for _, c := range []struct {
		name    string
		answers map[string]ptrace.Removal
		want    string
	}{
		{
			"Fedora 45 from a live image", map[string]ptrace.Removal{"gdb": only(installer), "gdb-headless": only(gdb)},
			"gdb does not count: only " + installer + " requires it; gdb-headless does not count: only " + gdb + " " +
				"requires it",
		},
		{
			"and the user installed gdb", map[string]ptrace.Removal{"gdb": user(only(installer)),
				"gdb-headless": only(gdb)},
			"gdb counts: only " + installer + " requires it, but the user installed it; gdb-headless counts",
		},
		{
			"and another package requires gdb", map[string]ptrace.Removal{"gdb": only(installer,
				"kdevelop-25.8-1.fc45.x86_64"), "gdb-headless": only(gdb)},
			"gdb counts; gdb-headless counts",
		},
		{
			"and another package requires gdb-headless", map[string]ptrace.Removal{"gdb": only(installer),
				"gdb-headless": only(gdb, "abrt-addon-ccpp-2.17-1.fc45.x86_64")},
			"gdb does not count: only " + installer + " requires it; gdb-headless counts",
		},
		{
			"and another package of a similar name",
			map[string]ptrace.Removal{"gdb": only("anaconda-install-env-deps-extra-1-1.noarch"),
				"gdb-headless": only("gdb-tools-1-1.noarch")},
			"gdb counts; gdb-headless counts",
		},
		{
			"and an epoch", map[string]ptrace.Removal{"gdb": only(installer),
				"gdb-headless": only("gdb-1:17.1-1.fc45.x86_64")},
			"gdb does not count: only " + installer + " requires it; gdb-headless does not count: only " +
				"gdb-1:17.1-1.fc45.x86_64 requires it",
		},
		{"and nobody requires them", map[string]ptrace.Removal{}, "gdb counts; gdb-headless counts"},
		{
			"and they require each other", map[string]ptrace.Removal{"gdb": only(headless), "gdb-headless": only(gdb)},
			"gdb counts; gdb-headless counts",
		},
		{
			"and dnf does not tell who installed it", map[string]ptrace.Removal{"gdb": {With: []string{installer},
				Unknown: true}, "gdb-headless": only(gdb)},
			"gdb counts: only " + installer + " requires it, but it is not known whether the user installed it: dnf " +
				"is busy; " +
				"gdb-headless counts",
		},
		{
			"and rpm has no answer", map[string]ptrace.Removal{"gdb": {Cause: "broken"},
				"gdb-headless": {Cause: "broken"}},
			"gdb counts: it is not known which packages require it: broken; " +
				"gdb-headless counts: it is not known which packages require it: broken",
		},
		{
			"and names as other managers print them",
			map[string]ptrace.Removal{"gdb": only("anaconda-install-env-deps"), "gdb-headless": only("gdb")},
			"gdb does not count: only anaconda-install-env-deps requires it; gdb-headless does not count: only gdb " +
				"requires it",
		},
	} {
		h := &Host{catalog: schema.Known(), manager: removals{answers: c.answers}}
		var o ptrace.Observed
		packages := []port.Package{{Name: "anaconda-install-env-deps", Version: "45.9-1.fc45"}, {Name: "gdb",
			Version: "17.1-1.fc45"}, {Name: "gdb-headless", Version: "17.1-1.fc45"}}
		names, _ := h.catalog.Names()
		h.classify(packages, schema.NamesOf(names), &o)
		if !o.Questionable() {
			t.Fatal("nothing to ask")
		}
		h.excuse(t.Context(), &o)
		got := make([]string, 0, len(o.Debuggers))
		for _, d := range o.Debuggers {
			text := d.Name + map[bool]string{true: " does not count", false: " counts"}[d.Excused]
			if d.Why != "" {
				text += ": " + d.Why
			}
			got = append(got, text)
		}
		if text := strings.Join(got, "; "); text != c.want || o.Questionable() {
			t.Errorf("%s\n got: %s\nwant: %s", c.name, text, c.want)
		}
	}
}

// TestManyPrograms: each of many software collections is looked at.
func TestManyPrograms(t *testing.T) {
	root := t.TempDir()
	for i := range 300 {
		program(t, root, fmt.Sprintf("/opt/rh/c%d/root/usr/bin/gdb", i))
		program(t, root, fmt.Sprintf("/usr/local/bin/p%d", i))
	}
	if got := strings.Count(debuggersOf(t, root, schema.Known()), "gdb /opt/rh/"); got != 300 {
		t.Errorf("%d debuggers", got)
	}
}
