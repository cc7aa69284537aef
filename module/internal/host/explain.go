// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/tree"
)

// Explain tells what only an explanation needs, of a host that was opened for one and observed. It
// writes nothing.
func (h *Host) Explain(o ptrace.Observed) (ptrace.Explanation, error) {
	var e ptrace.Explanation
	var err error
	if e.SELinuxDenyPtrace, err = h.denyPtrace(); err != nil {
		return e, err
	}
	if e.Denials, err = h.denials(); err != nil {
		return e, err
	}
	e.Owners = h.owners
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
	container, err := h.container()
	if err != nil {
		return attach.Matrix{}, attach.Facts{}, err
	}
	facts := attach.Facts{Seccomp: attach.Seccomp(), Container: container, DenyPtrace: denied != nil && *denied}
	matrix, err := attach.Try(ctx)
	return matrix, facts, err
}

// container tells what says that this is a container, "" where nothing does:
// systemd.io/CONTAINER_INTERFACE, and what Podman and Docker leave. WSL 2 calls itself one, too,
// but its kernel is its own.
func (h *Host) container() (string, error) {
	if h.image {
		return "", nil
	}
	for _, file := range []string{"/run/systemd/container", "/run/host/container-manager"} {
		f, err := h.tree.Read(file, factLimit)
		if err == nil {
			name := strings.TrimSpace(string(f.Content))
			return map[bool]string{false: name}[name == "wsl"], nil
		}
		if !tree.Nobody(err) && !errors.Is(err, fs.ErrPermission) {
			return "", err
		}
	}
	for _, engine := range []struct{ file, name string }{{"/run/.containerenv", "podman"}, {"/.dockerenv", "docker"}} {
		// A virtual machine whose disk was made of a container's image has the file, too.
		if _, err := h.tree.Stat(engine.file); err == nil && !h.inInitialNamespaces() {
			return engine.name, nil
		}
	}
	return "", nil
}

// initialNamespaces are two of those in which a kernel starts its init (PROC_UTS_INIT_INO and
// PROC_IPC_INIT_INO of linux/proc_ns.h). Engines give each container its own.
var initialNamespaces = [][2]string{{"uts", "uts:[4026531838]"}, {"ipc", "ipc:[4026531839]"}}

func (h *Host) inInitialNamespaces() bool {
	dir := "/proc/" + strconv.Itoa(os.Getpid()) // a tree follows no link of /proc, such as self
	for _, namespace := range initialNamespaces {
		if found, err := h.tree.Readlink(path.Join(dir, "ns", namespace[0])); err != nil || found != namespace[1] {
			return false
		}
	}
	return true
}

// denyPtrace reads SELinux' boolean, of which the first number is the present value: selinuxfs.
func (h *Host) denyPtrace() (*bool, error) {
	f, err := h.tree.Read("/sys/fs/selinux/booleans/deny_ptrace", factLimit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil //nolint:nilnil // absent is an answer here, and not an error
	}
	on := bytes.HasPrefix(f.Content, []byte("1"))
	return &on, err
}
