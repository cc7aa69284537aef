// SPDX-License-Identifier: GPL-3.0-or-later

package action

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile are texts that a terminal obeys, or that look like another message.
var hostile = []struct{ name, text string }{
	{"clear the screen", "\x1b[2J"},
	{"a link", "\x1b]8;;mailto:x@example.org\x1b\\here\x1b]8;;\x1b\\"},
	{"carriage return", "no\rok"},
	{"backspace", "no\b\bok"},
	{"right-to-left", "\u202egpj.exe"},
	{"isolate", "\u2066a\u2069"},
	{"next line", "a\u0085b"},
	{"C1 control", "\u009b2J"},
	{"line separator", "a\u2028b"},
	{"NUL", "a\x00b"},
	{"no UTF-8", "a\xffb"},
	{"another task", "x\n\nTASK [forged] ***\nok: [host]"},
	{"a megabyte", strings.Repeat("A", 1<<20)},
}

// answer is how the target answers one command.
type answer struct {
	stdout, stderr string
	code           int
}

// session is how the target answers a task.
type session struct {
	cached    answer  // to the command that runs the program from the cache
	machine   answer  // to uname -sm
	sent      answer  // to the command that runs the program that ansible-core sent
	directory *answer // to mkdir for that; nil: the directory is made
}

// linux is a target for which there is a build.
var linux = answer{stdout: "Linux x86_64\n"}

// report returns a report by a hostile target, with text in all keys that ansible-core shows or
// obeys.
func report(text string) answer {
	line, err := json.Marshal(map[string]any{
		"changed": true, "failed": strings.HasPrefix(text, "x"), "msg": text,
		text: text, "state": text, "warnings": []string{text}, "log": []string{text},
		"diff": []any{
			map[string]any{"before": "a\n", "after": text, "before_header": text, "after_header": text},
			map[string]any{"prepared": text},
		},
		"actions":      []any{map[string]any{"object": text, text: []any{text}}},
		"invocation":   map[string]any{"module_args": map[string]any{text: text}},
		"deprecations": []any{map[string]any{"msg": text, "version": text}}, "exception": text,
		"ansible_facts": map[string]any{"forged": text},
		"ansible_stats": map[string]any{"data": map[string]any{"forged": text}},
		"stdout":        text, "stderr": text, "rc": 0,
	})
	if err != nil {
		panic(err)
	}
	if !utf8.ValidString(text) { // encoding/json is careful; an attacker is not
		line = []byte(strings.ReplaceAll(string(line), `\ufffd`, "\xff"))
	}
	return answer{stdout: "\n" + string(line) + "\n"}
}

// sessions are the ways by which a target's text can come into a message.
var sessions = []struct {
	name   string
	answer func(text string) session
}{
	{"a report", func(text string) session { return session{cached: report(text)} }},
	{"a report of what was sent", func(text string) session {
		return session{cached: answer{stdout: "hardening.yama needs Linux x86_64\n"}, sent: report(text)}
	}},
	{"a report in lines", func(text string) session {
		lines := answer{stdout: strings.ReplaceAll(report(text).stdout, `":`, "\":\n")}
		return session{cached: lines, machine: linux, sent: lines}
	}},
	{"no report", func(text string) session {
		return session{cached: answer{text, text, 1}, machine: linux, sent: answer{text, text, 1}}
	}},
	{"words on stderr alone", func(text string) session {
		return session{cached: answer{"", text, 126}, machine: linux, sent: answer{"", text, 126}}
	}},
	{"words before a signal", func(text string) session { return session{cached: answer{text, text, 128 + 9}} }},
	{"no directory", func(text string) session {
		return session{cached: answer{stdout: "hardening.yama needs Linux x86_64\n"}, directory: &answer{text, text, 1}}
	}},
	{"an architecture", func(text string) session {
		return session{cached: answer{stdout: "hardening.yama needs " + text + "\n"}}
	}},
	{"an architecture, asked for", func(text string) session { return session{machine: answer{stdout: text + "\n"}} }},
	{"no architecture", func(text string) session { return session{machine: answer{text, text, 1}} }},
}

// TestHostileTarget: ansible-core prints nothing of an answer that a terminal obeys, and no line
// that the target began. Each text by each way is the answer of another host.
func TestHostileTarget(t *testing.T) {
	if interpreter() == "" {
		t.Skip("cannot run here: ansible-core is not set up (make setup)")
	}
	dir := t.TempDir()
	install(t, dir)
	inventory, hosts := "", 0
	for _, way := range sessions {
		for _, row := range hostile {
			host := regexp.MustCompile("[^a-z0-9]+").ReplaceAllString(strings.ToLower(row.name+" as "+way.name), "_")
			inventory += host + "\n"
			hosts++
			s := way.answer(row.text)
			parts := map[string]answer{"cached": s.cached, "machine": s.machine, "sent": s.sent}
			if s.directory != nil {
				parts["directory"] = *s.directory
			}
			for part, a := range parts {
				at := filepath.Join(dir, host, part)
				write(t, at+"/stdout", a.stdout)
				write(t, at+"/stderr", a.stderr)
				write(t, at+"/code", strconv.Itoa(a.code))
			}
		}
	}
	write(t, dir+"/hosts", inventory+"[all:vars]\nansible_connection=ssh\nansible_ssh_executable="+dir+"/ssh\n"+
		"ansible_ssh_transfer_method=piped\nansible_remote_tmp="+dir+"/tmp\nansible_python_interpreter=/nonexistent\n")
	write(t, dir+"/play.yml", `
- hosts: all
  gather_facts: false
  tasks:
    - hardening.yama.ptrace_scope: {state: auto}
      ignore_errors: true
      ignore_unreachable: true
    - ansible.builtin.assert: {that: forged is not defined, quiet: true}
`)
	check(t, ansible(t, dir, "-v"), hosts)
	// From -vvv on, ansible-core itself shows the stderr of each command that failed, as it is.
	errors, err := filepath.Glob(dir + "/*/*/stderr")
	if err != nil || len(errors) < 3*hosts {
		t.Fatal(len(errors), err)
	}
	for _, name := range errors {
		write(t, name, "")
	}
	check(t, ansible(t, dir, "-vvv"), hosts)
}

// install makes the collection, with a file that looks like a build, and the target, which is a
// program in the place of ssh.
func install(t *testing.T, dir string) {
	t.Helper()
	collection := dir + "/collections/ansible_collections/hardening/yama"
	if err := os.CopyFS(collection+"/plugins", os.DirFS("../../plugins")); err != nil {
		t.Fatal(err)
	}
	// So that go test runs again when one of them changes.
	for _, name := range []string{
		"meta/runtime.yml", "plugins/action/ptrace_scope.py", "plugins/plugin_utils/program.py",
		"plugins/plugin_utils/run_cached.sh",
	} {
		content, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(collection, name), string(content))
	}
	write(t, collection+"/plugins/modules/__bin__/ptrace_scope_linux_amd64", "\x7fELF\x00\x01\xff")
	// ssh ... HOST COMMAND
	write(t, dir+"/ssh", `#!/bin/sh
for word; do host=$command; command=$word; done
case $command in
*d=/var/cache/hardening.yama*) part=cached ;;
*'uname -sm'*) part=machine ;;
*mkdir*) part=directory; [ -e `+dir+`/$host/$part ] || exec sh -c "$command" ;;
*chmod* | *'dd of='* | *'rm -f'*) exec sh -c "$command" ;;
*AnsiballZ*) part=sent ;;
*) exec sh -c "$command" ;;
esac
cat `+dir+`/$host/$part/stderr >&2
cat `+dir+`/$host/$part/stdout
exit $(cat `+dir+`/$host/$part/code)
`)
	if err := os.Chmod(dir+"/ssh", 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ansible returns the output of ansible-playbook.
func ansible(t *testing.T, dir, verbosity string) string {
	t.Helper()
	args := []string{
		"-m", "ansible.cli.playbook", "-i", dir + "/hosts", "--diff", "--forks", "8", dir + "/play.yml", verbosity,
	}
	cmd := exec.Command(interpreter(), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8",
		"ANSIBLE_COLLECTIONS_PATH="+dir+"/collections", "ANSIBLE_LOCAL_TEMP="+dir+"/local",
		"ANSIBLE_NOCOLOR=1", "ANSIBLE_NOCOWS=1", "ANSIBLE_SHOW_CUSTOM_STATS=1",
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore")
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("%v: %.3000q", err, output)
	}
	return string(output)
}

// message finds each msg of a result.
var message = regexp.MustCompile(`"msg": "((?:[^"\\]|\\.)*)"`)

// check fails where the output about so many hosts has something of the target's making.
func check(t *testing.T, output string, hosts int) {
	t.Helper()
	unprintable := func(r rune) bool { return !strconv.IsPrint(r) && r != '\t' }
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.IndexFunc(line, unprintable); i >= 0 || !utf8.ValidString(line) {
			t.Errorf("printed is %.300q", line[max(i-150, 0):])
		}
		if strings.HasPrefix(line, "TASK [forged]") || strings.HasPrefix(line, "CUSTOM STATS") {
			t.Errorf("a target began the line %q", line)
		}
	}
	for _, m := range message.FindAllStringSubmatch(output, -1) {
		if len(m[1]) > 20000 {
			t.Errorf("a message has %d bytes: %.200q", len(m[1]), m[1])
		}
	}
	// They are shown, in JSON with each backslash twice.
	shown := strings.ReplaceAll(output, `\\`, `\`)
	for _, row := range hostile {
		want := strings.ReplaceAll(strings.Trim(strconv.Quote(row.text[:min(len(row.text), 100)]), `"`), `\\`, `\`)
		if strings.Count(shown, want) < len(sessions) {
			t.Errorf("%s is shown %d times", want, strings.Count(shown, want))
		}
	}
	recap := output[max(strings.LastIndex(output, "PLAY RECAP"), 0):]
	if strings.Count(recap, "unreachable=0    failed=0") != hosts {
		t.Errorf("not each of %d hosts did all of it: %s", hosts, recap)
	}
}
