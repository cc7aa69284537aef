// SPDX-License-Identifier: GPL-3.0-or-later

package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadOnly: what a plugin writes to answer is gone afterwards, as in check mode.
func TestReadOnly(t *testing.T) {
	if copied := throwaway(); copied == nil || os.Geteuid() != 0 {
		t.Skip("a copy of the host's trees that is thrown away needs root and overlayfs")
	}
	file := filepath.Join(t.TempDir(), "writes")
	if out, err := exec.Command("go", "build", "-o", file,
		"../client/testdata/misbehave").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := Check(t.Context(), Plugin{File: file}); err != nil {
		t.Fatal(err)
	}
	for _, written := range []string{"/etc/sysctl.d/written.conf", "/run/written.conf", "/var/cache/written.conf"} {
		if os.Remove(written) == nil {
			t.Errorf("it wrote %s", written)
		}
	}
}

// TestCheck: each of these plugins breaks the rule that is named, and says how.
func TestCheck(t *testing.T) {
	program := filepath.Join(t.TempDir(), "misbehave")
	if out, err := exec.Command("go", "build", "-o", program,
		"../client/testdata/misbehave").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for does, want := range map[string][2]string{
		"greets":                 {"starts, shakes hands", "Unrecognized remote plugin message"},
		"lies-about-its-version": {"starts, shakes hands", "and does not"},
		"not-asked-for":          {"nobody has is not installed", "what cannot be"},
		"panics":                 {"nobody has is not installed", "panic: the index is out of range"},
		"offers-an-option":       {"not offered, and that is no failure", "what cannot be"},
		"fails":                  {"several questions at once", "the database is"},
		"never-ends":             {"starts, shakes hands", "it did not within"},
		"not-offered":            {"a file of nobody's has no owner", "what cannot be"},
	} {
		t.Run(does, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), does)
			if err := os.Link(program, file); err != nil {
				t.Fatal(err)
			}
			results, err := Check(t.Context(), Plugin{File: file})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range results {
				if strings.Contains(v.Rule, want[0]) && strings.Contains(v.Problem, want[1]) {
					return
				}
			}
			t.Errorf("no rule with %q says %q: %+v", want[0], want[1], results)
		})
	}
}
