// SPDX-License-Identifier: GPL-3.0-or-later

package schema

import (
	"slices"
	"testing"
)

// TestDistribution: what is listed is found by os-release(5), and nothing is guessed from a
// relative.
func TestDistribution(t *testing.T) {
	c := Known()
	for _, host := range []struct{ id, version, enabler string }{
		{"fedora", "45", "yama-ptrace-enable"},
		{"fedora", "46", "yama-ptrace-enable"},
		{"fedora", "44", "elfutils-default-yama-scope"},
		{"fedora", "", "yama-ptrace-enable"}, // rawhide of a day without a version
		{"debian", "12", ""},
		{"rhel", "9.6", "elfutils-default-yama-scope"},
		{"rocky", "10.1", "elfutils-default-yama-scope"},
		{"centos", "11", "yama-ptrace-enable"},
		{"amzn", "2", "elfutils-default-yama-scope"},
		{"amzn", "2023", "elfutils-default-yama-scope"},
		{"amzn", "2027", "elfutils-yama-ptrace-enable"},
		{"azurelinux", "3.0", ""},
		{"opensuse-tumbleweed", "20261120", "aaa_base-yama-enable-ptrace"},
		{"sles", "16.0", "aaa_base-yama-enable-ptrace"},
		{"ubuntu", "24.04", ""},
		{"arch", "", ""},
		{"nobara", "45", c.Unknown.Enablers[0]},
		{"", "", c.Unknown.Enablers[0]},
	} {
		got := ""
		if d := c.Distribution(host.id, host.version); len(d.Enablers) > 0 {
			got = d.Enablers[0]
		}
		if got != host.enabler {
			t.Errorf("%s %s: enabler %q, want %q", host.id, host.version, got, host.enabler)
		}
	}
}

// TestWith: a site's own debuggers are added, and ignored ones go by their own name or by a
// package's.
func TestWith(t *testing.T) {
	c := Catalog{Debuggers: []Debugger{
		{Name: "gdb", Packages: []string{"gdb", "gdb-headless"}, Programs: []string{"gdb"}},
		{Name: "strace", Packages: []string{"strace"}, Programs: []string{"strace"}},
	}}
	packages, programs := c.With([]string{"tracelord"}, []string{"strace", "gdb-headless"}).Names()
	if !slices.Equal(packages, []string{"gdb", "tracelord"}) || !slices.Equal(programs, []string{"gdb", "tracelord"}) {
		t.Errorf("packages %q, programs %q", packages, programs)
	}
	if len(c.Debuggers) != 2 {
		t.Error("the catalog itself was changed")
	}
}
