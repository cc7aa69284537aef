// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// notOffered is the answer that no repository has a package.
var notOffered = port.ErrNotOffered.Error()

const (
	suse = "aaa_base-yama-enable-ptrace"
	site = "yama-ptrace-enable"
)

// readings are how the answers of managers are read, by the first words of their names.
var readings = []struct {
	begins string
	read   func(process.Result) (any, error)
}{
	{"zypper history", func(r process.Result) (any, error) {
		var all [3]string
		for i, name := range []string{suse, "gdb", "ltrace"} {
			asked, noted := readHistory(r.Stdout, name)
			all[i] = fmt.Sprint(asked, noted)
		}
		return all, nil
	}},
	{"zypper list", func(r process.Result) (any, error) {
		return []bool{readAutoInstalled(r.Stdout, suse), readAutoInstalled(r.Stdout, "ltrace"),
			readAutoInstalled(r.Stdout, "trace")}, nil
	}},
	{"zypper", func(r process.Result) (any, error) { return readZypper(r) }},
	{"apt states", func(r process.Result) (any, error) {
		return []bool{readExtendedStates(r.Stdout, site), readExtendedStates(r.Stdout, "none")}, nil
	}},
	{"apt", func(r process.Result) (any, error) { return readAPT(r) }},
	{"pacman desc", func(r process.Result) (any, error) { return readDesc(r.Stdout)["REASON"], nil }},
	{"pacman owns", func(r process.Result) (any, error) {
		return readOwns(r, func(f string) string { return f }, []string{enablerFile, "/etc/none", "/etc/passwd"})
	}},
	{"pacman check", func(r process.Result) (any, error) { return readCheck(r, site, enablerFile) }},
	{"pacman removal", func(r process.Result) (any, error) { return readPacmanRemoval(r, site) }},
	{"pacman", func(r process.Result) (any, error) { return readPacman(r) }},
	{"dnf5 notes", func(r process.Result) (any, error) {
		return []string{readPackagesTOML(r.Stdout, "gdb"), readPackagesTOML(r.Stdout, site),
			readPackagesTOML(r.Stdout, "none")}, nil
	}},
	{"dnf5 reason of what rpm installed", func(r process.Result) (any, error) { return readReason(r, "bash") }},
	{"dnf5 reason", func(r process.Result) (any, error) { return readReason(r, site) }},
	{"apk removal", func(r process.Result) (any, error) { return readAPKRemoval(r, site) }},
	{"apk", func(r process.Result) (any, error) { return readAPK(r) }},
}

func read(name string, r process.Result) (any, error) {
	for _, reading := range readings {
		if strings.HasPrefix(name, reading.begins) {
			return reading.read(r)
		}
	}
	panic("nobody reads " + name)
}

// resultOf takes an answer apart: lines of stderr are marked, and the last line is the exit code.
func resultOf(text string) (r process.Result) {
	for line := range strings.Lines(text) {
		if code, ok := strings.CutPrefix(line, "exit: "); ok {
			_, _ = fmt.Sscan(code, &r.Code)
		} else if complaint, ok := strings.CutPrefix(line, "stderr: "); ok {
			r.Stderr += complaint
		} else {
			r.Stdout += line
		}
	}
	return r
}

// TestReadManagers reads what the real programs said: an answer, not offered, or that there is no
// answer.
func TestReadManagers(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/managers.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"zypper offered":                         "[" + suse + "]",
		"zypper with others":                     "[" + suse + " requirer]",
		"zypper not offered":                     notOffered,
		"zypper installed already":               "Nothing to do.",
		"zypper history":                         "[false true true true false false]",
		"zypper history after an upgrade":        "[false true true true false false]",
		"zypper history after a removal":         "[true true false false false false]",
		"zypper list of dependencies":            "[false true false]",
		"zypper repository out of reach":         "Repository 'lab' is invalid.",
		"apt offered":                            "[" + site + "]",
		"apt capability":                         "[" + site + "]",
		"apt with others":                        "[" + site + " requirer]",
		"apt not offered":                        notOffered,
		"apt installed already":                  "is already the newest version",
		"apt states":                             "[true false]",
		"apt removal":                            "[" + site + "]",
		"apt removal with others":                "[requirer " + site + "]",
		"pacman offered":                         "[" + site + "]",
		"pacman capability":                      "[" + site + "]",
		"pacman with others":                     "[" + site + " requirer]",
		"pacman not offered":                     notOffered,
		"pacman desc":                            "[1]",
		"pacman owns":                            "map[" + enablerFile + ":[" + site + "]]",
		"pacman check":                           "true",
		"pacman check changed":                   "false",
		"pacman removal":                         "[]",
		"pacman removal with others":             "[requirer]",
		"pacman no lists":                        "package 'yama-ptrace-enable' was not found",
		"pacman unknown":                         notOffered,
		"dnf5 notes":                             "[User Weak Dependency ]",
		"dnf5 reason":                            "false",
		"dnf5 reason of what rpm installed":      "false",
		"apk with others":                        "[" + site + " requirer]",
		"apk not offered":                        notOffered,
		"apk repository out of reach":            "WARNING: opening /srv/repo/Packages.adb",
		"apk offered, a version that is old":     "[" + site + "]",
		"apk not offered, a version that is old": notOffered,
		"apk offered, and another repository out of reach": "[" + site + "]",
		"apk removal":             "[]",
		"apk removal with others": "[requirer]",
	}
	if len(archive.Files) != len(want) {
		t.Errorf("%d answers in the archive, %d expected", len(archive.Files), len(want))
	}
	for _, f := range archive.Files {
		got, err := read(f.Name, resultOf(string(f.Data)))
		text := fmt.Sprint(got)
		if err != nil {
			text = err.Error()
		}
		if w, known := want[f.Name]; !known || !strings.Contains(text, w) || err == nil && text != w {
			t.Errorf("%s: got %s, want %s", f.Name, text, w)
		}
		if (want[f.Name] == notOffered) != errors.Is(err, port.ErrNotOffered) {
			t.Errorf("%s: %v: not offered and unknown are different answers", f.Name, err)
		}
	}
}

// FuzzReadManagers: whatever a program prints, there are names or an error, and no name is empty.
func FuzzReadManagers(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/managers.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		r := resultOf(string(file.Data))
		f.Add(r.Stdout, r.Stderr, r.Code)
	}
	f.Add(strings.Repeat("Inst a (1)\n<solvable name=\"a\">\n", 1<<15)+"<install-summary", "", 0)
	f.Fuzz(func(t *testing.T, stdout, stderr string, code int) {
		r := process.Result{Stdout: stdout, Stderr: stderr, Code: code}
		for name, read := range map[string]func(process.Result) ([]string, error){"zypper": readZypper, "apt": readAPT,
			"pacman": readPacman, "apk": readAPK} {
			names, err := read(r)
			if err == nil && (len(names) == 0 || slices.Contains(names, "")) {
				t.Errorf("%s: names %q", name, names)
			}
		}
		for _, reading := range readings {
			_, _ = reading.read(r) // it does not panic
		}
		_, _ = readAPKInstalled(stdout, nil, nil)
	})
}
