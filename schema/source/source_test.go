// SPDX-License-Identifier: GPL-3.0-or-later

package source

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"hardening.yama/schema"
)

// TestCatalog: a catalogue that says something else than it should is refused, and the message says what.
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

// TestEmbedded: what the program embeds is what is written, and it reads from it what is written.
func TestEmbedded(t *testing.T) {
	made, err := Embedded("../..")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../embedded.json")
	if err != nil || string(kept) != string(made) {
		t.Fatalf("schema/embedded.json is not as it would be made now (%v): make generate", err)
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
		if got, err := m.Options(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: options %+v, %v; want %+v", m.Name, got, err, want)
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
	if got, err := schema.LoadCatalog(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("catalogue %+v, %v; want %+v", got, err, want)
	}
}
