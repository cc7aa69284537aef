// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Run is one run of the program.
type Run struct {
	// Module is ptrace_scope or ptrace_scope_info.
	Module string
	// Arguments are the options and the internal keys, which begin with an underscore.
	Arguments map[string]any
	// Dir is the working directory of the program, / if empty.
	Dir string
	// Limit is the time after which the program and its children are killed.
	Limit time.Duration
}

// memoryLimit bounds the writable memory of the program and of each of its children (RLIMIT_DATA).
// Address space (RLIMIT_AS) is no measure: the Go runtime reserves hundreds of megabytes.
const memoryLimit = 512 << 20

// outputLimit bounds the part of the program's output that is kept.
const outputLimit = 64 << 20

// Outcome is the result of a run.
type Outcome struct {
	Stdout, Stderr string
	// Code is the exit status, -1 if a signal ended the program.
	Code int
	// Hung: the program was killed at the limit.
	Hung bool
	Took time.Duration
	// Left are the command lines of programs that still ran when the program had ended. They were
	// killed.
	Left []string
	// Report is the one line of JSON, nil if there is none or more than one.
	Report map[string]any
}

// Failed returns the key failed of the report.
func (o Outcome) Failed() bool { return o.Report["failed"] == true }

// Text returns a key of the report.
func (o Outcome) Text(key string) string {
	text, _ := o.Report[key].(string)
	return text
}

// Warnings returns the warnings of the report, one on each line.
func (o Outcome) Warnings() string {
	var text strings.Builder
	warnings, _ := o.Report["warnings"].([]any)
	for _, w := range warnings {
		fmt.Fprintln(&text, w)
	}
	return text.String()
}

// Broken says why this is no proper end of a run, "" if it is one. A run ends in time, prints
// exactly one line of JSON with the keys that ansible-core needs, and exits with the status that
// fits.
func (o Outcome) Broken() string {
	switch {
	case o.Hung:
		return "it hangs"
	case o.Report == nil:
		return fmt.Sprintf("no report (status %d): %.200q %.300q", o.Code, o.Stdout, o.Stderr)
	case o.Stderr != "":
		return fmt.Sprintf("it complains on stderr: %.300q", o.Stderr)
	case strings.Contains(o.Text("msg"), "internal error"):
		return o.Text("msg")
	case o.Failed() != (o.Code != 0):
		return fmt.Sprintf("the status is %d, and failed is %v", o.Code, o.Report["failed"])
	}
	return ""
}

const argumentsFile = inHost + "/arguments.json"

// Run runs the program.
func (h *Host) Run(r Run) Outcome {
	c, err := h.program(r)
	if err != nil {
		return Outcome{Stderr: err.Error(), Code: -1}
	}
	o := watch(c, r.Limit)
	o.Left = h.end()
	return o
}

// end kills the programs that run on the host, but for attackers, and returns their command lines.
func (h *Host) end() (commands []string) {
	self, _ := os.Readlink("/proc/self/exe")
	for _, pid := range processes() {
		dir := fmt.Sprintf("/proc/%d", pid)
		root, err := os.Readlink(dir + "/root")
		if err != nil || root != h.Root { // a zombie has none
			continue
		}
		if exe, err := os.Readlink(dir + "/exe"); err != nil || exe == self {
			continue
		}
		command, _ := os.ReadFile(dir + "/cmdline")
		commands = append(commands, strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " "))
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return commands
}

// processes returns the processes of the sandbox.
func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// program returns the command of a run.
func (h *Host) program(r Run) (*exec.Cmd, error) {
	arguments := map[string]any{"_ansible_module_name": r.Module}
	for key, value := range r.Arguments {
		arguments[key] = value
	}
	content, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(h.Root+argumentsFile, content, 0o600); err != nil {
		return nil, err
	}
	c := h.Command(inHost+toolsDir+"/"+programName, argumentsFile)
	if r.Dir != "" {
		c.Dir = r.Dir
	}
	return c, nil
}

// watch runs a command, and kills it at the limit.
func watch(c *exec.Cmd, limit time.Duration) Outcome {
	var stdout, stderr bounded
	c.Stdout, c.Stderr = &stdout, &stderr
	c.WaitDelay = time.Second
	began := time.Now()
	if err := c.Start(); err != nil {
		return Outcome{Stderr: err.Error(), Code: -1}
	}
	for resource, most := range map[int]uint64{unix.RLIMIT_DATA: memoryLimit, unix.RLIMIT_CORE: 0} {
		_ = unix.Prlimit(c.Process.Pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil) // unless it has ended
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	o := Outcome{}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case err = <-ended:
	case <-timer.C:
		o.Hung = true
		for _, pid := range append(descendants(c.Process.Pid), c.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		err = <-ended
	}
	o.Took = time.Since(began)
	o.Stdout, o.Stderr = stdout.String(), stderr.String()
	o.Code = -1
	if c.ProcessState != nil {
		o.Code = c.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !o.Hung {
		o.Stderr += err.Error()
	}
	o.Report = reportIn(o.Stdout)
	return o
}

// reportIn returns the report if the output is one line of JSON and nothing else.
func reportIn(output string) map[string]any {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	var report map[string]any
	if len(lines) != 1 || json.Unmarshal([]byte(lines[0]), &report) != nil {
		return nil
	}
	for _, key := range []string{"changed", "failed"} {
		if _, is := report[key].(bool); !is {
			return nil
		}
	}
	if _, is := report["msg"].(string); !is {
		return nil
	}
	return report
}

// descendants returns the children of a process, their children, and so on.
func descendants(pid int) []int {
	children := map[int][]int{}
	for _, child := range processes() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil {
			continue
		}
		// proc(5): the parent is the second field after the name. The name is in parentheses, and
		// may contain some.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// bounded keeps the first bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := outputLimit - b.Len(); room > 0 {
		_, _ = b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
