// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files are the files of a database, by name.
type files map[string]string

// at writes the files into a new directory and returns it.
func (f files) at(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range f {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestChoose(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	dated := files{"index/db.json": `{"modified": "2026-11-24T10:00:00Z"}`}.at(t)
	inReadme := files{
		"index/db.json": `{"modified": "0001-01-01T00:00:00Z"}`,
		"README.md":     "a copy as of 2026-08-21: …",
	}.at(t)
	undated := files{"index/db.json": `{"modified": "0001-01-01T00:00:00Z"}`}.at(t)
	broken := files{"index/db.json": `<html>`}.at(t)
	reached := httptest.NewServer(http.FileServer(http.Dir(dated)))
	defer reached.Close()
	refuses := httptest.NewServer(http.NotFoundHandler())
	defer refuses.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	nowhere := filepath.Join(t.TempDir(), "vulndb")
	for _, test := range []struct {
		name, named, live, copied string
		address, age, err         string
		none                      bool
	}{
		{
			"the live one first", "", reached.URL, inReadme,
			reached.URL, "as of 2026-11-24 (1 days old)", "", false,
		},
		{
			"the copy where nothing answers", "", gone.URL, inReadme,
			"file://" + inReadme, "as of 2026-08-21 (96 days old)", "", false,
		},
		{
			"the copy where a proxy answers", "", refuses.URL, inReadme,
			"file://" + inReadme, "as of 2026-08-21 (96 days old)", "", false,
		},
		{"a copy without a date", "", gone.URL, undated, "file://" + undated, "which does not say its date", "", false},
		{
			"the named one before the live one", "file://" + inReadme, reached.URL, dated,
			"file://" + inReadme, "as of 2026-08-21 (96 days old)", "", false,
		},
		{
			"the named one is not there", "file://" + nowhere, reached.URL, inReadme,
			"", "", "GOVULNDB: get file://" + nowhere + "/index/db.json: 404", false,
		},
		{
			"the copy is none", "", gone.URL, broken,
			"", "", "read file://" + broken + "/index/db.json: invalid character", false,
		},
		{"neither", "", gone.URL, nowhere, "", "", "there is no copy at " + nowhere + "; GOVULNDB is not set", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, err := choose(context.Background(), test.named, test.live, test.copied)
			var none noDatabase
			if errors.As(err, &none) != test.none {
				t.Errorf("noDatabase: %v, wanted %v", !test.none, test.none)
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, wanted %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if db.address != test.address || db.age(now) != test.age {
				t.Errorf("%s, %s; wanted %s, %s", db.address, db.age(now), test.address, test.age)
			}
		})
	}
}

// A vulnerability that only the build with plugins can reach is named there and makes the check
// fail.
func TestCheckFails(t *testing.T) {
	tool, err := filepath.Abs("../../.tools")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tool+":"+os.Getenv("PATH"))
	if _, err := exec.LookPath("govulncheck"); err != nil {
		t.Skip("govulncheck is not installed, make lint installs it")
	}
	t.Chdir(files{
		"go.mod":     "module example\n\ngo 1.26\n",
		"main.go":    "package main\n\nfunc main() {}\n",
		"plugins.go": "//go:build plugins\n\npackage main\n\nimport \"os\"\n\nfunc init() { _, _ = os.Getwd() }\n",
	}.at(t))
	const id = "GO-2026-0001"
	db := files{
		"index/db.json": `{"modified": "2026-11-24T10:00:00Z"}`,
		"index/modules.json": `[{"path": "stdlib", "vulns": [
			{"id": "` + id + `", "modified": "2026-11-24T10:00:00Z"}]}]`,
		"ID/" + id + ".json": `{"schema_version": "1.3.1", "id": "` + id + `",
			"modified": "2026-11-24T10:00:00Z", "summary": "planted",
			"affected": [{"package": {"name": "stdlib", "ecosystem": "Go"},
			"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
			"ecosystem_specific": {"imports": [{"path": "os", "symbols": ["Getwd"]}]}}],
			"database_specific": {"url": "https://pkg.go.dev/vuln/` + id + `"}}`,
	}.at(t)
	var said bytes.Buffer
	err = check(context.Background(), "file://"+db, &said)
	if err == nil || err.Error() != "govulncheck of the build with plugins: exit status 3" {
		t.Errorf("error %v", err)
	}
	everyday, plugins, _ := strings.Cut(said.String(), "    the build with plugins:\n")
	if strings.Contains(everyday, id) || !strings.Contains(plugins, id) {
		t.Errorf("it said:\n%s", said.String())
	}
}
