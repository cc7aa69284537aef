// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package databases runs the program on hosts with real package databases: dpkg's, rpm's and
// pacman's, as administrators have them. The real programs fill and ask them, in the sandbox.
package databases

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"hardening.yama/tests/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main(m, sandbox.World{Program: "../../bin/ptrace_scope"})
}

//go:embed hosts.txtar
var archive []byte

const ptraceConf = "/etc/sysctl.d/10-ptrace.conf"

// host is a host and what the report has to say of it.
type host struct {
	name, script string
	// origin is that of the setting in ptraceConf, and owner the package that the info module
	// names.
	origin, owner string
	// debuggers are those that count, and fails is a part of the message of a failure.
	debuggers, fails string
	// edited: restricted comments a line out in the file.
	edited bool
}

// hosts reads the archive.
func hosts(t *testing.T) (all []host) {
	t.Helper()
	parts := txtar.Parse(archive).Files
	for _, part := range parts[1:] {
		h := host{name: part.Name, script: string(parts[0].Data) + string(part.Data)}
		for line := range strings.Lines(string(part.Data)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch key {
			case "#origin":
				h.origin = value
			case "#owner":
				h.owner = value
			case "#debuggers":
				h.debuggers = value
			case "#fails":
				h.fails = value
			case "#edited":
				h.edited = true
			}
		}
		all = append(all, h)
	}
	return all
}

// TestHosts runs each state, the info module and check mode on each host. The second run changes
// nothing.
func TestHosts(t *testing.T) {
	sandbox.Enter(t)
	for _, host := range hosts(t) {
		t.Run(host.name, func(t *testing.T) {
			h := sandbox.NewHost(t, nil)
			if err := os.WriteFile(h.Path("/tools"), []byte(host.script), 0o644); err != nil {
				t.Fatal(err)
			}
			if output, err := h.Command("/bin/bash", "/tools").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			run := func(module string, arguments map[string]any) sandbox.Outcome {
				o := h.Run(sandbox.Run{Module: module, Arguments: arguments, Limit: time.Minute})
				if broken := o.Broken(); broken != "" {
					t.Fatalf("%s %v: %s", module, arguments, broken)
				}
				if o.Failed() != (host.fails != "") || o.Failed() && !strings.Contains(o.Text("msg"), host.fails) {
					t.Fatalf("%s %v: %s, want %q", module, arguments, o.Text("msg"), host.fails)
				}
				return o
			}
			info := run("ptrace_scope_info", nil)
			for _, arguments := range []map[string]any{
				{"state": "restricted", "packages": "ignore"},
				{"state": "permissive"},
				{"state": "auto", "persistent": false},
			} {
				arguments["_ansible_check_mode"] = true
				run("ptrace_scope", arguments)
			}
			if host.fails != "" {
				run("ptrace_scope", map[string]any{"state": "auto"})
				run("ptrace_scope", map[string]any{"state": "auto"}) // nor is it cached as an answer
				return
			}
			if origin, owner := setting(info.Report, ptraceConf); origin != host.origin || owner != host.owner {
				t.Errorf("%s is %q of %q, want %q of %q", ptraceConf, origin, owner, host.origin, host.owner)
			}
			if got := debuggers(info.Report); got != host.debuggers {
				t.Errorf("debuggers %q, want %q", got, host.debuggers)
			}
			restricted := run("ptrace_scope", map[string]any{"state": "restricted"})
			if edited := strings.Contains(fmt.Sprint(restricted.Report["actions"]), ptraceConf); edited != host.edited {
				t.Errorf("%s was edited: %t, want %t", ptraceConf, edited, host.edited)
			}
			for _, state := range []string{"restricted", "auto", "permissive"} {
				run("ptrace_scope", map[string]any{"state": state})
				if again := run("ptrace_scope", map[string]any{"state": state}); again.Report["changed"] == true {
					t.Errorf("%s: the second run changes %v", state, again.Report["actions"])
				}
			}
		})
	}
}

// TestCachedOwners: the cached answer that a file has no package ends with the next package.
func TestCachedOwners(t *testing.T) {
	sandbox.Enter(t)
	h := sandbox.NewHost(t, nil)
	tools := string(txtar.Parse(archive).Files[0].Data)
	do := func(script string) {
		t.Helper()
		if err := os.WriteFile(h.Path("/tools"), []byte(tools+script), 0o644); err != nil {
			t.Fatal(err)
		}
		h.Must(t, "/bin/bash", "/tools")
	}
	ask := func(module, origin string) {
		t.Helper()
		arguments := map[string]any{"state": "restricted", "conflicts": "report"}
		if module == "ptrace_scope_info" {
			arguments = nil
		}
		o := h.Run(sandbox.Run{Module: module, Arguments: arguments, Limit: time.Minute})
		if got, _ := setting(o.Report, ptraceConf); o.Broken() != "" || o.Failed() || got != origin {
			t.Errorf("%s: %q, want %q: %s %s", module, got, origin, o.Broken(), o.Text("msg"))
		}
	}
	do("debian\nput $ptrace 0\n")
	time.Sleep(3 * time.Second) // two changes at once can have the same time: nothing is cached before
	ask("ptrace_scope", "local")
	content, err := os.ReadFile(h.Path("/run/hardening.yama.rpm"))
	if err != nil || !strings.Contains(string(content), ptraceConf) {
		t.Errorf("nothing is cached: %s, %v", content, err)
	}
	ask("ptrace_scope_info", "local")
	do("put /p$ptrace 0\ndeb site 1\nput $ptrace 0\n")
	ask("ptrace_scope_info", "vendor")
	ask("ptrace_scope", "vendor")
}

// setting returns the origin of a file's setting, and its package.
func setting(report map[string]any, file string) (origin, owner string) {
	settings, _ := report["settings"].([]any)
	for _, s := range settings {
		if s, _ := s.(map[string]any); s["file"] == file {
			origin, _ = s["origin"].(string)
			owner, _ = s["package"].(string)
			return origin, owner
		}
	}
	return "", ""
}

// debuggers returns the names of the debuggers that count.
func debuggers(report map[string]any) string {
	var names []string
	list, _ := report["debuggers"].([]any)
	for _, d := range list {
		if d, _ := d.(map[string]any); d != nil {
			names = append(names, fmt.Sprint(d["name"]))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
