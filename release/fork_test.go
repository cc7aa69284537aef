// SPDX-License-Identifier: GPL-3.0-or-later

package release_test

import (
	"bytes"
	"encoding/json"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// The release of go-hclog that third_party has, and the checksum that go.sum had for it.
const (
	forked    = "github.com/hashicorp/go-hclog@v1.6.3"
	forkedSum = "h1:Qr2kF+eVWjTiYmU7Y31tYlP1h0q/X3Nl3tPGdaB11/k="
)

// TestFork compares third_party/go-hclog with the release: one file has a change.
func TestFork(t *testing.T) {
	download := exec.Command("go", "mod", "download", "-json", forked)
	download.Dir = t.TempDir() // outside of the module, which replaces it
	output, err := download.Output()
	var module struct{ Dir, Sum, Error string }
	if problem := json.Unmarshal(output, &module); err != nil || problem != nil || module.Sum != forkedSum {
		t.Fatalf("download %s: %v, %v, %s", forked, err, problem, output)
	}
	files, err := filepath.Glob(filepath.Join(top, "third_party/go-hclog/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var changed []string
	for _, file := range files {
		ours, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.ReadFile(filepath.Join(module.Dir, filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			changed = append(changed, filepath.Base(file))
		}
	}
	if strings.Join(changed, " ") != "stdlog.go" {
		t.Errorf("changed files: %q", changed)
	}
}

// TestTimestamps holds the change against the regular expression that it replaces.
func TestTimestamps(t *testing.T) {
	expression := regexp.MustCompile(`^[\d\s\:\/\.\+-TZ]*`)
	var out bytes.Buffer
	logger := hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true})
	std := log.New(logger.StandardWriter(&hclog.StandardLoggerOptions{InferLevelsWithTimestamp: true,
		InferLevels: true}), "", 0)
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune(" \t\f\v\r0123456789:/.+-,;<=>?@ABCSTUVZ[]az_éλ\u00a0\u2028")
	for range 20_000 {
		text := make([]rune, random.IntN(12))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		line := string(text) + "x end"
		out.Reset()
		std.Print(line)
		want := expression.ReplaceAllString(line, "")
		if got := strings.TrimSuffix(strings.TrimPrefix(out.String(), "[INFO]  "), "\n"); got != want {
			t.Fatalf("%q: got %q, want %q", line, got, want)
		}
	}
}
