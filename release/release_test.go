// SPDX-License-Identifier: GPL-3.0-or-later

package release_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// version is one that no release will have. It stands in for the one in the documents.
const version = "99.1.0"

// shell runs commands in a directory, with a home, an identity and a passphrase of its own.
type shell struct {
	dir string
	env []string
}

// run returns what the commands print on both outputs. The first one that fails ends them.
func (s shell) run(commands string) (string, error) {
	bash := exec.Command("bash", "-eu", "-c", commands)
	bash.Dir, bash.Env = s.dir, s.env
	// Without a terminal ssh-keygen cannot ask the developer for the passphrase.
	bash.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := bash.CombinedOutput()
	return string(out), err
}

func (s shell) must(t *testing.T, commands string) string {
	t.Helper()
	out, err := s.run(commands)
	if err != nil {
		t.Fatalf("%s\n%v:\n%s", commands, err, out)
	}
	return out
}

func (s shell) refuses(t *testing.T, commands, because string) {
	t.Helper()
	out, err := s.run(commands)
	if err == nil || !strings.Contains(out, because) {
		t.Errorf("%s\n%v, wanted a failure with %q:\n%s", commands, err, because, out)
	}
}

// newShell returns a shell whose home is new. What Go has built already is used.
func newShell(t *testing.T, galaxy string) shell {
	t.Helper()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".gitconfig"), []byte("[user]\nname = A Releaser\nemail = releaser@example.org\n"))
	askpass := filepath.Join(home, "askpass")
	write(t, askpass, []byte("#!/bin/sh\necho a passphrase\n"))
	if err := os.Chmod(askpass, 0o700); err != nil { // #nosec G302 -- a program
		t.Fatal(err)
	}
	venv, err := filepath.Abs(filepath.Join(top, ".venv/bin"))
	if err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "ANSIBLE_") || strings.HasPrefix(variable, "GIT_") ||
			strings.HasPrefix(variable, "SSH_") || strings.HasPrefix(variable, "MAKE")
	})
	cache, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(cache))
	return shell{env: append(env, "HOME="+home, "PATH="+venv+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8",
		"GOCACHE="+caches[0], "GOMODCACHE="+caches[1],
		"SSH_ASKPASS="+askpass, "SSH_ASKPASS_REQUIRE=force", "VERSION="+version,
		"ANSIBLE_GALAXY_SERVER="+galaxy, "ANSIBLE_GALAXY_TOKEN=a-token")}
}

// documented are the blocks of commands in a document, for the test's version.
func documented(t *testing.T, document string, want int) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, document))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$").FindAllStringSubmatch(string(text), -1)
	blocks := make([]string, len(found))
	for i, block := range found {
		blocks[i] = strings.ReplaceAll(block[1], "0.1.0", version)
	}
	if len(blocks) != want {
		t.Fatalf("%s has %d blocks of commands, not %d", document, len(blocks), want)
	}
	return blocks
}

// galaxy is a server that takes an artifact, as Ansible Galaxy does.
type galaxy struct{ artifact []byte }

func (g *galaxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "/api":
		_, _ = io.WriteString(w, `{"available_versions": {"v3": "v3/"}}`)
	case "/api/v3/artifacts/collections":
		file, _, err := r.FormFile("file")
		if err == nil {
			g.artifact, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, file))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"task": "/api/v3/imports/collections/1/"}`)
	case "/api/v3/imports/collections/1":
		_, _ = io.WriteString(w, `{"state": "completed", "finished_at": "2026-11-25T12:00:00Z", "messages": []}`)
	default:
		http.NotFound(w, r)
	}
}

// A release is made, published and verified by the documented commands, from a clone of what is
// committed and with a key that is thrown away. One changed byte is refused.
func TestRelease(t *testing.T) {
	if os.Getenv("RELEASE") == "" {
		t.Skip("a release takes minutes: scripts/test release makes one")
	}
	const artifact = "hardening-yama-" + version + ".tar.gz"
	makeKey, prepare, sign, publish := func() (string, string, string, string) {
		b := documented(t, "docs/releasing.md", 4)
		return b[0], b[1], b[2], b[3]
	}()
	verify, verifyInstalled, rebuild := func() (string, string, string) {
		b := documented(t, "docs/verifying.md", 3)
		return b[0], b[1], b[2]
	}()
	server := &galaxy{}
	listening := httptest.NewServer(server)
	defer listening.Close()
	s := newShell(t, listening.URL)
	s.dir = t.TempDir()
	here, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, `git init --quiet --bare --initial-branch main origin
		git -C origin fetch --quiet --no-tags "`+here+`" HEAD:refs/heads/main
		git config --global "url.$PWD/origin.insteadOf" https://example.org/hardening.yama
		git clone --quiet origin project
		ln -s "`+here+`/.venv" project/.venv`)
	download := shell{filepath.Join(s.dir, "download"), s.env}
	s.dir = filepath.Join(s.dir, "project")

	s.must(t, makeKey)
	const release = "scripts/release ~/.ssh/hardening-yama"
	s.refuses(t, release, "HEAD is not the tag")
	s.must(t, prepare)
	t.Run("refused", func(t *testing.T) {
		s.refuses(t, "make release", "usage: make release KEY=FILE")
		s.must(t, "echo changed >>README.md")
		s.refuses(t, release, "not everything is committed, and a release is made from a tag:  M README.md")
		s.must(t, "git checkout --quiet README.md")
		s.must(t, "ssh-keygen -q -t ed25519 -f ~/.ssh/another")
		s.refuses(t, "scripts/release ~/.ssh/another", "docs/allowed_signers does not have the key")
		s.refuses(t, "scripts/release ~/.ssh/none", "cannot read")
		s.must(t, `mkdir -p changelogs/fragments && echo 'bugfixes: [one]' >changelogs/fragments/one.yml
			git add changelogs && git commit --quiet -m "changelogs: add one" && git tag -f -m again "$VERSION"`)
		s.refuses(t, release, "changelogs/fragments is not empty")
		s.must(t, `git reset --quiet --hard HEAD~1`)
		s.refuses(t, release, "HEAD is not the tag")
		s.must(t, `git tag -f -m again "$VERSION"`)
		if left, _ := filepath.Glob(filepath.Join(s.dir, "dist/*")); left != nil {
			t.Errorf("a refused release made %q", left)
		}
	})
	s.must(t, sign)
	provenance(t, s, artifact)
	s.must(t, publish)
	made, err := os.ReadFile(filepath.Join(s.dir, "dist", artifact))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(server.artifact, made) {
		t.Error("what was published is not the artifact")
	}
	s.must(t, `[ "$(git ls-remote origin "$VERSION^{}" | cut -f 1)" = "$(git rev-parse HEAD)" ]`)

	s.must(t, `cp -r dist ../download && cp docs/allowed_signers ../download`)
	out := download.must(t, verify)
	if !strings.Contains(out, `Good "file" signature for hardening.yama`) || !strings.Contains(out, artifact+": OK") {
		t.Errorf("the commands of docs/verifying.md printed:\n%s", out)
	}
	download.must(t, verifyInstalled)
	download.must(t, rebuild)
	t.Run("tampered", func(t *testing.T) { tampered(t, download, verify, artifact) })
	t.Run("tampered after installation", func(t *testing.T) {
		installed := "~/.ansible/collections/ansible_collections/hardening/yama/"
		download.must(t, "echo >>"+installed+"plugins/action/ptrace_scope.py")
		download.refuses(t, verifyInstalled, "plugins/action/ptrace_scope.py")
	})
}

// tampered checks that the documented commands refuse changed files and then install nothing.
func tampered(t *testing.T, download shell, verify, artifact string) {
	// changeByte changes one byte in the middle of a file.
	changeByte := func(name string) string {
		return `python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    middle = f.seek(0, 2) // 2
    f.seek(middle)
    byte = f.read(1)
    f.seek(middle)
    f.write(bytes([byte[0] ^ 1]))' "` + name + "\"\n"
	}
	sums := "sha256sum hardening-yama-* >SHA256SUMS\n"
	for _, test := range []struct{ name, change, because string }{
		{"a byte of the artifact", changeByte(artifact), artifact + ": FAILED"},
		{"a byte of the bill of materials", changeByte("hardening-yama-" + version + ".cdx.json"), "cdx.json: FAILED"},
		{"a byte of the checksums", changeByte("SHA256SUMS"), "Signature verification failed"},
		{"a byte of the signature", changeByte("SHA256SUMS.sig"), ""},
		{"the artifact and its checksum", changeByte(artifact) + sums, "Signature verification failed"},
		{
			"signed by another key",
			changeByte(artifact) + sums + "rm SHA256SUMS.sig\n" +
				"ssh-keygen -q -Y sign -f ~/.ssh/another -n file SHA256SUMS\n",
			"Could not verify signature",
		},
		{
			"signed for another purpose",
			"rm SHA256SUMS.sig\nssh-keygen -q -Y sign -f ~/.ssh/hardening-yama -n git SHA256SUMS\n",
			"Could not verify signature",
		},
		{"no signature", "rm SHA256SUMS.sig\n", "Couldn't read signature file"},
		{"no checksums", ": >SHA256SUMS\n", "Signature verification failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shell{t.TempDir(), append(slices.Clone(download.env), "ANSIBLE_COLLECTIONS_PATH="+t.TempDir())}
			s.must(t, "cp "+download.dir+"/{hardening-yama-*,SHA256SUMS*,allowed_signers} .\n"+test.change)
			s.refuses(t, verify, test.because)
			s.must(t, `[ -z "$(find "$ANSIBLE_COLLECTIONS_PATH" -mindepth 1)" ]`)
		})
	}
}

// provenance checks that the bill of materials says where the artifact comes from, in both places.
func provenance(t *testing.T, s shell, artifact string) {
	t.Helper()
	dist := s.must(t, "ls dist")
	bill := strings.TrimSuffix(artifact, ".tar.gz") + ".cdx.json"
	if want := strings.Join([]string{"SHA256SUMS", "SHA256SUMS.sig", bill, artifact, ""}, "\n"); dist != want {
		t.Errorf("dist has\n%swanted\n%s", dist, want)
	}
	s.must(t, "tar -xzOf dist/"+artifact+" bom.cdx.json | cmp dist/"+bill+" -")
	text, err := os.ReadFile(filepath.Join(s.dir, "dist", bill))
	if err != nil {
		t.Fatal(err)
	}
	type component struct {
		Name, Version string
		Hashes        []struct{ Alg, Content string }
		Properties    []struct{ Name, Value string }
	}
	var bom struct {
		Metadata struct {
			Component struct {
				component
				ExternalReferences []struct{ Type, URL string }
				Pedigree           struct{ Commits []struct{ UID string } }
				Components         []component
			}
		}
		Components  []component
		Formulation []struct {
			Workflows []struct {
				UID        string
				Steps      []struct{ Commands []struct{ Executed string } }
				Properties []struct{ Name, Value string }
			}
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	released := bom.Metadata.Component
	goVersion := strings.TrimSpace(s.must(t, "go env GOVERSION")) + "-X:nogreenteagc"
	for name, told := range map[string][2]string{
		"version":    {released.Version, version},
		"commit":     {released.Pedigree.Commits[0].UID, strings.TrimSpace(s.must(t, "git rev-parse HEAD"))},
		"repository": {released.ExternalReferences[0].URL, "https://example.org/hardening.yama"},
		"go":         {bom.Components[0].Name + " " + bom.Components[0].Version, "go " + goVersion},
		"builder": {
			bom.Formulation[0].Workflows[0].Properties[0].Value,
			strings.TrimSpace(s.must(t, `. /etc/os-release && echo "$PRETTY_NAME, $(uname -m)"`)),
		},
	} {
		if told[0] != told[1] {
			t.Errorf("%s: %q, wanted %q", name, told[0], told[1])
		}
	}
	if len(released.Components) != 8 {
		t.Errorf("%d programs, wanted 8", len(released.Components))
	}
	steps := bom.Formulation[0].Workflows[0].Steps
	if len(steps) != len(released.Components) {
		t.Fatalf("%d commands for %d programs", len(steps), len(released.Components))
	}
	for i, build := range released.Components {
		program := s.must(t, "tar -xzOf dist/"+artifact+" "+build.Name+" | sha256sum")
		if sum, _, _ := strings.Cut(program, " "); build.Hashes[0].Content != sum || build.Hashes[0].Alg != "SHA-256" {
			t.Errorf("%s: %v, wanted %s", build.Name, build.Hashes, sum)
		}
		arch := build.Name[strings.LastIndex(build.Name, "_")+1:]
		tags := ""
		if strings.Contains(build.Name, "_plugins_") {
			tags = "-tags plugins "
		}
		command := regexp.MustCompile(`^GOTOOLCHAIN=local CGO_ENABLED=0 .* GOOS=linux GOARCH=` + arch +
			` go build -trimpath -buildvcs=false -ldflags '-s -w[^']*' -gcflags=all=-l ` + tags +
			`-o ` + build.Name + ` ./module$`)
		if executed := steps[i].Commands[0].Executed; !command.MatchString(executed) {
			t.Errorf("command %q, wanted %s", executed, command)
		}
		for _, want := range []struct{ Name, Value string }{
			{"go", goVersion}, {"GOARCH", arch}, {"CGO_ENABLED", "0"}, {"-gcflags", "all=-l"}, {"-trimpath", "true"},
		} {
			if !slices.Contains(build.Properties, want) {
				t.Errorf("%s: no %v among %v", build.Name, want, build.Properties)
			}
		}
	}
}
