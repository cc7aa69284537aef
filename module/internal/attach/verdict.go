// SPDX-License-Identifier: GPL-3.0-or-later

package attach

import (
	"bytes"
	"os"
	"strings"
	"syscall"
)

// expected is what an unprivileged process meets at each scope: admin-guide/LSM/Yama.rst.
var expected = []Matrix{
	{},
	{Sibling: syscall.EPERM},
	{syscall.EPERM, syscall.EPERM, syscall.EPERM, syscall.EPERM},
	{syscall.EPERM, syscall.EPERM, syscall.EPERM, syscall.EPERM},
}

// Word says an outcome as the report does.
func Word(e syscall.Errno) string {
	if e == 0 {
		return "allowed"
	}
	if e == syscall.EPERM || e == syscall.EACCES {
		return "denied"
	}
	return e.Error()
}

// Way is one way to trace, and its outcome.
type Way struct {
	Name    string
	Outcome syscall.Errno
	what    string
}

// Ways lists the outcomes.
func (m Matrix) Ways() []Way {
	return []Way{
		{"sibling", m.Sibling, "attach to a process that it did not start"},
		{"child", m.Child, "attach to its own child"},
		{"named", m.Named, "attach to a process that named it with PR_SET_PTRACER"},
		{"traceme", m.Traceme, "be traced by its parent"},
	}
}

// Facts are what else gets in the way of ptrace.
type Facts struct {
	// Seccomp: a filter is in force for us, and for what we start.
	Seccomp bool
	// Container names the container we are in, "" outside of one.
	Container string
	// DenyPtrace: SELinux' boolean deny_ptrace is on.
	DenyPtrace bool
}

// Expect holds a matrix against a scope, -1 without Yama. Loose says what was allowed that should
// not be, and strict what was denied that should be allowed, with the likely cause. Both are empty
// where all is as it should be.
func (m Matrix) Expect(scope int, f Facts) (loose, strict string) {
	want := expected[max(scope, 0)].Ways()
	var allowed, denied []string
	for i, way := range m.Ways() {
		switch {
		case way.Outcome == 0 && want[i].Outcome != 0:
			allowed = append(allowed, way.what)
		case way.Outcome != 0 && want[i].Outcome == 0:
			denied = append(denied, way.what+" ("+Word(way.Outcome)+")")
		}
	}
	if allowed != nil {
		loose = "an unprivileged process may " + strings.Join(allowed, " and ") + ", whatever the scope says"
	}
	if denied != nil {
		strict = "an unprivileged process may not " + strings.Join(denied, " nor ") + ", though the scope lets it: " +
			f.cause()
	}
	return loose, strict
}

// cause names what is likely to deny more than the scope does.
func (f Facts) cause() string {
	var causes []string
	if f.Seccomp {
		causes = append(causes, "a seccomp filter is in force here")
	}
	if f.Container != "" {
		causes = append(causes, "this is a container ("+f.Container+")")
	}
	if f.DenyPtrace {
		causes = append(causes, "SELinux' deny_ptrace is on")
	}
	if causes == nil {
		return "something else than Yama denies it, such as another security module"
	}
	return strings.Join(causes, ", and ")
}

// Seccomp tells whether a filter is in force for this process: proc_pid_status(5).
func Seccomp() bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && bytes.Contains(status, []byte("\nSeccomp:\t2"))
}
