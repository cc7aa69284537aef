// SPDX-License-Identifier: GPL-3.0-or-later

package source

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hardening.yama/schema"
)

// TestCatalog: a catalog that says something else than it should is refused, and the message says
// what.
func TestCatalog(t *testing.T) {
	for text, want := range map[string]string{
		"debuggers: [{packages: [gdb]}]":        "a debugger has no name",
		"debuggers: [{name: gdb, pakages: []}]": "field pakages not found",
		"debuggers: gdb":                        "cannot unmarshal",
		"distributions: [{below: many}]":        "cannot unmarshal",
		"":                                      "EOF",
	} {
		if _, err := Catalog(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// TestTables: what the program is built with is what is written.
func TestTables(t *testing.T) {
	made, err := Tables("../..")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../tables.go")
	if err != nil || string(kept) != string(made) {
		t.Fatalf("schema/tables.go is not as it would be made now (%v): make generate", err)
	}
	for _, m := range []schema.Module{schema.Scope, schema.Info} {
		contract, err := Contract("../..", m)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Options(contract)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i].Description = nil
			for j := range want[i].Suboptions {
				want[i].Suboptions[j].Description = nil
			}
		}
		if !reflect.DeepEqual(m.Options, want) {
			t.Errorf("%s: options %+v, want %+v", m.Name, m.Options, want)
		}
	}
	f, err := os.Open("../catalog.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := Catalog(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := schema.Known(); !reflect.DeepEqual(got, want) {
		t.Errorf("catalog %+v, want %+v", got, want)
	}
}

// TestActionGroup checks that the documentation of both modules lists the options that may stand in
// module_defaults of their group: those of both.
func TestActionGroup(t *testing.T) {
	list := regexp.MustCompile(`options of\s+both modules, which are ([^.]*)\.`)
	want := map[string]bool{}
	for _, o := range schema.Info.Options {
		if slices.ContainsFunc(schema.Scope.Options, func(other schema.Option) bool { return other.Name == o.Name }) {
			want[o.Name] = true
		}
	}
	for _, m := range []schema.Module{schema.Scope, schema.Info} {
		text, err := Contract("../..", m)
		if err != nil {
			t.Fatal(err)
		}
		found := list.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("%s.yml lists no options of both modules", m.Name)
		}
		got := map[string]bool{}
		for _, option := range regexp.MustCompile(`O\((\w+)\)`).FindAllStringSubmatch(found[1], -1) {
			got[option[1]] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s.yml lists %v, and both modules have %v", m.Name, got, want)
		}
	}
}
