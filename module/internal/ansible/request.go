// SPDX-License-Identifier: GPL-3.0-or-later

// Package ansible speaks the protocol between ansible-core and a binary module: a file of arguments
// in, one line of JSON out.
package ansible

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"hardening.yama/module/internal/printable"
)

// Request is what ansible-core asks for.
type Request struct {
	// Module is the module's name as the user wrote it.
	Module string
	// Arguments are the user's, without the internal ones.
	Arguments map[string]any
	Check     bool
	Diff      bool
	// Invocation tells whether the report shows the arguments: ansible-core up to 2.20 leaves that
	// to the module.
	Invocation bool
	// CacheAs is the checksum under which the program is to stay on the host for the next task,
	// empty where it is not.
	CacheAs string
	// Catalog is the site's catalog, where the action plugin has read it.
	Catalog any
	Log     Log
}

// Log is what ansible-core wants logged.
type Log struct {
	// Allowed: neither the task has no_log nor the configuration no_target_syslog, which
	// ansible-core makes one.
	Allowed bool
	// Facility is the name of syslog's, Prefix what stands before each line.
	Facility, Prefix string
	Debug            bool
	// Verbosity counts the user's -v.
	Verbosity int
	// ByHand: it was not ansible-core that wrote the arguments.
	ByHand bool
}

// argumentsLimit bounds the arguments file: the longest sensible one has some kilobytes.
const argumentsLimit = 8 << 20

// defaultModule is the name when ansible-core gives none.
const defaultModule = "ptrace_scope"

// asWritten returns the module's name as the user wrote it, where ansible-core has the name of a
// build of ours for it.
func asWritten(name string) string {
	before, build, ours := strings.Cut(name, "__bin__.")
	module, arch, found := strings.Cut(build, "_linux_")
	if !ours || !found || module == "" || arch == "" || strings.ContainsAny(build, "./ ") {
		return name
	}
	return before + strings.TrimSuffix(module, "_plugins")
}

// CommandLine returns the program's command line, and takes the object of arguments off it: the
// journal notes the command line of whoever logs, and there may be secrets in it.
func CommandLine() []string {
	args := make([]string, 0, len(os.Args))
	for _, arg := range os.Args {
		args = append(args, strings.Clone(arg))
		if strings.HasPrefix(arg, "{") {
			// #nosec G103 -- the kernel's copy of it, which is our own stack
			clear(unsafe.Slice(unsafe.StringData(arg), len(arg)))
		}
	}
	return args
}

// ReadRequest reads the arguments file that the command line names. Even with an error the request
// is as complete as could be read, so that the failure can be reported as ansible-core wants it.
func ReadRequest(args []string) (Request, error) {
	request := Request{Module: defaultModule, Invocation: true}
	if len(args) != 2 {
		return request,
			errors.New("read arguments: this is an Ansible module: give it the path of a JSON file with its arguments")
	}
	// The action plugin gives the object itself to a program that is on the host already.
	if strings.HasPrefix(args[1], "{") {
		return request, request.parse([]byte(args[1]))
	}
	f, err := os.Open(args[1])
	if err != nil {
		return request, fmt.Errorf("read arguments: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(io.LimitReader(f, argumentsLimit+1))
	if err != nil {
		return request, fmt.Errorf("read arguments: %w", err)
	}
	if len(content) > argumentsLimit {
		return request, fmt.Errorf("read arguments: %q has more than %d bytes", args[1], argumentsLimit)
	}
	return request, request.parse(content)
}

// parse reads one JSON object. Every key that begins with an underscore is ansible-core's own.
func (r *Request) parse(content []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return fmt.Errorf("read arguments: not one JSON object: %w", err)
	}
	if object == nil {
		return errors.New("read arguments: not one JSON object: null")
	}
	r.Arguments = map[string]any{}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read arguments: something follows the JSON object")
	}
	for key, value := range object {
		if !strings.HasPrefix(key, "_") {
			r.Arguments[key] = value
		}
	}
	truth := func(key string, otherwise bool) bool {
		if value, ok := object[key].(bool); ok {
			return value
		}
		return otherwise
	}
	r.Check = truth("_ansible_check_mode", false)
	r.Diff = truth("_ansible_diff", false)
	r.Invocation = truth("_ansible_inject_invocation", true)
	r.CacheAs, _ = object["_hardening_yama_cache_as"].(string)
	r.Catalog = object["_hardening_yama_catalog"]
	r.Log = logOf(object)
	// To ansible-core the module is the name of a build; the action plugin tells what the user
	// wrote.
	for _, key := range []string{"_ansible_module_name", "_hardening_yama_module"} {
		if name, ok := object[key].(string); ok && name != "" {
			r.Module = asWritten(name)
		}
	}
	return nil
}

// logOf reads what is wanted of the log. What is no truth does not allow it.
func logOf(object map[string]any) Log {
	var l Log
	forbidden, given := object["_ansible_no_log"]
	l.Allowed = !given || forbidden == false
	l.Facility, _ = object["_ansible_syslog_facility"].(string)
	l.Prefix, _ = object["_ansible_target_log_info"].(string)
	l.Debug, _ = object["_ansible_debug"].(bool)
	if n, ok := object["_ansible_verbosity"].(json.Number); ok {
		l.Verbosity, _ = strconv.Atoi(n.String())
	}
	_, started := object["_ansible_version"]
	l.ByHand = !started
	return l
}

// Reply prints a report: a line break, then one line of JSON. The line break separates that line
// from output that ssh merged into the stream. Every string of the report is made printable first:
// ansible-core shows most of them as they are.
func Reply(w io.Writer, report any) error {
	line := bytes.NewBufferString("\n")
	encoder := json.NewEncoder(line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(printable.All(report)); err != nil {
		return err
	}
	_, err := w.Write(line.Bytes())
	return err
}
