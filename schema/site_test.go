// SPDX-License-Identifier: GPL-3.0-or-later

package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestReadSite: what a site's file says is what is known then, and each mistake is told with its
// place.
func TestReadSite(t *testing.T) {
	const text = `
distributions:
  - {name: Site Linux, ids: [site], below: 12, kernel_default: 1, managers: [dnf5], enablers: [site-ptrace], drop_ins: [10-site.conf]}
debuggers:
  - name: gdb
    packages: [site-gdb]
  - name: tracer
    packages: [tracer, 'tracer-[1-2]', 'tracer-lts-*']
incidental_requirers: [site-installer]
tracers: [sandbox, 'sandbox-*']
`
	site, err := ReadSite(parsed(t, text), []string{"dnf5", "apt"})
	if err != nil {
		t.Fatal(err)
	}
	known := Known()
	c := known.Add(site)
	if d := c.Distribution("site", "11"); d.Name != "Site Linux" || d.Enablers[0] != "site-ptrace" ||
		*d.KernelDefault != 1 {
		t.Errorf("the distribution is %+v", d)
	}
	packages, programs := c.Names()
	for _, name := range []string{"site-gdb", "tracer", "tracer-1", "tracer-2", "tracer-lts-*", "strace"} {
		if !contains(packages, name) {
			t.Errorf("%s is no package of a debugger", name)
		}
	}
	if contains(packages, "gdb-headless") || !contains(programs, "gdb") || !contains(c.Tracers, "sandbox") {
		t.Errorf("packages %v, programs %v, tracers %v", packages, programs, c.Tracers)
	}
	if got := c.IncidentalRequirers; !contains(got, "site-installer") || !contains(got, "anaconda-install-env-deps") {
		t.Errorf("incidental requirers %v", got)
	}
	if again := Known(); !reflect.DeepEqual(known, again) {
		t.Error("the catalog itself was changed")
	}
	for text, want := range map[string]string{
		"":                                     "the file: this is empty, and should be a mapping of distributions, debuggers, incidental_requirers, tracers",
		"[]":                                   "the file: this is a list, and should be a mapping",
		"debugers: []":                         `the file: unknown key "debugers": there are distributions, debuggers, incidental_requirers, tracers`,
		"debuggers: gdb":                       `debuggers: this is "gdb", and should be a list`,
		"debuggers: [gdb]":                     `debuggers[0]: this is "gdb", and should be a mapping of name, packages, programs`,
		"debuggers: [{name: a}, {pakages: 1}]": `debuggers[1]: unknown key "pakages"`,
		"debuggers: [{packages: [a]}]":         "debuggers[0]: name is missing",
		"debuggers: [{name: a b}]":             `debuggers[0]: name "a b" is no name of a package or program: give packages and programs`,
		"debuggers: [{name: a, programs: [/usr/bin/a]}]":                                "debuggers[0].programs[0]: /usr/bin/a is not a name or pattern of programs, without a directory",
		"debuggers: [{name: a, packages: [--root]}]":                                    "debuggers[0].packages[0]: --root is not a name or pattern of packages",
		"distributions: [{name: A}]":                                                    "distributions[0]: ids is missing",
		"distributions: [{name: A, ids: [a], managers: [yum]}]":                         "distributions[0].managers[0]: yum is not one of dnf5, apt",
		"distributions: [{name: A, ids: [a], kernel_default: 4}]":                       "distributions[0].kernel_default: 4 is no number from 0 to 3",
		"distributions: [{name: A, ids: [a], kernel_default: true}]":                    "distributions[0].kernel_default: true is no number from 0 to 3",
		"distributions: [{name: A, ids: [a], enablers: [e]}]":                           "distributions[0]: drop_ins is missing",
		"distributions: [{name: A, ids: [a], enablers: [e], drop_ins: [../../x.conf]}]": "drop_ins[0]: ../../x.conf is not a file name that ends in .conf",
		"distributions: [{name: A, ids: [a]}]\ndebuggers: [{}]\ntracers: [1]":           "tracers[0]: 1 is not a name or pattern of packages",
	} {
		if _, err := ReadSite(parsed(t, text), []string{"dnf5", "apt"}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
}

// TestReadPatterns: a list of requirers has names, and no pattern matches everything.
func TestReadPatterns(t *testing.T) {
	for text, want := range map[string]string{
		"debuggers: [{name: a, packages: ['*']}]": "debuggers[0].packages[0]: * is not a name or pattern of packages",
		"tracers: ['-q*']":                        "tracers[0]: -q* is not a name or pattern of packages",
		"incidental_requirers: ['a*']":            "incidental_requirers[0]: a* is not a name of a package",
	} {
		if _, err := ReadSite(parsed(t, text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
}

// parsed returns what the action plugin sends for a text.
func parsed(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	object, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(object)))
	decoder.UseNumber()
	var sent any
	if err := decoder.Decode(&sent); err != nil {
		t.Fatal(err)
	}
	return sent
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// FuzzReadSite: whatever the file says, there is a catalog or an error.
func FuzzReadSite(f *testing.F) {
	f.Add(`{"distributions":[{"name":"A","ids":["a"],"below":1e3}],"debuggers":[{"name":null}],"tracers":{}}`)
	f.Fuzz(func(_ *testing.T, text string) {
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			_, _ = ReadSite(value, nil)
		}
	})
}
