// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Host is a host in the sandbox: an overlay of the Debian root, the layers of a test, and an upper
// layer with the changes.
type Host struct {
	// Root is the path of its root directory in the sandbox.
	Root string
	// Upper is the path of its upper layer.
	Upper string
	dir   string
}

// valueFile stands in for the kernel's value. A tmpfs covers /proc/sys/kernel: the sandbox shares
// the kernel of this machine.
const valueFile = "/proc/sys/kernel/yama/ptrace_scope"

// inHost is the directory of the sandbox on a host, with the tools and the arguments of a run.
const inHost = "/sandbox"

var hosts atomic.Int64

// NewHost makes a host that lasts as long as the test. The first of the layers is the highest. The
// function upper, if any, fills the upper layer before it is mounted.
func NewHost(t testing.TB, upper func(dir string) error, layers ...string) *Host {
	t.Helper()
	h, err := New(upper, layers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// New makes a host. Close it.
func New(upper func(dir string) error, layers ...string) (*Host, error) {
	dir := filepath.Join(hostsDir, strconv.FormatInt(hosts.Add(1), 10))
	h := &Host{Root: dir + "/root", Upper: dir + "/upper", dir: dir}
	for _, name := range []string{dir, h.Root, h.Upper, dir + "/work"} {
		if err := os.Mkdir(name, 0o755); err != nil {
			return nil, err
		}
	}
	if upper != nil {
		if err := upper(h.Upper); err != nil {
			return nil, fmt.Errorf("fill the upper layer: %w", err)
		}
	}
	if err := h.mount(append(layers, lowerDir)); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Host) mount(layers []string) error {
	if err := Overlay(h.Root, h.Upper, h.dir+"/work", layers...); err != nil {
		return err
	}
	for _, f := range []struct{ at, kind, options string }{
		{"/proc", "proc", ""},
		{"/proc/sys/kernel", "tmpfs", "mode=755"},
		{"/dev", "tmpfs", "mode=755"},
		{inHost, "tmpfs", "mode=711"},
	} {
		at := h.Root + f.at
		if info, err := os.Lstat(at); err == nil && !info.IsDir() {
			continue // replaced by an attack
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(f.kind, at, f.kind, 0, f.options); err != nil {
			return fmt.Errorf("mount %s: %w", f.at, err)
		}
	}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := Device(h.Root+"/dev/"+name, minor); err != nil && !os.IsExist(err) {
			return err
		}
	}
	if err := os.Mkdir(filepath.Dir(h.Root+valueFile), 0o755); err != nil {
		return err
	}
	if err := h.SetValue("1"); err != nil {
		return err
	}
	tools := h.Root + inHost + toolsDir
	if err := os.Mkdir(tools, 0o755); err != nil {
		return err
	}
	return bindReadOnly(toolsDir, tools)
}

// Close takes the host down.
func (h *Host) Close() {
	_ = unix.Unmount(h.Root, unix.MNT_DETACH)
	_ = os.RemoveAll(h.dir)
}

// Path returns the path of a file of the host in the sandbox. Absolute links on the way would lead
// to files of the sandbox.
func (h *Host) Path(name string) string { return h.Root + name }

// Value returns the running value.
func (h *Host) Value() string {
	content, err := os.ReadFile(h.Root + valueFile)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(content))
}

// SetValue sets the running value.
func (h *Host) SetValue(value string) error {
	return os.WriteFile(h.Root+valueFile, []byte(value+"\n"), 0o644)
}

// Command returns a command that runs on the host.
func (h *Host) Command(name string, arguments ...string) *exec.Cmd {
	c := &exec.Cmd{Path: name, Args: append([]string{name}, arguments...), Dir: "/", Env: environment}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: h.Root}
	return c
}

var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}

// Must runs a command on the host. The test fails if the command fails.
func (h *Host) Must(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	output, err := h.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, arguments, err, output)
	}
	return string(output)
}

// Attack starts one of World.Attackers on the host as another user. It returns when the attacker
// has printed its first line. The attacker ends with the test, or by stop.
func (h *Host) Attack(t testing.TB, attacker string, user int, arguments ...string) (stop func()) {
	t.Helper()
	c := h.Command("/proc/self/exe", arguments...)
	c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	_, stop = start(t, c, attacker)
	return stop
}

// container is the name of the attacker that Container starts.
const container = "container of the sandbox"

// Container starts a process in a mount namespace of its own, with a directory of the host as its
// root, as container engines do. It returns the process number. The link /proc/PID/root of such a
// process reads "/", which names another directory to all other processes.
func (h *Host) Container(t testing.TB, dir string) (pid int) {
	t.Helper()
	c := exec.Command("/proc/self/exe", h.Root+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	pid, _ = start(t, c, container)
	return pid
}

// contain is the process of Container.
func contain(arguments []string) error {
	root := arguments[0]
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root is stacked on the new one, and then unmounted: pivot_root(2), "pivot_root(".",
	// ".")".
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return Stay(nil)
}

// Stay is an attacker that does nothing until it is ended.
func Stay([]string) error {
	fmt.Println("ready")
	for {
		if err := unix.Pause(); err != unix.EINTR {
			return err
		}
	}
}

// start starts this test program as an attacker and waits for its first line.
func start(t testing.TB, c *exec.Cmd, attacker string) (pid int, stop func()) {
	t.Helper()
	c.Env = append(slices.Clone(environment), attackerVariable+"="+attacker)
	c.Stderr = os.Stderr
	output, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal("start the attacker:", err)
	}
	stop = sync.OnceFunc(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	t.Cleanup(stop)
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal("the attacker ended:", err)
	}
	return c.Process.Pid, stop
}

// Overlay mounts an overlay. The first of the layers is the highest.
func Overlay(at, upper, work string, layers ...string) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(layers, ":"), upper, work)
	if err := unix.Mount("overlay", at, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount an overlay on %s: %w", at, err)
	}
	return nil
}

// Device makes a memory device: null(4) has the minor numbers.
func Device(name string, minor uint32) error {
	if err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
		return &os.PathError{Op: "mknod", Path: name, Err: err}
	}
	return os.Chmod(name, 0o666) // whatever the umask
}
