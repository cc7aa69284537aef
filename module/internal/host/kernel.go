// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"hardening.yama/module/internal/ptrace"
)

// yamaFile is the key in the running kernel: admin-guide/LSM/Yama.rst.
const yamaFile = "/proc/sys/kernel/yama/ptrace_scope"

// yamaPtraceScope reads the value in the running kernel, nil on a kernel without Yama.
func (h *Host) yamaPtraceScope() (*ptrace.Scope, error) {
	if h.image {
		return nil, nil //nolint:nilnil // no kernel runs it
	}
	f, err := h.tree.Read(yamaFile, factLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	if err != nil {
		return nil, fmt.Errorf("read the running value: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(f.Content)))
	if scope := ptrace.Scope(n); err == nil && scope.Valid() {
		return &scope, nil
	}
	return nil, fmt.Errorf("read the running value: %s holds %q, which is no scope", yamaFile, f.Content)
}

// lsms reads the kernel's list of security modules, nil where securityfs is not mounted.
func (h *Host) lsms() []string {
	f, err := h.tree.Read("/sys/kernel/security/lsm", factLimit)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(f.Content)), ",")
}

// hints say what an administrator can do about the kernel's refusals.
var hints = map[error]string{
	syscall.EPERM:  "the value belongs to the kernel of the host, and changing it needs CAP_SYS_PTRACE there: in a container, run this on the host, or set runtime to false",
	syscall.EROFS:  "/proc is read-only here, as in a container: run this on the host, or set runtime to false",
	syscall.EACCES: "root is needed: use become",
	syscall.EINVAL: "a kernel that holds 3 keeps it until the next boot",
}

// setYamaPtraceScope sets the running value and reads it back: a write that succeeds is no proof.
func (h *Host) setYamaPtraceScope(value string) error {
	if err := h.tree.WriteValue(yamaFile, value+"\n"); err != nil {
		for cause, hint := range hints {
			if errors.Is(err, cause) {
				return fmt.Errorf("%w: %s", err, hint)
			}
		}
		return err
	}
	now, err := h.yamaPtraceScope()
	if err != nil {
		return err
	}
	if now == nil || now.String() != value {
		return fmt.Errorf("%s was written and taken, but the kernel still holds another value", value)
	}
	return nil
}
