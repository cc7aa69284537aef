// SPDX-License-Identifier: GPL-3.0-or-later

package schema

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPatternsOfTheCatalog: packages that exist in a distribution, and whether they are debuggers.
func TestPatternsOfTheCatalog(t *testing.T) {
	c := Known()
	packages, programs := c.Names()
	for name, want := range map[string]string{
		"Debian and Ubuntu": "lldb lldb-7 lldb-13 lldb-14 lldb-16 lldb-19 lldb-22 lldb-3.9 lldb-6.0 gdb gdb-minimal " +
			"gdb-multiarch gdbserver austin python3-drgn",
		"Fedora": "lldb lldb19 lldb20 lldb21 gdb gdb-headless gdb-minimal gdb-gdbserver delve",
		"RHEL and CentOS": "gcc-toolset-9-gdb gcc-toolset-14-gdb gcc-toolset-14-gdb-gdbserver gcc-toolset-12-strace " +
			"gcc-toolset-11-ltrace " +
			"gcc-toolset-10-elfutils gcc-toolset-10-systemtap-runtime devtoolset-2-gdb devtoolset-12-strace " +
			"devtoolset-11-gdb-gdbserver llvm-toolset-7-lldb",
		"openSUSE": "lldb21 lldb7 gdb gdbserver",
		"others":   "pwndbg pwndbg-lldb cuda-gdb-12-4",
	} {
		for tool := range strings.FieldsSeq(want) {
			if !c.Counts(NamesOf(packages), tool) {
				t.Errorf("%s: %s is a debugger", name, tool)
			}
		}
	}
	for tool := range strings.FieldsSeq("lldb-19-dev liblldb-19 liblldb-19-dev python3-lldb-19 lldb19-devel " +
		"lldb19-libs python3-lldb lldb-devel gdb-doc gdb-source " +
		"gdb-avr gdb-mingw-w64 gdbm-l10n gcc-toolset-14-gdb-doc gcc-toolset-14 gcc-toolset-14-gcc " +
		"gcc-toolset-14-dyninst devtoolset-12-elfutils-libs " +
		"devtoolset-12-systemtap-client systemtap-runtime-python3 austin-doc python-drgn-doc fonts-lldb lldb-199 " +
		"lldb-") {
		if c.Counts(NamesOf(packages), tool) {
			t.Errorf("%s is no debugger", tool)
		}
	}
	for program, want := range map[string]bool{
		"lldb-18": true, "lldb-server-19": true, "gdb-multiarch": true, "austin": true, "pwndbg-lldb": true,
		"lldb-18.py": false, "lldb-argdumper-19": false,
	} {
		if c.Counts(NamesOf(programs), program) != want {
			t.Errorf("%s is a program of a debugger: %t", program, !want)
		}
	}
	if NamesOf(packages).Open() || NamesOf(programs).Open() || NamesOf(c.TracerNames()).Open() {
		t.Error("the catalog has a pattern that needs the list of all packages")
	}
	for name := range strings.FieldsSeq("wine wine64 wine-stable wine-staging wine-devel gcc-toolset-14-valgrind rr") {
		if !NamesOf(c.TracerNames()).Has(name) {
			t.Errorf("%s is a tracer", name)
		}
	}
	if len(packages) > 350 {
		t.Errorf("%d names to ask for", len(packages))
	}
}

// TestPatternsOfASite: a pattern counts and is ignored like a name, and leaves out what only comes
// with a tool.
func TestPatternsOfASite(t *testing.T) {
	known := Known()
	for _, c := range []struct {
		debuggers, ignore string
		counts, not       string
	}{
		{"acme-*", "", "acme-gdb acme-debugger acme-dbg2", "acme-gdb-doc acme-libs acme-dev libacme-gdb acme"},
		{"libacme-*", "", "libacme-probe", "libother"},
		{"acme-gdb-[1-3]", "acme-gdb-2", "acme-gdb-1 acme-gdb-3", "acme-gdb-2 acme-gdb-4 acme-gdb-1-doc"},
		{"acme-?", "acme-[xy]", "acme-1", "acme-x acme-y acme-10"},
		{"", "gcc-toolset-*", "gdb devtoolset-12-gdb", "gcc-toolset-14-gdb gcc-toolset-12-strace"},
		{"", "lldb*", "gdb", "lldb lldb-19 lldb21 lldb-server"},
		{"", "gdb*", "strace", "gdb gdb-headless gdbserver"},
		{"", "dlv", "delve", "dlv"},
	} {
		catalog := known.With(strings.Fields(c.debuggers), strings.Fields(c.ignore))
		packages, programs := catalog.Names()
		names := NamesOf(slices.Concat(packages, programs))
		for name := range strings.FieldsSeq(c.counts) {
			if !catalog.Counts(names, name) {
				t.Errorf("%+v: %s counts", c, name)
			}
		}
		for name := range strings.FieldsSeq(c.not) {
			if catalog.Counts(names, name) {
				t.Errorf("%+v: %s does not count", c, name)
			}
		}
	}
}

// TestIsPackagePattern: no pattern can be an option, a path, or a match of everything.
func TestIsPackagePattern(t *testing.T) {
	for pattern := range strings.FieldsSeq("gdb lldb-[0-9] *-gdb acme-? [ab]x [^a]x gcc-toolset-[0-9]*-gdb") {
		if !IsPackagePattern(pattern) {
			t.Errorf("%q is a pattern", pattern)
		}
	}
	refused := strings.Fields(`* ??* [a-z]* *-* -q* --root=* /usr/bin/* gdb[ gdb[] gdb[^] a\* gdb,* $(x)*`)
	for _, pattern := range append(refused, "", "a b*", "a*\n", strings.Repeat("a", 255)+"*") {
		if IsPackagePattern(pattern) {
			t.Errorf("%q is no pattern", pattern)
		}
	}
}

// TestExpand: a pattern of ranges is the names that it stands for, and a larger one stays as it is.
func TestExpand(t *testing.T) {
	for pattern, want := range map[string]string{
		"gdb": "gdb", "a[1-3]": "a1 a2 a3", "[ac][1-2]": "a1 a2 c1 c2", "a*": "a*", "a[0-9]*": "a[0-9]*",
		"a[0-9][0-9][0-9]": "a[0-9][0-9][0-9]", "a[?*x]": "ax",
	} {
		if got := strings.Join(expand(nil, pattern), " "); got != want {
			t.Errorf("%s: %s", pattern, got)
		}
	}
	if got := len(expand(nil, "a[0-9][0-9]")); got != 100 {
		t.Errorf("%d names", got)
	}
	began := time.Now()
	expand(nil, strings.Repeat("[a-z]", 50)+"*")
	expand(nil, strings.Repeat("[a-z]", 50))
	name := NamesOf([]string{strings.Repeat("*a", 127) + "b"})
	for range 100 {
		name.Has(strings.Repeat("a", 255))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("hostile patterns took %s", took)
	}
}

// FuzzMatch: what a pattern matches is what path.Match says, and what it expands to are names that
// it matches.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"lldb-[0-9]", "lldb-9"}, {"*a*b", "xaxb"}, {"a?[^b-d]", "axe"}, {"[a-]x", "-x"},
		{"**", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !IsPackagePattern(pattern) || !IsPackageName(name) {
			return
		}
		if want, err := path.Match(pattern, name); err == nil && match(pattern, name) != want {
			t.Errorf("%q matches %q: %t", pattern, name, !want)
		}
		for _, one := range expand(nil, pattern) {
			if one != pattern && (!IsPackageName(one) || !match(pattern, one)) {
				t.Errorf("%q stands for %q", pattern, one)
			}
		}
	})
}
