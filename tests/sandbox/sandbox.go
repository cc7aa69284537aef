// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package sandbox runs a test program in namespaces of its own. Nothing of this machine is there
// but its kernel and, read-only, a cached Debian root. In the sandbox a test makes hosts: overlays
// over that root, with a stand-in for the kernel's ptrace_scope, where the real program runs.
//
// A test package calls Main from TestMain, and each of its tests begins with Enter:
//
//	func TestMain(m *testing.M) { sandbox.Main(m, sandbox.World{Program: "../../bin/ptrace_scope"}) }
//
// Main executes the test program again in the namespaces. Flags, output and exit status work as in
// any other test.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// World lists the needs of a test package.
type World struct {
	// Program is the path of the built program, relative to the package.
	Program string
	// Strace: the tests trace the program.
	Strace bool
	// Attackers are functions that Host.Attack runs as processes, by name.
	Attackers map[string]func(arguments []string) error
}

const (
	// outsideNamespace holds the mount namespace of the machine, which the sandbox must not be in.
	outsideNamespace = "SANDBOX_OUTSIDE"
	// attackerVariable holds the name of the attacker that this process is.
	attackerVariable = "SANDBOX_ATTACKER"
)

// The directories of the sandbox.
const (
	lowerDir = "/lower"
	toolsDir = "/tools"
	hostsDir = "/hosts"
)

// entered tells whether this process is in the sandbox. missing is the reason why there is none.
var (
	entered bool
	missing string
)

// Main runs the tests in the sandbox and exits. If there can be no sandbox, the tests run without
// it, and Enter skips each of them with the reason.
func Main(m *testing.M, w World) {
	if name := os.Getenv(attackerVariable); name != "" {
		attack := w.Attackers[name]
		if name == container {
			attack = contain
		}
		if err := attack(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "attacker", name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	outside := os.Getenv(outsideNamespace)
	if outside == "" {
		var root string
		if root, missing = needs(w); missing == "" {
			var status int
			if status, missing = again(root); missing == "" {
				os.Exit(status)
			}
		}
		os.Exit(m.Run())
	}
	if err := enter(w, outside); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
	entered = true
	os.Exit(m.Run())
}

// Enter skips a test if there can be no sandbox. It fails a test that runs outside of the sandbox.
func Enter(t testing.TB) {
	t.Helper()
	switch {
	case missing != "":
		t.Skip("no sandbox: ", missing)
	case !entered:
		t.Fatal("this test is not in the sandbox: TestMain has to call sandbox.Main")
	}
}

// needs returns the Debian root, or the reason why there can be no sandbox.
func needs(w World) (root, missing string) {
	if os.Geteuid() != 0 {
		return "", "root is needed, for namespaces, mounts and device nodes"
	}
	if w.Strace {
		if _, err := exec.LookPath("strace"); err != nil {
			return "", "strace is not installed (Debian and Fedora: strace)"
		}
	}
	root, err := Root()
	if err != nil {
		return "", err.Error()
	}
	return root, ""
}

// rootVariable holds the path of the Debian root.
const rootVariable = "SANDBOX_ROOT"

// again executes this program again in new namespaces. It returns the exit status, or the reason
// why there can be no namespaces.
func again(root string) (status int, missing string) {
	outside, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return 1, err.Error()
	}
	runtime.LockOSThread() // Pdeathsig comes when the thread ends that started the process: prctl(2)
	c := exec.Command("/proc/self/exe", insideArguments(os.Args[1:])...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), outsideNamespace+"="+outside, rootVariable+"="+root)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := c.Start(); err != nil {
		return 1, fmt.Sprintf("this machine gives no namespaces (a container needs CAP_SYS_ADMIN): %v", err)
	}
	err = c.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), ""
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	return 1, ""
}

// insideArguments drops -test.testlogfile. The file does not exist in the sandbox, and without it
// the go command caches no result. A cached result would be wrong after a new build of the program.
func insideArguments(arguments []string) []string {
	var inside []string
	for _, argument := range arguments {
		if !strings.HasPrefix(argument, "-test.testlogfile=") {
			inside = append(inside, argument)
		}
	}
	return inside
}

// enter makes the file systems of the sandbox and unmounts those of the machine.
func enter(w World, outside string) error {
	namespace, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	if namespace == outside || os.Getpid() != 1 {
		return errors.New("this process is not in namespaces of its own")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	tools, err := readTools(w)
	if err != nil {
		return err
	}
	lower, err := unix.Open(os.Getenv(rootVariable), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.Getenv(rootVariable), err)
	}
	const world = "/tmp" // every machine has it
	if err := unix.Mount("tmpfs", world, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, dir := range []string{lowerDir, toolsDir, hostsDir, "/proc", "/dev", "/tmp", "/machine"} {
		if err := os.Mkdir(world+dir, 0o755); err != nil {
			return err
		}
	}
	if err := bindReadOnly(fmt.Sprintf("/proc/self/fd/%d", lower), world+lowerDir); err != nil {
		return err
	}
	_ = unix.Close(lower)
	for name, content := range tools {
		if err := os.WriteFile(filepath.Join(world, toolsDir, name), content, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mknod(world+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		return fmt.Errorf("make /dev/null: %w", err)
	}
	if err := unix.Mount("proc", world+"/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if err := unix.PivotRoot(world, world+"/machine"); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/machine", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's file systems: %w", err)
	}
	for name := range map[string]bool{"HOME": true, "TMPDIR": true, "XDG_CACHE_HOME": true} {
		_ = os.Unsetenv(name)
	}
	return guard()
}

// guard returns an error unless all mounts are the sandbox's own and the Debian root is read-only.
func guard() error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		// proc(5): the fifth field is the mount point, the sixth its options; the type is behind "
		// - ".
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 6 || len(kind) < 1 {
			return fmt.Errorf("read mountinfo: %q", line)
		}
		point, readOnly := fields[4], strings.HasPrefix(fields[5], "ro")
		seen[point] = true
		switch {
		case (point == "/" || point == "/proc") && (kind[0] == "tmpfs" || kind[0] == "proc"):
		case point == lowerDir && readOnly:
		default:
			return fmt.Errorf("the sandbox has a mount of the machine: %s", strings.TrimSpace(line))
		}
	}
	if !seen["/"] || !seen[lowerDir] {
		return errors.New("the sandbox has no mount of its own")
	}
	if err := os.WriteFile(lowerDir+"/etc/written", nil, 0o600); !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("the Debian root can be written to: %w", err)
	}
	return nil
}

// bindReadOnly makes a read-only bind mount of a directory.
func bindReadOnly(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	const readOnly = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount("", to, "", readOnly, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", to, err)
	}
	return nil
}

// readTools returns the program under test, and strace with its libraries.
func readTools(w World) (map[string][]byte, error) {
	from := map[string]string{programName: w.Program}
	if w.Strace {
		program, err := exec.LookPath("strace")
		if err != nil {
			return nil, err
		}
		from["strace"] = program
		libraries, err := exec.Command("ldd", program).Output() // it fails for a static program
		if err != nil {
			libraries = nil
		}
		for line := range strings.Lines(string(libraries)) {
			for _, word := range strings.Fields(line) {
				if strings.HasPrefix(word, "/") {
					from[filepath.Base(word)] = word
					if strings.HasPrefix(filepath.Base(word), "ld") {
						from[loaderName] = word
					}
				}
			}
		}
	}
	tools := map[string][]byte{}
	for name, file := range from {
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && name == programName {
			return nil, fmt.Errorf("%w: run make build first", err)
		}
		if err != nil {
			return nil, err
		}
		tools[name] = content
	}
	return tools, nil
}

// The names of the program under test and of the dynamic loader of strace.
const (
	programName = "ptrace_scope"
	loaderName  = "loader"
)
