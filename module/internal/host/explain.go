// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/ptrace"
)

// Explain tells what only an explanation needs, of a host that was opened for one and observed. It writes nothing.
func (h *Host) Explain(o ptrace.Observed) (ptrace.Explanation, error) {
	e := ptrace.Explanation{Container: h.container()}
	var err error
	if e.SELinuxDenyPtrace, err = h.denyPtrace(); err != nil {
		return e, err
	}
	if e.Denials, err = h.denials(); err != nil {
		return e, err
	}
	e.Owners = h.owners
	for name, owner := range o.Packaged {
		e.Owners[name] = owner // a link has the owner of what it leads to
	}
	if len(o.Debuggers) > 0 {
		e.Requirers, err = h.requirers()
	}
	return e, err
}

// Prove has processes of ours try to trace each other, and tells what else may be in their way.
func (h *Host) Prove(ctx context.Context) (attach.Matrix, attach.Facts, error) {
	denied, err := h.denyPtrace()
	if err != nil {
		return attach.Matrix{}, attach.Facts{}, err
	}
	facts := attach.Facts{Seccomp: attach.Seccomp(), Container: h.container(), DenyPtrace: denied != nil && *denied}
	matrix, err := attach.Try(ctx)
	return matrix, facts, err
}

// container tells what says that this is a container, "" where nothing does: systemd.io/CONTAINER_INTERFACE, and what
// Podman and Docker leave.
func (h *Host) container() string {
	for _, file := range []string{"/run/systemd/container", "/run/host/container-manager"} {
		if content, err := os.ReadFile(h.path(file)); err == nil {
			return strings.TrimSpace(string(content))
		}
	}
	for file, name := range map[string]string{"/run/.containerenv": "podman", "/.dockerenv": "docker"} {
		if _, err := os.Stat(h.path(file)); err == nil {
			return name
		}
	}
	return ""
}

// denyPtrace reads SELinux' boolean, of which the first number is the present value: selinuxfs.
func (h *Host) denyPtrace() (*bool, error) {
	content, err := os.ReadFile(h.path("/sys/fs/selinux/booleans/deny_ptrace"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	on := bytes.HasPrefix(content, []byte("1"))
	return &on, err
}
