// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/logs"
	"hardening.yama/schema"
)

// asProgram in the environment makes the test binary the program.
const asProgram = "TEST_AS_PTRACE_SCOPE"

// TestMain lets scripts and the test of faults run the whole program on the tree that ROOT names.
func TestMain(m *testing.M) {
	attach.Serve(os.Args)
	if how := os.Getenv(asAttacker); how != "" {
		kill(how)
	}
	if os.Getenv(asProgram) != "" {
		if err := beWatched(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		ctx, stop := context.WithCancel(context.Background())
		w := belowRoot()
		w.listen = func() { listen(stop) }
		os.Exit(run(ctx, ansible.CommandLine(), w, os.Stdout))
	}
	testscript.Main(m, map[string]func(){"ptrace_scope": func() {
		os.Exit(run(context.Background(), ansible.CommandLine(), belowRoot(), os.Stdout))
	}})
}

// belowRoot is the world below ROOT.
func belowRoot() world {
	root := os.Getenv("ROOT")
	return world{open: func(c host.Config) (machine, error) { return host.New(root, c) }, logs: logs.Places{Root: root}}
}

// TestScripts runs the archives in testdata: a host's files, what is asked of it, and what it
// should be like then.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ROOT", filepath.Join(e.WorkDir, "root"))
			return furnish(filepath.Join(e.WorkDir, "root"))
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "strict-kernel":
				scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
				return err == nil && string(scope) >= "2", nil
			case "plugins-build":
				return runsPlugins, nil
			default:
				return false, fmt.Errorf("no such condition: %s", name)
			}
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"report": answerOf(schema.Scope), "info": answerOf(schema.Info),
		},
	})
}

// furnish gives a tree what every host has, unless the archive brings it: a kernel at 1 and no
// package manager of ours.
func furnish(root string) error {
	for name, content := range map[string]string{
		"proc/sys/kernel/yama/ptrace_scope": "1\n",
		"etc/os-release":                    "ID=somelinux\n",
		"run/systemd/system/keep":           "",
		"etc/sysctl.d/README":               "",
		"usr/local/bin/keep":                "",
		"usr/lib/sysctl.d/README":           "",
	} {
		name = filepath.Join(root, name)
		if _, err := os.Stat(name); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// answerOf makes the command that holds the last answer against a module's RETURN, and compares
// keys of it: path.to.key=JSON, where a list's element is a number and a string may stand without
// quotes. "key~text" asks for a part.
func answerOf(module schema.Module) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) { compare(ts, module, neg, args) }
}

func compare(ts *testscript.TestScript, module schema.Module, neg bool, args []string) {
	var last any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &last); err != nil {
		ts.Fatalf("the last command printed no report: %v", err)
	}
	keys, err := documented(module)
	if err != nil {
		ts.Fatalf("RETURN: %v", err)
	}
	if found, err := differences([]byte(ts.ReadFile("stdout")), keys); err != nil || len(found) > 0 {
		ts.Fatalf("the report is not as RETURN documents it: %s%v", strings.Join(found, ", "), err)
	}
	for _, arg := range args {
		at := strings.IndexAny(arg, "=~")
		if at < 0 {
			ts.Fatalf("report: %q is neither key=value nor key~text", arg)
		}
		path, want := arg[:at], arg[at+1:]
		value, err := lookUp(last, path)
		if err != nil {
			ts.Fatalf("report: %v", err)
		}
		got := fmt.Sprint(value)
		if _, text := value.(string); !text {
			encoded, _ := json.Marshal(value) //nolint:errchkjson // it was JSON before
			got = string(encoded)
		}
		same := got == want || arg[at] == '~' && strings.Contains(got, want)
		if same == neg {
			ts.Fatalf("report: %s is %s, not as %q says", path, got, arg)
		}
	}
}

func lookUp(value any, path string) (any, error) {
	for _, name := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(v) {
				return nil, fmt.Errorf("no element %s in a list of %d", name, len(v))
			}
			value = v[i]
		default:
			return nil, fmt.Errorf("no key %s of %s", name, path)
		}
	}
	return value, nil
}
