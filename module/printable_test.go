// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/logs"
	"hardening.yama/module/internal/printable"
	"hardening.yama/module/internal/ptrace"
)

// hostile are texts that a terminal obeys, or that look like another message.
var hostile = map[string]string{
	"clear the screen":      "\x1b[2J",
	"a link":                "\x1b]8;;mailto:x@example.org\x1b\\here\x1b]8;;\x1b\\",
	"carriage return":       "no\rok",
	"backspace":             "no\b\bok",
	"right-to-left":         "\u202egpj.exe",
	"isolate":               "\u2066a\u2069",
	"next line":             "a\u0085b",
	"C1 control":            "\u009b2J",
	"line separator":        "a\u2028b",
	"NUL":                   "a\x00b",
	"no UTF-8":              "a\xffb",
	"another task":          "x\n\nTASK [ok] ***\nok: [host]",
	"a log line of its own": "x\n[ERROR] failed: y",
	"a megabyte":            strings.Repeat("A", 1<<20),
}

// origin is where such text can come from.
type origin struct {
	// put makes a host with the text there, and returns what is asked of it. ok is false where the
	// text cannot be there.
	put func(t *testing.T, f *fedora, text string) (m machine, arguments string, ok bool)
	// hidden: the text comes into no report.
	hidden bool
}

const (
	restrict = `{"state":"restricted","_ansible_diff":true,"_ansible_verbosity":4}`
	explain  = `{"_ansible_module_name":"ptrace_scope_info","_ansible_verbosity":4}`
)

var origins = map[string]origin{
	"name of a drop-in": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		ok := writeBelow(t, f.root, "/etc/sysctl.d/zzz"+text+".conf", "kernel.yama.ptrace_scope = 0\n")
		return f, restrict, ok
	}},
	"name of a drop-in, explained": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		ok := writeBelow(t, f.root, "/usr/lib/sysctl.d/"+text+".conf", "kernel.yama.ptrace_scope = 0\n")
		return f, explain, ok
	}},
	"target of a link": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		ok := writeBelow(t, f.root, "/srv/"+text, "kernel.yama.ptrace_scope = 0\n") &&
			os.Symlink("/srv/"+text, filepath.Join(f.root, "/etc/sysctl.d/zzz.conf")) == nil
		return f, restrict, ok
	}},
	"value of a setting": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		writeBelow(t, f.root, "/etc/sysctl.d/50-site.conf", "kernel.yama.ptrace_scope = "+text+"\n")
		return f, restrict, !strings.ContainsAny(text, "\r\n\x00") // there the loaders' value ends
	}},
	"content of a drop-in": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		writeBelow(t, f.root, "/etc/sysctl.d/zzz.conf", "# "+text+"\nkernel.yama.ptrace_scope = 0\n")
		return f, restrict, len(text) < 1000 // of a long file the diff has only the lines that differ
	}},
	"a package manager's last words": {put: func(_ *testing.T, f *fedora, text string) (machine, string, bool) {
		f.fail = func(a ptrace.Action) error {
			if a.Kind == ptrace.Package {
				return errors.New("dnf5 install: exit code 1: " + text)
			}
			return nil
		}
		return f, `{"state":"permissive","packages":"manage","_ansible_verbosity":4}`, true
	}},
	"an offer's cause": {put: func(_ *testing.T, f *fedora, text string) (machine, string, bool) {
		f.offer = ptrace.Offer{Cause: text}
		return f, `{"state":"permissive","_ansible_verbosity":4}`, true
	}},
	"what a removal takes along": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		if err := f.install("yama-ptrace-enable"); err != nil {
			t.Fatal(err)
		}
		f.removal = ptrace.Removal{With: []string{text}}
		return f, restrict, true
	}},
	"a plugin's name and words": {put: func(_ *testing.T, f *fedora, text string) (machine, string, bool) {
		return &speaking{f, text}, restrict, true
	}},
	"os-release": {hidden: true, put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		writeBelow(t, f.root, "/etc/os-release", "ID="+text+"\nVERSION_ID="+text+"\n")
		return f, restrict, true
	}},
	"a container's name": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		writeBelow(t, f.root, "/run/systemd/container", text)
		return f, explain, true
	}},
	"the kernel's log": {put: func(t *testing.T, f *fedora, text string) (machine, string, bool) {
		writeBelow(t, f.root, "/dev/kmsg", `5,1,1,-;ptrace attach of "`+text+`"[1] was attempted by "`+text+`"[2]`+"\n")
		return f, explain, !strings.Contains(text, "\n") && len(text) < 1000
	}},
	"the name of an option": {put: func(_ *testing.T, f *fedora, text string) (machine, string, bool) {
		return f, fmt.Sprintf(`{"state":"auto",%s:1}`, encode(text)), text != hostile["no UTF-8"]
	}},
	"a panic": {put: func(_ *testing.T, f *fedora, text string) (machine, string, bool) {
		f.fail = func(ptrace.Action) error { panic(text) }
		return f, restrict, true
	}},
}

// speaking is a host whose package manager gives itself a name.
type speaking struct {
	*fedora
	text string
}

func (s *speaking) Observe(ctx context.Context) (ptrace.Observed, error) {
	o, err := s.fedora.Observe(ctx)
	o.Enabler.Manager, o.Enabler.ReadOnly = s.text, s.text
	return o, err
}

// writeBelow writes a file, and reports whether one can have that name.
func writeBelow(t *testing.T, root, name, content string) bool {
	t.Helper()
	name = filepath.Join(root, name)
	if strings.ContainsRune(name, 0) || len(filepath.Base(name)) > 255 {
		return false
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return true
}

// inLines are the places in a report where a text has lines.
var inLines = regexp.MustCompile(`^\.(diff\.\d+\.(before|after)|log\.\d+|invocation\..*)$`)

// TestHostileTextIsShown takes each hostile text from each origin. The output to stdout and to a
// person's terminal is printable, shows the text, and has no line that the text began.
func TestHostileTextIsShown(t *testing.T) {
	for where, origin := range origins {
		for what, text := range hostile {
			t.Run(where+"/"+what, func(t *testing.T) {
				f := newFedora(t)
				m, arguments, ok := origin.put(t, f, text)
				if !ok {
					return
				}
				var out, terminal bytes.Buffer
				open := func(c host.Config) (machine, error) {
					_, err := f.open(c)
					return m, err
				}
				w := world{open: open, logs: logs.Places{Root: f.root, Terminal: &terminal}}
				run(context.Background(), []string{"", arguments}, w, &out)
				line := strings.TrimSuffix(strings.TrimPrefix(out.String(), "\n"), "\n")
				if shown := printable.Line(line); shown != line || strings.Contains(line, "\t") {
					t.Fatalf("stdout has %s", unlike(shown, line))
				}
				var report any
				if err := json.Unmarshal([]byte(line), &report); err != nil {
					t.Fatal(err)
				}
				eachString("", report, func(path, got string) {
					if shown := printable.Text(got); shown != got {
						t.Errorf("%s has %s", path, unlike(shown, got))
					}
					if strings.Contains(got, "\n") && !inLines.MatchString(path) {
						t.Errorf("%s has lines: %.200q", path, got)
					}
					if len(got) > 1<<16 && !strings.Contains(path, "diff") && !strings.Contains(path, "invocation") {
						t.Errorf("%s has %d bytes", path, len(got))
					}
				})
				// Of a long text the beginning is enough.
				shown := printable.Line(text[:min(len(text), 100)])
				if !origin.hidden && !strings.Contains(strings.ReplaceAll(line, `\\`, `\`), shown) {
					t.Errorf("%q is not in the report: %.2000s", shown, line)
				}
				if shown := printable.Text(terminal.String()); shown != terminal.String() {
					t.Errorf("the terminal gets %s", unlike(shown, terminal.String()))
				}
				for entry := range strings.Lines(terminal.String()) {
					if !regexp.MustCompile(`^(\[(DEBUG|INFO|ERROR)\] |  )`).MatchString(entry) {
						t.Errorf("the terminal gets a line %.200q", entry)
					}
				}
			})
		}
	}
}

// difference returns where two texts begin to differ.
func unlike(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return strconv.Quote(b[max(0, i-40):min(len(b), i+40)])
}

// eachString calls do for every string of a report, keys too.
func eachString(path string, value any, do func(path, text string)) {
	switch v := value.(type) {
	case string:
		do(path, v)
	case []any:
		for i, element := range v {
			eachString(path+"."+strconv.Itoa(i), element, do)
		}
	case map[string]any:
		for key, element := range v {
			do(path+"."+printable.Line(key), key)
			eachString(path+"."+printable.Line(key), element, do)
		}
	}
}
