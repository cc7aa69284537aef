// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hardening.yama/module/internal/growth"
	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
)

// numbered repeats a text, in which %d is a number.
func numbered(n int, text string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "%d", fmt.Sprint(i)))
	}
	return b.String()
}

// TestReadersAreLinear: no answer of a program, and no database, takes longer to read than its
// length is worth.
func TestReadersAreLinear(t *testing.T) {
	files := func(n int) []string { return strings.Fields(numbered(n, "/etc/sysctl.d/%d.conf ")) }
	itself := func(file string) string { return file }
	for name, c := range map[string]struct {
		size int
		read func(n int)
	}{
		"apt": {64_000, func(n int) { _, _ = readAPT(process.Result{Stdout: numbered(n, "Inst p%d (1 x)\n")}) }},
		"zypper": {64_000, func(n int) {
			_, _ = readZypper(process.Result{Stdout: "<install-summary>" +
				numbered(n, `<solvable type="package" name="p%d"/>`) + "</install-summary>"})
		}},
		"zypper's words": {64_000, func(n int) { _ = textOf(numbered(n, "<description>x%d</description>")) }},
		"apk": {64_000,
			func(n int) { _, _ = readAPK(process.Result{Stdout: numbered(n, "(%d/9) Installing p%d (1)\n")}) }},
		"the last lines": {80_000, func(n int) { _ = process.Result{Stdout: numbered(n, "%d\n")}.LastLines() }},
		"pacman owns": {4000, func(n int) {
			_, _ = readOwns(process.Result{Stdout: numbered(n, "/etc/sysctl.d/%d.conf is owned by p%d 1-1\n")}, itself,
				files(n))
		}},
		"pacman owns nothing": {4000, func(n int) {
			_, _ = readOwns(process.Result{Stdout: numbered(n, "error: No package owns /etc/sysctl.d/%d.conf\n")},
				itself, files(n))
		}},
		"dpkg owns": {8000, func(n int) {
			_ = readSearch(process.Result{Stdout: numbered(n, "p%d: /etc/sysctl.d/%d.conf\n")}, func(string, string) {})
		}},
		"rpm owns": {8000, func(n int) { _, _ = readOwners(process.Result{Stdout: numbered(n, "p%d\n")}, files(n)) }},
		"rpm's requirers": {64_000, func(n int) {
			var found requirers
			_, _ = readRequirers(process.Result{Stdout: numbered(n, "N\tp%d\nR\tgdb\nP\tc%d\n")},
				map[string]string{"gdb": "gdb"}, &found)
		}},
		"apk's database": {8000, func(n int) {
			content := numbered(n, "P:p%d\nV:1\nD:p1 so:x\nF:etc/sysctl.d\nR:%d.conf\n\n")
			owned := map[string]bool{}
			for _, file := range files(n) {
				owned[file] = true
			}
			_, _ = readAPKInstalled(content, owned, func(string, string) {})
		}},
		"what is installed": {8000, func(n int) {
			all, _ := readStatus(numbered(n, "Package: p%d\nStatus: install ok installed\nVersion: 1\n\n"), nil)
			installedOf(all, strings.Fields(numbered(n, "p%d ")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			growth.Linear(t, c.size, func(n int) func() { return func() { c.read(n) } })
		})
	}
}

// TestRequirersAreLinear: who requires whom is found in one pass for each level, however much
// requires what.
func TestRequirersAreLinear(t *testing.T) {
	paragraphs := func(n int, depends func(i int) string) []paragraph {
		all := make([]paragraph, 0, n)
		for i := range n {
			all = append(all, paragraph{name: fmt.Sprintf("p%d", i), depends: []string{depends(i)}})
		}
		return all
	}
	for name, c := range map[string]struct {
		size    int
		depends func(n int) func(int) string
	}{
		"a chain": {16_000,
			func(int) func(int) string { return func(i int) string { return fmt.Sprintf("p%d", i-1) } }},
		"a star": {16_000, func(int) func(int) string { return func(int) string { return "p0" } }},
		"a star of stars": {16_000,
			func(int) func(int) string { return func(i int) string { return fmt.Sprintf("p%d", i/100) } }},
		"twenty each": {4000, func(n int) func(int) string {
			return func(i int) (text string) {
				for j := range 20 {
					text += fmt.Sprintf("p%d, ", (i*7+j*n/20)%n)
				}
				return text
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			growth.Linear(t, c.size, func(n int) func() {
				all := paragraphs(n, c.depends(n))
				return func() { requirersOf(all, []string{"p0", "p1"}, dependencies) }
			})
		})
	}
	found := requirersOf(paragraphs(5000, func(int) string { return "p0, p1 | p0" }), []string{"p0"}, dependencies)
	if got := found["p0"]; len(got) != requirersListed+1 || got[0] != "p0" ||
		got[requirersListed] != ptrace.More(2*5000-requirersListed-requirersListed) {
		t.Errorf("%d requirers, the last %q", len(got), got[len(got)-1])
	}
}

// TestManyPackages: a database as large as nobody has it is read in little time and memory.
func TestManyPackages(t *testing.T) {
	const count, size = 50_000, 24 << 20
	var b strings.Builder
	b.Grow(size)
	b.WriteString("Package: dpkg\nStatus: install ok installed\nVersion: 1\n\n")
	for i := range count {
		fmt.Fprintf(&b, "Package: p%d\nStatus: install ok installed\nVersion: 1\nDepends: gdb", i)
		for j := 0; b.Len() < size/count*(i+1)-32; j++ {
			fmt.Fprintf(&b, ", p%d", (i+j*j)%count) // as much of a clique as there is room for
		}
		b.WriteString("\n\n")
	}
	root := t.TempDir()
	status := filepath.Join(root, dpkgStatus)
	if err := os.MkdirAll(filepath.Dir(status), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(status, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	m := Manager{Name: ptrace.None, files: filesOf(t, root), root: root, database: &dpkgDatabase, memory: &memory{}}
	start := time.Now()
	installed, err := m.Installed(t.Context(), []string{"p49999", "gdb", "p1"})
	if want := []port.Package{{Name: "p1", Version: "1"}, {Name: "p49999", Version: "1"}}; err != nil ||
		!slices.Equal(installed, want) {
		t.Errorf("installed %v, %v", installed, err)
	}
	found, err := m.Requirers(t.Context(), []string{"gdb"})
	if got := found["gdb"]; err != nil || len(got) != requirersListed+1 || got[requirersListed] != "49,960 more" {
		t.Errorf("%d requirers, %v", len(got), err)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	took := time.Since(start)
	t.Logf("%d packages in %d MB took %s; %d MB of the system's memory", count, size>>20, took.Round(time.Millisecond),
		stats.Sys>>20)
	if took > 2*time.Minute { // far less, but for the race detector on a busy machine
		t.Errorf("took %s", took)
	}
}
