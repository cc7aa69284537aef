// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/logs"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

const (
	// reportLimit bounds the size of a report.
	reportLimit = 100 << 10
	// patience is the processor time that the program may take on the worst host. Most take less
	// than half a second.
	patience = 3 * time.Second
)

// used returns the processor time of this process. The time of other processes is not in it.
func used(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// plant writes files below a root that has what every host has.
func plant(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := furnish(root); err != nil {
		t.Fatal(err)
	}
	return root
}

// ask runs the whole program below a root, and holds its report against the bounds and RETURN.
func ask(t *testing.T, root, arguments string) map[string]any {
	t.Helper()
	var out bytes.Buffer
	open := func(c host.Config) (machine, error) { return host.New(root, c) }
	start, before := time.Now(), used(t)
	run(context.Background(), []string{"", arguments}, world{open: open, logs: logs.Places{Root: root}}, &out)
	took := used(t) - before
	t.Logf("%s: %s of a processor, in %s, %d bytes", arguments,
		took.Round(time.Millisecond), time.Since(start).Round(time.Millisecond), out.Len())
	if took > patience {
		t.Errorf("%s takes %s", arguments, took)
	}
	if out.Len() >= reportLimit {
		t.Errorf("%s: a report of %d bytes", arguments, out.Len())
	}
	var report map[string]any
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%s: %v: %.300s", arguments, err, out.String())
	}
	module := schema.Scope
	if strings.Contains(arguments, "_info") {
		module = schema.Info
	}
	keys, err := documented(module)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := differences(out.Bytes(), keys); err != nil || len(found) > 0 {
		t.Errorf("%s: not as RETURN documents it: %v%v", arguments, found, err)
	}
	return report
}

const info = `{"_ansible_module_name":"ptrace_scope_info"}`

// asked are the ways to ask; the last one changes the host.
var asked = []string{
	info,
	`{"state":"permissive","_ansible_diff":true,"_ansible_check_mode":true}`,
	`{"state":"restricted","conflicts":"report","_ansible_check_mode":true}`,
	`{"state":"restricted","conflicts":"fail"}`,
	`{"state":"restricted","_ansible_diff":true}`,
}

// TestReportsAreBounded: the program answers quickly and shortly, whatever others wrote.
func TestReportsAreBounded(t *testing.T) {
	many := func(n int, name, content string) map[string]string {
		files := map[string]string{}
		for i := range n {
			files[strings.ReplaceAll(name, "%d", fmt.Sprint(i))] = content
		}
		return files
	}
	fill := func(text string) string { return strings.Repeat(text, (4<<20)/len(text)) }
	one := func(content string) map[string]string { return map[string]string{"/etc/sysctl.d/zzz.conf": content} }
	const zero, two = "kernel.yama.ptrace_scope = 0\n", "kernel.yama.ptrace_scope = 2\n"
	hundred := strings.Repeat(zero, 100)
	worst := "/etc/sysctl.d/zzz\x01\x7f\u0085" + strings.Repeat("\x02", 200) + "%d.conf"
	long := "kernel.yama.ptrace_scope = 0 " + strings.Repeat("\x01", 4000) + "\n"
	braces := "kernel.yama." + fill("{,}")[:1<<20-100] + "* = 0\n" +
		fill("kernel.yama.{*,{*,x}{,}}{,}{,}{,}{,}{,}{,}{,}{,}=2\n")[:3<<20-100] + "\n"
	mask := "# Masked together with this file: /etc/sysctl.d/a.conf\n"
	parameter := "sysctl.kernel.yama.ptrace_scope=2 "
	for name, files := range map[string]map[string]string{
		"100,000 lines in a file":                 one(strings.Repeat(zero, 100_000)),
		"100,000 lines in 1,000 files":            many(1000, "/etc/sysctl.d/zzz%d.conf", hundred),
		"100,000 stricter lines, and looser ones": one(strings.Repeat(two+zero, 50_000)),
		"1,000 files of distributions":            many(1000, "/usr/lib/sysctl.d/zzz%d.conf", hundred),
		"1,000 names of the worst":                many(1000, worst, zero),
		"1,000 files with long values":            many(1000, "/etc/sysctl.d/zzz%d.conf", long),
		"4 MB of one line":                        one(fill("x")),
		"4 MB of one value":                       one("kernel.yama.ptrace_scope = 0 " + fill("#")[:4<<20-100] + "\n"),
		"4 MB of stars":                           one(fill("*")),
		"100,000 patterns":                        one(strings.Repeat("*/*/*=0\n", 100_000)),
		"4 MB of braces":                          one(braces),
		"4 MB of lines for one loader each":       one(fill("kernel.yama.ptrace_scope = 0\r\f" + zero)),
		"1,000 files that runs left":              many(1000, "/etc/sysctl.d/.ptrace_scope-%d.tmp", ""),
		"4 MB in a file of ours":                  {"/etc/sysctl.d/zz-ptrace_scope.conf": fill(mask)},
		"1 MB of the kernel's command line":       {"/proc/cmdline": fill(parameter)[:1<<20]},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, files)
			for _, arguments := range asked {
				ask(t, root, arguments)
			}
			if report := ask(t, root, `{"state":"restricted"}`); report["failed"] == true || report["changed"] == true {
				t.Errorf("the second run: changed %v, %v", report["changed"], report["msg"])
			}
		})
	}
}

// TestWhatIsListed: a report lists the first elements of a long list, and counts the others.
func TestWhatIsListed(t *testing.T) {
	const zero = "kernel.yama.ptrace_scope = 0\n"
	root := plant(t, map[string]string{
		"/etc/sysctl.d/a.conf": strings.Repeat(zero, 20_000) + "kernel.yama.ptrace_scope = 1\n",
		"/etc/sysctl.conf":     strings.Repeat(zero, 30),
	})
	report := ask(t, root, info)
	settings, _ := report["settings"].([]any)
	effective := map[string]bool{}
	for _, s := range settings {
		if s := s.(map[string]any); s["standing"] == "effective" {
			effective[fmt.Sprint(s["file"], s["line"], s["loader"])] = true
		}
	}
	if len(settings) != 100 || !effective["/etc/sysctl.d/a.conf20001boot"] || !effective["/etc/sysctl.conf30reload"] {
		t.Errorf("%d settings, of which are effective %v", len(settings), effective)
	}
	const more = "19,931 further lines set kernel.yama.ptrace_scope: settings lists only the first ones and " +
		"those that take effect, 100 together"
	if got := encode(report["warnings"]); !strings.Contains(got, more) {
		t.Errorf("warnings %s", got)
	}

	report = ask(t, root, `{"state":"restricted","_ansible_diff":true,"_ansible_check_mode":true}`)
	diffs, _ := report["diff"].([]any)
	if len(diffs) != 3 {
		t.Fatalf("%d differences", len(diffs))
	}
	for i, want := range []string{ptrace.DropIn, "/etc/sysctl.conf", "/etc/sysctl.d/a.conf"} {
		d := diffs[i].(map[string]any)
		before, after := d["before"].(string), d["after"].(string)
		if d["before_header"] != want || d["after_header"] != want {
			t.Errorf("difference %d is of %s, want %s", i, d["before_header"], want)
		}
		switch i {
		case 1: // small enough to be shown as a whole
			if before != strings.Repeat(zero, 30) || after != strings.Repeat("#hardening.yama# "+zero, 30) {
				t.Errorf("%s: %q, %q", want, before, after)
			}
		case 2:
			const note = "# shortened: 20 of 20,000 lines that differ\n"
			if !strings.HasPrefix(before, note+"line 1: "+zero+"line 2: "+zero) ||
				!strings.HasPrefix(after, note+"line 1: #hardening.yama# "+zero) || strings.Count(after, "\n") != 21 {
				t.Errorf("%s: %q, %q", want, before, after)
			}
		}
	}

	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("/etc/sysctl.d/zzz%d.conf", i)] = zero
	}
	report = ask(t, plant(t, files), `{"state":"restricted","restricted_scope":2,"_ansible_diff":true}`)
	actions, _ := report["actions"].([]any)
	verbs := map[string]int{}
	for _, a := range actions {
		verbs[a.(map[string]any)["action"].(string)]++
	}
	if verbs["write"] != 1 || verbs["set"] != 1 || verbs["comment"] < 20 || verbs["comment"] > 100 {
		t.Errorf("actions %v", verbs)
	}
	want := fmt.Sprintf(`["%d further changes are not listed in actions"]`, 1000-verbs["comment"])
	if got := encode(report["warnings"]); got != want || !strings.Contains(report["msg"].(string), "(1002 changes)") {
		t.Errorf("warnings %s, %v", got, report["msg"])
	}
	diffs, _ = report["diff"].([]any)
	headers := map[string]bool{}
	for _, d := range diffs {
		headers[d.(map[string]any)["before_header"].(string)] = true
	}
	left := fmt.Sprintf("%d further files", 1002-(len(diffs)-1))
	if !headers[ptrace.DropIn] || !headers[ptrace.Key] || !headers[left] {
		t.Errorf("%d differences, of which none is of %s", len(diffs), left)
	}
}

// TestManyPackagesAreListed: all packages of a host require a debugger.
func TestManyPackagesAreListed(t *testing.T) {
	if _, err := os.Stat("/usr/bin/dpkg-query"); err != nil {
		t.Skip("no dpkg-query, without which Debian's database is nobody's")
	}
	installed := func(name, version, depends string) string {
		return "Package: " + name + "\nStatus: install ok installed\nVersion: " + version +
			"\nDepends: " + depends + "\n\n"
	}
	var chain, star strings.Builder
	for i := range 50_000 {
		depends := "gdb"
		if i > 0 {
			depends = fmt.Sprintf("package-%d", i-1)
		}
		chain.WriteString(installed(fmt.Sprintf("package-%d", i), "1", depends))
		star.WriteString(installed(fmt.Sprintf("package-%d", i), "1", "gdb, strace, "+depends))
	}
	gdb := installed("gdb", strings.Repeat("1", 1<<20), "libc6") + installed("strace", "1", "libc6") +
		installed("dpkg", "1", "libc6") // the base package, without which it is nobody's database
	for name, c := range map[string]struct{ packages, why string }{
		"chain": {chain.String(), "required by package-0 (required by package-1 (required by package-2))"},
		"star":  {star.String(), "required by package-0 (required by package-1 (required by package-2"},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, map[string]string{
				"/var/lib/dpkg/status": gdb + c.packages, "/etc/os-release": "ID=debian\n",
			})
			for _, arguments := range asked {
				report := ask(t, root, arguments)
				if arguments != info {
					continue
				}
				debuggers, _ := report["debuggers"].([]any)
				if len(debuggers) != 2 || !strings.HasPrefix(debuggers[0].(map[string]any)["why"].(string), c.why) {
					t.Errorf("debuggers %.1000v", debuggers)
				}
			}
		})
	}
}
