// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hardening.yama/module/internal/printable"
	"hardening.yama/schema"
)

func check(t testing.TB, arguments string) (Values, error) {
	t.Helper()
	var request Request
	if err := request.parse([]byte(arguments)); err != nil {
		t.Fatalf("%s: %v", arguments, err)
	}
	return Check("ptrace_scope", schema.Scope.Options, request.Arguments)
}

// arguments are what users pass, well and badly. Each is checked by us and by the real
// ansible-core.
var arguments = []string{
	`{}`, `{"state":"auto"}`, `{"state":null}`, `{"state":false}`, `{"state":"on"}`, `{"state":{"a":"b"}}`,
	`{"state":["auto"]}`, `{"state":1}`,
	`{"state":"auto","restricted_scope":"high"}`, `{"state":"auto","restricted_scope":"2"}`,
	`{"state":"auto","restricted_scope":2.0}`,
	`{"state":"auto","restricted_scope":1.5}`, `{"state":"auto","restricted_scope":" 3 "}`,
	`{"state":"auto","restricted_scope":[1]}`,
	`{"state":"auto","restricted_scope":9}`, `{"state":"auto","restricted_scope":""}`,
	`{"state":"auto","restricted_scope":null}`,
	`{"state":"auto","restricted_scope":"it's"}`, `{"state":"auto","restricted_scope":{"a":1}}`,
	`{"state":"auto","lock_timeout":"1e2"}`, `{"state":"auto","lock_timeout":"0x10"}`,
	`{"state":"auto","lock_timeout":"1_000"}`,
	`{"state":"auto","lock_timeout":"-1"}`, `{"state":"auto","lock_timeout":"1.50"}`,
	`{"state":"auto","lock_timeout":"+5"}`,
	`{"state":"auto","exact":"maybe"}`, `{"state":"auto","exact":2}`, `{"state":"auto","exact":1.0}`,
	`{"state":"auto","exact":[1]}`,
	`{"state":"auto","exact":null}`, `{"state":"auto","exact":" Yes "}`, `{"state":"auto","exact":"OFF"}`,
	`{"state":"auto","exact":"1.0"}`,
	`{"state":"auto","exact":""}`, `{"state":"auto","exact":0}`,
	`{"state":"auto","debuggers":"a,b"}`, `{"state":"auto","debuggers":5}`, `{"state":"auto","debuggers":1.5}`,
	`{"state":"auto","debuggers":{"a":1}}`,
	`{"state":"auto","debuggers":[1,true,null,"x"]}`, `{"state":"auto","debuggers":""}`,
	`{"state":"auto","debuggers":true}`, `{"state":"auto","debuggers":[]}`,
	`{"state":"auto","reason":5}`, `{"state":"auto","reason":true}`, `{"state":"auto","reason":{"a":1}}`,
	`{"state":"auto","reason":1.0}`,
	`{"state":"auto","reason":null}`, `{"state":"auto","reason":["a","b\n"]}`, `{"state":"auto","reason":"ünï\u2028"}`,
	`{"state":"auto","bogus":1,"other":2}`, `{"bogus":1}`, `{"state":"on","bogus":1}`,
	`{"state":"on","restricted_scope":"high"}`,
	`{"state":"auto","packages":"yes"}`, `{"state":"auto","packages":true}`,
	`{"state":"auto","backend_plugin":{"path":"/x","sha256":"y"}}`, `{"state":"auto","backend_plugin":{"path":"/x"}}`,
	`{"state":"auto","backend_plugin":{}}`, `{"state":"auto","backend_plugin":null}`,
	`{"state":"auto","backend_plugin":""}`,
	`{"state":"auto","backend_plugin":"x"}`, `{"state":"auto","backend_plugin":["a"]}`,
	`{"state":"auto","backend_plugin":[]}`,
	`{"state":"auto","backend_plugin":[{"path":"/x"}]}`, `{"backend_plugin":"x"}`,
	`{"state":"on","backend_plugin":{"bogus":1}}`,
	`{"state":"auto","backend_plugin":"path=/x sha256=y"}`, `{"state":"auto","backend_plugin":"path=/x, sha256='y z'"}`,
	`{"state":"auto","backend_plugin":"path=/x sha256"}`,
	`{"state":"auto","backend_plugin":" path=a\\=b\\ c sha256=\"'\""}`,
	`{"state":"auto","backend_plugin":"{\"path\":\"/x\",\"sha256\":\"y\"}"}`,
	`{"state":"auto","backend_plugin":"{'path': '/x', 'sha256': 'y'}"}`,
	`{"state":"auto","backend_plugin":"{'path'"}`, `{"state":"auto","backend_plugin":"{\"path\":1} x"}`,
	`{"state":"auto","backend_plugin":{"path":"/x","sha256":"y","bogus":1}}`,
	`{"state":"auto","backend_plugin":{"bogus":1}}`,
	`{"state":"auto","backend_plugin":{"path":null,"sha256":1.0}}`,
	`{"state":"auto","backend_plugin":{"path":["a"],"sha256":{"b":true}}}`,
	`{"state":"on","backend_plugin":{}}`, `{"state":"auto","backend_plugin":"path=/x path=/y sha256=z,,"}`,
}

// reference asks the real ansible-core's argument checker for each line of arguments.
const reference = `
import json, sys
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
request = json.load(sys.stdin)
answers = []
for arguments in request["arguments"]:
    result = ArgumentSpecValidator(request["spec"]).validate(json.loads(arguments))
    error = None
    if result.errors.errors:
        error = result.errors.errors[0].msg
        if type(result.errors.errors[0]).__name__ == "UnsupportedError":
            error = "Unsupported parameters for (ptrace_scope) module: " + error
    answers.append({"error": error, "values": None if error else result.validated_parameters})
json.dump(answers, sys.stdout)
`

func TestArgumentsAgreeWithAnsibleCore(t *testing.T) {
	python := filepath.Join("..", "..", "..", ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("ansible-core is not set up (make setup), so its own argument checker cannot be asked")
	}
	spec := map[string]any{}
	for _, o := range schema.Scope.Options {
		entry := map[string]any{"type": o.Type, "required": o.Required}
		for name, value := range map[string]any{"default": o.Default, "choices": o.Choices, "elements": o.Elements} {
			if !reflect.ValueOf(value).IsValid() || reflect.ValueOf(value).IsZero() && name != "default" {
				continue
			}
			entry[name] = value
		}
		if len(o.Suboptions) > 0 {
			below := map[string]any{}
			for _, s := range o.Suboptions {
				below[s.Name] = map[string]any{"type": s.Type, "required": s.Required}
			}
			entry["options"] = below
		}
		spec[o.Name] = entry
	}
	request, err := json.Marshal(map[string]any{"spec": spec, "arguments": arguments})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", reference)
	cmd.Stdin = bytes.NewReader(request)
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []struct {
		Error  *string
		Values map[string]any
	}
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatal(err)
	}
	for i, text := range arguments {
		t.Run(text, func(t *testing.T) {
			values, err := check(t, text)
			want := answers[i]
			switch {
			case err != nil && want.Error != nil:
				// Python prints the set of valid booleans in no fixed order.
				ours, _, _ := strings.Cut(err.Error(), "Valid booleans include")
				theirs, _, _ := strings.Cut(*want.Error, "Valid booleans include")
				if ours != theirs {
					t.Errorf("\nours:   %s\ntheirs: %s", ours, theirs)
				}
			case err != nil:
				t.Errorf("we refuse it, ansible-core does not: %v", err)
			case want.Error != nil:
				t.Errorf("we accept it, ansible-core does not: %s", *want.Error)
			default:
				ours, _ := json.Marshal(values)
				theirs, _ := json.Marshal(want.Values)
				if !bytes.Equal(ours, theirs) {
					t.Errorf("\nours:   %s\ntheirs: %s", ours, theirs)
				}
			}
		})
	}
}

// TestArguments says the same for what matters most, where no ansible-core is at hand, and what we
// do otherwise.
func TestArguments(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                  "missing required arguments: state",
		`{"state":"on"}`:                      "value of state must be one of: auto, permissive, restricted, got: on",
		`{"state":"auto","bogus":1,"also":2}`: "Unsupported parameters for (ptrace_scope) module: also, bogus. Supported parameters include: backend, backend_plugin, catalog, conflicts, debuggers, exact, ignore_debuggers, lock_timeout, packages, persistent, reason, restricted_scope, root, runtime, state, verify, yama_missing.",
		`{"state":"auto","restricted_scope":"high"}`: `argument 'restricted_scope' is of type str and we were unable to convert to int: "'high'" cannot be converted to an int`,
		// Python takes true for 1; a user who writes true for a number has made a mistake.
		`{"state":"auto","restricted_scope":true}`: `argument 'restricted_scope' is of type bool and we were unable to convert to int: "True" cannot be converted to an int`,
		// At a number for a dictionary ansible-core's checker breaks down.
		`{"state":"auto","backend_plugin":1.5}`:   "Value '1.5' in the sub parameter field 'backend_plugin' must be a dict, not 'float'",
		`{"state":"auto","lock_timeout":"1e400"}`: `argument 'lock_timeout' is of type str and we were unable to convert to int: "'1e400'" cannot be converted to an int`,
		`{"state":"auto","exact":"maybe"}`:        `argument 'exact' is of type str and we were unable to convert to bool: The value 'maybe' is not a valid boolean. Valid booleans include: 0, 1, '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'`,
	} {
		if _, err := check(t, text); err == nil || err.Error() != want {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
}

func TestReadRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "args")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"state":"auto","_ansible_check_mode":true,"_ansible_diff":true,"_ansible_inject_invocation":false,"_future":1,"_ansible_no_log":false,` +
		`"_ansible_version":"2.19.0","_ansible_verbosity":3,"_ansible_debug":true,"_ansible_syslog_facility":"LOG_LOCAL1","_ansible_target_log_info":"play",` +
		`"_ansible_module_name":"hardening.yama.__bin__.ptrace_scope_linux_amd64","_ansible_tmpdir":null}`)
	got, err := ReadRequest([]string{"x", file})
	want := Request{Module: "hardening.yama.ptrace_scope", Arguments: map[string]any{"state": "auto"}, Check: true,
		Diff: true,
		Log:  Log{Allowed: true, Facility: "LOG_LOCAL1", Prefix: "play", Debug: true, Verbosity: 3}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v; want %+v", got, err, want)
	}
	// The action plugin gives the object itself to a program that is on the host already.
	got, err = ReadRequest([]string{"x",
		`{"state":"auto","_ansible_module_name":"hardening.yama.__bin__.ptrace_scope_linux_amd64",` +
			`"_hardening_yama_module":"hardening.yama.ptrace_scope_info","_hardening_yama_cache_as":"abc"}`})
	want = Request{Module: "hardening.yama.ptrace_scope_info", Arguments: map[string]any{"state": "auto"},
		Invocation: true, CacheAs: "abc",
		Log: Log{Allowed: true, ByHand: true}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v; want %+v", got, err, want)
	}
	// Only what surely allows it lets a line into the log.
	for value, want := range map[string]bool{"false": true, "true": false, "null": false, `"no"`: false, "0": false} {
		if got, err := ReadRequest([]string{"x", `{"_ansible_no_log":` + value + `}`}); err != nil ||
			got.Log.Allowed != want {
			t.Errorf("with no_log %s a log is allowed: %v, %v", value, got.Log.Allowed, err)
		}
	}
	for name, want := range map[string]string{
		"hardening.yama.__bin__.ptrace_scope_plugins_linux_amd64": "hardening.yama.ptrace_scope",
		"hardening.yama.ptrace_scope_plugins":                     "hardening.yama.ptrace_scope_plugins",
	} {
		if got := asWritten(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for content, want := range map[string]string{
		"":                          "not one JSON object",
		"[]":                        "not one JSON object",
		`{"state":"auto"} x`:        "something follows",
		"\x00\xff":                  "not one JSON object",
		strings.Repeat("[", 100000): "not one JSON object",
		`{"a":"` + strings.Repeat("x", argumentsLimit) + `"}`: "more than",
	} {
		write(content)
		if _, err := ReadRequest([]string{"x", file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got error %v, want one with %q", content, err, want)
		}
	}
	for _, args := range [][]string{{"x"}, {"x", file, "more"}, {"x", file + ".missing"}, {"x", filepath.Dir(file)},
		{"x", `{"state":`}} {
		if _, err := ReadRequest(args); err == nil || !strings.HasPrefix(err.Error(), "read arguments: ") {
			t.Errorf("%q: got error %v", args, err)
		}
	}
}

// TestReply: any report is one line to Go and to Python. Its text comes back printable, in lines
// where a field keeps them.
func TestReply(t *testing.T) {
	type report struct {
		Msg  string `json:"msg"`
		Diff string `json:"diff" lines:"keep"`
	}
	for first := rune(0); first < 0x3000; first += 0x400 {
		var text strings.Builder
		for r := first; r < first+0x400; r++ {
			text.WriteRune(r)
		}
		text.WriteString("\xff")
		var out strings.Builder
		if err := Reply(&out, &report{text.String(), text.String()}); err != nil {
			t.Fatal(err)
		}
		line, found := strings.CutSuffix(strings.TrimPrefix(out.String(), "\n"), "\n")
		// As str.splitlines has them, and more.
		breaks := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 }
		if i := strings.IndexFunc(line, breaks); !found || i >= 0 {
			t.Errorf("there is %q", line[max(i, 0):][:2])
		}
		var back report
		want := report{printable.Line(text.String()), printable.Text(text.String())}
		if err := json.Unmarshal([]byte(line), &back); err != nil || back != want {
			t.Errorf("it came back otherwise: %q, %v", back, err)
		}
	}
}

// FuzzCheck: any object of arguments is either refused with a message or gives a value for every
// option.
func FuzzCheck(f *testing.F) {
	for _, a := range arguments {
		f.Add([]byte(a))
	}
	f.Add([]byte(`{"debuggers": [` + strings.Repeat(`"a",`, 1<<18) + `"a"]}`))
	list := schema.Scope.Options
	f.Fuzz(func(t *testing.T, content []byte) {
		var request Request
		if request.parse(content) != nil {
			return
		}
		values, err := Check("ptrace_scope", list, request.Arguments)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("refused without a word")
			}
			return
		}
		for _, o := range list {
			if _, ok := values[o.Name]; !ok {
				t.Fatalf("no value for %s", o.Name)
			}
		}
	})
}
