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
	"hardening.yama/module/internal/tree"
)

// yamaFile is the key in the running kernel: admin-guide/LSM/Yama.rst.
const yamaFile = sysctlDir + "/yama/ptrace_scope"

// sysctlDir is where every kernel with sysctls has some.
const sysctlDir = "/proc/sys/kernel"

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

// runningKernel observes the value in the running kernel, whose it is, and which one it started
// with.
func (h *Host) runningKernel(o *ptrace.Observed) (err error) {
	if o.KernelDefault, err = h.kernelDefault(); err != nil {
		return err
	}
	if o.Container, err = h.container(); err != nil {
		return err
	}
	if o.Runtime, err = h.yamaPtraceScope(); err != nil || o.Runtime != nil || h.image {
		return err
	}
	// proc(5): a chroot can be without /proc, and subset=pid (systemd's ProcSubset=) leaves
	// /proc/sys out.
	if _, err := h.tree.Stat(sysctlDir); errors.Is(err, fs.ErrNotExist) {
		o.RuntimeUnknown = "/proc/sys is not mounted"
	}
	return nil
}

// kernelDefault returns the value that the kernel starts with, nil if it is not known. A
// distribution's user land also runs on the kernels of others: Debian's on those of Proxmox VE and
// Raspberry Pi. Where the distribution and the kernel tell different values, neither counts.
func (h *Host) kernelDefault() (*ptrace.Scope, error) {
	value := h.distro.KernelDefault
	if !h.image { // the image's kernel is another one
		f, err := h.tree.Read("/proc/version", factLimit)
		if err != nil && !tree.Nobody(err) {
			return nil, err
		}
		for i := range h.catalog.Kernels {
			kernel := &h.catalog.Kernels[i]
			switch {
			case !strings.Contains(string(f.Content), kernel.Version):
			case value == nil:
				value = &kernel.Default
			case *value != kernel.Default:
				value = nil
			}
		}
	}
	if value == nil {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	scope := ptrace.Scope(*value)
	return &scope, nil
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
		return fmt.Errorf("the kernel accepted %s, but still has another value: look for a program that sets it", value)
	}
	return nil
}
