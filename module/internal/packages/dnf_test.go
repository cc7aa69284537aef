// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// TestReadDNF reads what the real programs said.
func TestReadDNF(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/dnf.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		names []string
		fails string
	}{
		"dnf5 enabler":                         {names: []string{"yama-ptrace-enable"}},
		"dnf5 capability that nobody provides": {fails: port.ErrNotOffered.Error()},
		"dnf5 dependencies":                    {names: []string{"rpm-build", "debugedit", "elfutils"}},
		"dnf5 repository out of reach":         {fails: "Usable URL not found"},
		"dnf5 upgrade of another package":      {names: []string{"elfutils-libs", "elfutils-libs", "elfutils"}},
		"dnf5 installed already":               {fails: "Nothing to do."},
		"dnf enabler that nobody offers":       {fails: port.ErrNotOffered.Error()},
		"dnf dependencies":                     {names: []string{"rpm-build", "debugedit", "elfutils"}},
		"dnf repository out of reach":          {fails: "Failed to download metadata for repo 'lab'"},
		"dnf upgrade of another package":       {names: []string{"elfutils", "elfutils-libs"}},
		"dnf excluded":                         {fails: "the configuration excludes it: All matches were filtered out by exclude filtering for argument: yama-ptrace-enable"},
		"dnf 4.0 repository out of reach":      {fails: "Failed to synchronize cache for repo 'lab'"},
		"dnf5 excluded":                        {fails: "the configuration excludes it: Argument 'yama-ptrace-enable' matches only excluded packages."},
		"dnf on a host that is not registered": {fails: "no repository is enabled: This system is not registered with an entitlement server. You can use subscription-manager to register."},
		"dnf without a repository":             {fails: "no repository is enabled"},
		"dnf capability":                       {names: []string{"elfutils-default-yama-scope"}},
	}
	if len(archive.Files) != len(want) {
		t.Errorf("%d answers in the archive, %d expected", len(archive.Files), len(want))
	}
	for _, f := range archive.Files {
		t.Run(f.Name, func(t *testing.T) {
			w, known := want[f.Name]
			if !known {
				t.Fatal("nothing is expected of this answer")
			}
			names, err := readDNF(process.Result{Stdout: string(f.Data), Code: 1})
			if !slices.Equal(names, w.names) {
				t.Errorf("names %q, want %q", names, w.names)
			}
			if (err != nil) != (w.fails != "") || err != nil && !strings.Contains(err.Error(), w.fails) {
				t.Errorf("error %v, want %q", err, w.fails)
			}
			if errors.Is(err, port.ErrNotOffered) != (w.fails == port.ErrNotOffered.Error()) {
				t.Errorf("error %v: not offered and unknown are different answers", err)
			}
		})
	}
}

// FuzzReadDNF: whatever a program prints, there is either a name or an error.
func FuzzReadDNF(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/dnf.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(string(file.Data))
	}
	f.Add("Package Arch\nInstalling:\n" + strings.Repeat(" a b\n", 1<<17) + "\nTransaction Summary")
	f.Fuzz(func(t *testing.T, text string) {
		names, err := readDNF(process.Result{Stdout: text})
		if (err == nil) != (len(names) > 0) || slices.Contains(names, "") {
			t.Errorf("names %q, error %v", names, err)
		}
	})
}
