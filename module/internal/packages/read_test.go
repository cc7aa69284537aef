// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hardening.yama/module/internal/process"
)

const enablerFile = "/usr/lib/sysctl.d/10-default-yama-scope.conf"

// answers of rpm, and how each is read.
var answers = map[string]func(process.Result) (any, error){
	"installed": func(r process.Result) (any, error) { return readInstalled(r, []string{"elfutils", "gdb", "strace"}) },
	"owners": func(r process.Result) (any, error) {
		return readOwners(r, []string{"/etc/sysctl.d/60-site-1.conf", enablerFile})
	},
	"requirers": func(r process.Result) (any, error) {
		var found requirers
		next, err := readRequirers(r, map[string]string{"elfutils": "elfutils", "strace": "strace"}, &found)
		return []any{found.all(), next}, err
	},
	"removal": func(r process.Result) (any, error) {
		r.Code = strings.Count(r.Stdout, "error:")
		return readRemoval(r)
	},
	"changed": func(r process.Result) (any, error) { return readUnchanged(r, enablerFile) },
}

// TestReadRPM reads what the real program said: an answer, or that there is none.
func TestReadRPM(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/rpm.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"installed":                        "[{elfutils 1-1} {strace 1-1}]",
		"owners":                           "map[" + enablerFile + ":yama-ptrace-enable]",
		"owners, a file that is not there": "cannot query the rpm database: file /etc/sysctl.d/none.conf: No such file or directory",
		"requirers":                        "[map[elfutils:[debugedit rpm-build]] map[debugedit:debugedit rpm-build:rpm-build]]",
		"removal":                          "[debugedit-1-1.noarch rpm-build-1-1.noarch]",
		"removal of what nobody needs":     "[]",
		"changed":                          "false",
		"installed, no database":           "cannot query the rpm database: cannot open Packages database in /var/lib/rpm",
		"requirers, no database":           "cannot query the rpm database: cannot open Packages database in /var/lib/rpm",
		"owners, no database":              "cannot query the rpm database: cannot open Packages database in /var/lib/rpm",
		"changed, no database":             "cannot query the rpm database: cannot open Packages database in /var/lib/rpm",
		"removal, no database": "cannot find out which packages need it: rpm: " +
			"error: cannot open Packages database in /var/lib/rpm | error: package elfutils is not installed",
	}
	if len(archive.Files) != len(want) {
		t.Errorf("%d answers in the archive, %d expected", len(archive.Files), len(want))
	}
	for _, f := range archive.Files {
		kind, _, _ := strings.Cut(strings.Replace(f.Name, " of", ",", 1), ",")
		got, err := answers[kind](process.Result{Stdout: string(f.Data)})
		text := fmt.Sprint(got)
		if err != nil {
			text = err.Error()
		}
		if text != want[f.Name] {
			t.Errorf("%s\n got: %s\nwant: %s", f.Name, text, want[f.Name])
		}
	}
}

// FuzzReadRPM: whatever rpm prints, a complaint is never an answer.
func FuzzReadRPM(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/rpm.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(string(file.Data))
	}
	f.Add(strings.Repeat("N\ta\nR\telfutils\nP\tb\n", 1<<16))
	f.Fuzz(func(t *testing.T, text string) {
		for kind, read := range answers {
			if got, err := read(process.Result{Stdout: "error: cannot open Packages database\n" + text}); err == nil && kind != "removal" {
				t.Errorf("%s: %q is an answer: %v", kind, text, got)
			}
			_, _ = read(process.Result{Stdout: text}) // it does not panic
		}
	})
}
