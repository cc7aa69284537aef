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
		"owners":                           "map[" + enablerFile + ":[yama-ptrace-enable]]",
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
			if got, err := read(process.Result{Stdout: "error: cannot open Packages database\n" + text}); err == nil &&
				kind != "removal" {
				t.Errorf("%s: %q is an answer: %v", kind, text, got)
			}
			_, _ = read(process.Result{Stdout: text}) // it does not panic
		}
	})
}

// TestNoiseOfRPM: messages of rpm about its configuration, and of ld.so, are no answer. Messages of
// rpm about its database are errors.
func TestNoiseOfRPM(t *testing.T) {
	const noise = "ERROR: ld.so: object '/none.so' from /etc/ld.so.preload cannot be preloaded " +
		"(cannot open shared object file): ignored.\n" +
		"error: missing ':' (found 0x00) at /etc/rpmrc:1\n" +
		"error: /etc/rpm/macros: line 2: Macro %1x has illegal name (%define)\n" +
		"error: Macro %foo has empty body\nsh: /usr/bin/python: No such file or directory\n" +
		"warning: Found bdb Packages database while attempting sqlite backend: using bdb_ro backend.\n"
	const file = "/etc/sysctl.d/10-ptrace.conf"
	for name, ask := range map[string]func(process.Result) (any, error){
		"[{gdb 1-1}]": func(r process.Result) (any, error) {
			r.Stdout = "gdb\t1-1\npackage none is not installed\n"
			return readInstalled(r, []string{"gdb", "none"})
		},
		"map[" + file + ":[yama]]": func(r process.Result) (any, error) {
			r.Stdout = "yama\nfile /etc/none is not owned by any package\n"
			return readOwners(r, []string{file, "/etc/none"})
		},
		"map[" + file + ":[yama other]]": func(r process.Result) (any, error) {
			r.Stdout = "yama\nother\n"
			return readOwners(r, []string{file})
		},
		"false": func(r process.Result) (any, error) {
			r.Stdout = "..5......  c " + file + "\n"
			return readUnchanged(r, file)
		},
		"true": func(r process.Result) (any, error) {
			r.Stdout = "0\tc\t5smUGTVP\t1\t/etc/a\n0\tc\t5SMUGTVP\t1\t" + file + "\n"
			return readFile(r, file, 7)
		},
	} {
		got, err := ask(process.Result{Stderr: noise, Code: 1})
		if err != nil || fmt.Sprint(got) != name {
			t.Errorf("got %v, %v, want %s", got, err, name)
		}
		for _, failure := range []string{
			"error: rpmdbNextIterator: skipping h#     123 Header V3 RSA/SHA256 Signature, key ID 1: BAD",
			"error: cannot open Packages database in /var/lib/rpm", "error: sqlite failure: file is not a database",
		} {
			if got, err := ask(process.Result{Stderr: noise + failure + "\n", Code: 1}); err == nil {
				t.Errorf("%s: %s is an answer: %v", name, failure, got)
			}
		}
	}
	for line, want := range map[string]bool{
		"0\tcn\t5SMUGTVP\t1\t" + file:  true,  // %config(noreplace)
		"0\tg\t5SMUGTVP\t1\t" + file:   false, // a ghost
		"1\tc\t5SMUGTVP\t7\t" + file:   false, // replaced by another package
		"2\tc\t5SMUGTVP\t7\t" + file:   false, // not installed
		"0\tc\tUGP\t7\t" + file:        true,  // not verified, and as old as the package's
		"0\tc\tUGP\t1\t" + file:        false, // not verified, and changed later
		"0\tc\t5SMUGTVP\t1\t/a" + file: true,  // the package has another name for it
	} {
		if got, err := readFile(process.Result{Stdout: line + "\n"}, file, 7); err != nil || got != want {
			t.Errorf("%q: %t, %v, want %t", line, got, err, want)
		}
	}
}
