// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAgainstTheRealLoaders lets the real programs judge random trees. scripts/loaders makes the roots they come from, and
// sets LOADERS_ROOTS (separated by colons), LOADERS_TREES and LOADERS_SEED.
//
// Each tree lies in a mount namespace of its own, with a plain file in the place of the kernel's. That file takes any text,
// so what is compared is the last text that each program writes; what the kernel accepts is TestNumber's matter.
func TestAgainstTheRealLoaders(t *testing.T) {
	roots := os.Getenv("LOADERS_ROOTS")
	if roots == "" {
		t.Skip("the real systemd-sysctl and procps are not here; scripts/loaders brings them and runs this test")
	}
	count, err := strconv.Atoi(os.Getenv("LOADERS_TREES"))
	if err != nil {
		t.Fatal("LOADERS_TREES: ", err)
	}
	seed, err := strconv.ParseUint(os.Getenv("LOADERS_SEED"), 10, 64)
	if err != nil {
		t.Fatal("LOADERS_SEED: ", err)
	}
	// The mounts belong to this thread alone and end with it: it is never unlocked.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		judge(t, strings.Split(roots, ":"), count, seed)
	}()
	<-done
}

const standIn = "/proc/sys/kernel/yama/ptrace_scope"

// nothingWritten is what the stand-in holds before a program runs.
const nothingWritten = "nothing written"

func judge(t *testing.T, roots []string, count int, seed uint64) {
	start := time.Now()
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		t.Errorf("unshare mounts: %v", err)
		return
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Errorf("make mounts private: %v", err)
		return
	}
	for _, root := range roots {
		if err := furnish(root); err != nil {
			t.Errorf("%s: %v", root, err)
			return
		}
	}
	for _, c := range cases {
		for _, root := range roots {
			if problem, err := compare(root, c.tree); err != nil || problem != "" {
				t.Errorf("the case %q, %s: %s%v", c.name, filepath.Base(root), problem, err)
			}
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	wrong := 0
	for n := range count {
		tree := randomTree(random)
		for _, root := range roots {
			problem, err := compare(root, tree)
			if err != nil {
				t.Errorf("%s: %v", root, err)
				return
			}
			if problem == "" {
				continue
			}
			smaller := shrink(root, tree)
			problem, _ = compare(root, smaller)
			t.Errorf("tree %d of seed %d, %s: %s\n%s", n, seed, filepath.Base(root), problem, show(smaller))
			if wrong++; wrong == 5 {
				return
			}
		}
	}
	for _, root := range roots {
		t.Logf("%s: %s", filepath.Base(root), versions(root))
	}
	t.Logf("seed %d: %d trees by %d versions of both loaders, %d differences, %s", seed, count, len(roots), wrong, time.Since(start).Round(time.Second))
}

// furnish gives a root the mounts that a tree is written to.
func furnish(root string) error {
	for _, m := range []struct{ fs, at string }{
		{"tmpfs", "/etc"}, {"tmpfs", "/run"}, {"tmpfs", "/usr/local"}, {"tmpfs", "/usr/lib/sysctl.d"}, {"proc", "/proc"}, {"tmpfs", "/proc/sys/kernel"},
	} {
		if err := syscall.Mount(m.fs, root+m.at, m.fs, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for _, dir := range append([]string{path.Dir(standIn), path.Dir(Credentials[0])}, Dirs...) {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func versions(root string) string {
	systemd, _ := run(root, "/usr/lib/systemd/systemd-sysctl", "--version")
	systemd, _, _ = strings.Cut(systemd, "\n")
	procps, _ := run(root, "/sbin/sysctl", "--version")
	return systemd + ", " + strings.TrimSpace(procps)
}

// versionOf returns the number in the name of a library.
func versionOf(root, library string) int {
	found, _ := filepath.Glob(root + "/usr/lib/x86_64-linux-gnu/" + strings.Replace(library, "%d", "*", 1))
	version := -1
	for _, name := range found {
		_, _ = fmt.Sscanf(filepath.Base(name), path.Base(library), &version)
	}
	return version
}

// compare returns in what the real loaders of a root differ from ours, "" where they agree.
func compare(root string, tree []entry) (string, error) {
	written, err := plant(root, tree)
	defer uproot(root, tree)
	if err != nil {
		return "", err
	}
	ours := read(root, written)
	for _, l := range []struct {
		name   string
		writes []Setting
		argv   []string
	}{
		{"systemd-sysctl", ours.bootWrites(), []string{"/usr/lib/systemd/systemd-sysctl"}},
		{"sysctl --system", ours.reloadWrites(), []string{"/sbin/sysctl", "--system"}},
	} {
		want := nothingWritten
		if n := len(l.writes); n > 0 {
			want = l.writes[n-1].Value
		}
		if err := os.WriteFile(root+standIn, []byte(nothingWritten+"\n"), 0o600); err != nil {
			return "", err
		}
		output, err := run(root, l.argv...)
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", l.name, err, output)
		}
		content, err := os.ReadFile(root + standIn)
		if err != nil {
			return "", err
		}
		got, _, _ := strings.Cut(string(content), "\n")
		if got != want {
			return fmt.Sprintf("%s wrote %q, expected %q", l.name, got, want), nil
		}
	}
	return "", nil
}

// run starts a program in a root. What it complains about, and its exit code, are no matter here.
func run(root string, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin", "CREDENTIALS_DIRECTORY=" + path.Dir(Credentials[0])}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		return output.String(), nil
	}
	return output.String(), err
}

// plant writes a tree and returns the paths that came to be: a name that is taken is left out.
func plant(root string, tree []entry) ([]string, error) {
	var paths []string
	for _, e := range tree {
		name := root + e.path
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		var err error
		switch {
		case e.dir:
			err = os.Mkdir(name, 0o755)
		case e.link != "":
			err = os.Symlink(e.link, name)
		case strings.HasPrefix(e.path, "/etc/other/"):
			continue // no loader's directory
		default:
			err = os.WriteFile(name, []byte(e.content), 0o600)
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, e.path)
	}
	return paths, nil
}

func uproot(root string, tree []entry) {
	for _, e := range tree {
		_ = os.Remove(root + e.path)
	}
}

// read is the tree as the host adapter would see it: links are followed inside the root, and what cannot be read is empty.
func read(root string, paths []string) Tree {
	loaders := LoadersOf(versionOf(root, "systemd/libsystemd-shared-%d.so"), versionOf(root, "libproc2.so.%d"))
	var tree Tree
	for _, p := range paths {
		target, info, loops := follow(root, p)
		switch {
		case info == nil:
			tree = append(tree, loaders.Nowhere(p, loops))
		case info.Mode().IsRegular():
			content, _ := os.ReadFile(root + target) // our own file
			tree = append(tree, loaders.Read(p, content, key))
		default:
			tree = append(tree, File{Path: p, Mask: true})
		}
	}
	return tree
}

// follow resolves links as the chroot does. There is no info on what leads nowhere.
func follow(root, name string) (target string, info os.FileInfo, loops bool) {
	for range 10 {
		info, err := os.Lstat(root + name)
		if err != nil {
			return "", nil, false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			return name, info, false
		}
		target, _ := os.Readlink(root + name)
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		name = target
	}
	return "", nil, true
}

// The pieces that trees are made of.
var (
	names = []string{
		"10-a.conf", "10-a.conf", "50-default.conf", "99-sysctl.conf", "ZZ.conf", "zz.conf", "z.conf", "a b.conf", "ü.conf", ".conf", ".x.conf",
		"x.conf", "[x].conf", "?.conf", "{x,z}.conf", "*.conf", "x.CONF", "x.conf~", "x.conf.bak", "x", "\xff.conf", "{x}.conf", "[!x].conf", "a\\b.conf",
	}
	keys = []string{
		"kernel.yama.ptrace_scope", "kernel.yama.ptrace_scope", "kernel.yama.ptrace_scope", "kernel/yama/ptrace_scope", "/kernel/yama/ptrace_scope",
		"kernel.yama/ptrace_scope", "kernel/yama.ptrace_scope", "kernel//yama/ptrace_scope", "kernel/./yama/ptrace_scope", "kernel/yama/../yama/ptrace_scope",
		"kernel/yama/ptrace_scope/", "kernel..yama.ptrace_scope", ".kernel.yama.ptrace_scope", "./kernel/yama/ptrace_scope", "kernel/yama/ptrace_scope/.",
		"kernel.yama.*", "kernel.*.ptrace_scope", "*.yama.ptrace_scope", "kernel.yama.ptrace_scop?", "kernel.yama.ptrace[_]scope", "kernel.ya[l-n]a.p*e",
		"kernel.yama.ptrace[!x]scope", "kernel.yama.ptrace[^_]scope", "kernel.yama.[[:lower:]]*", "kernel.yama.ptrace[[:punct:]]scope", "kernel.{yama,x}.p*",
		"kernel.{x,{y,yama}}.ptrace_scop?", "kernel.*", "*", "kernel/yama/*", "kernel//yama/p*", "kernel.yama.[", "kernel.yama.p[", "kernel.yama.ptrace\\_scop*",
		"kernel.yama.**", "kernel.yama.*scope*", "kernel.yama.{}*", "kernel.yama.{ptrace_scope}*", "kernel/*/../yama/ptrace_scope", "kernel.yama.[]p]*", "kernel.yama.p*[a-]",
		"Kernel.yama.ptrace_scope", "kernel.yama.ptrace_scopes", "kernel.yama", "yama.ptrace_scope", "proc/sys/kernel/yama/ptrace_scope", "", "=", "kernel.yama.ptrace_scope x",
		"kernel.yama.ptrace_scope#", "[k]ernel.yama.ptrace_scope", "kernel/ya*/./ptrace_scope", "k*l/yama/ptrace_scope",
	}
	prefixes  = []string{"", "", "", "", "-", "-", "--", "- ", " ", "\t", "#", ";", " #", "\v", "\f", "\xef\xbb\xbf", "\xa0", "-\t"}
	equals    = []string{"=", " = ", "=", "\t=\t", "= ", "", "", "==", " =\v", "=\f", "\r="}
	values    = []string{"0", "1", "2", "3", "4", "-1", "", "0x1", "1 2", "1 # why", "yes", "\"1\"", "1\v", "\xc3\xbc", "=", "1=2", "99999999999999999999"}
	endings   = []string{"\n", "\n", "\n", "\n", "\r\n", "\r", "\x00", "\n\n", "\n\r", "\r\r", "\x00\n", "\n\x00", "\r\x00\n", " \n", "\f\n", "", "\\\n"}
	linkables = []string{"/dev/null", "x.conf", "../sysctl.conf", "nowhere", "/etc/sysctl.d/10-a.conf", ".", "/run/sysctl.d/x.conf", "zz.conf"}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func randomTree(r *rand.Rand) []entry {
	var tree []entry
	for range 1 + r.IntN(5) {
		e := entry{path: path.Join(pick(r, Dirs), pick(r, names))}
		switch r.IntN(16) {
		case 0, 1:
			e.link = pick(r, linkables)
		case 2:
			e.dir = true
		case 3:
		default:
			e.content = randomContent(r)
		}
		tree = append(tree, e)
	}
	switch r.IntN(6) {
	case 0:
		tree = append(tree, entry{path: Conf, content: randomContent(r)})
	case 1:
		tree = append(tree, entry{path: Conf, link: pick(r, linkables)})
	case 2:
		tree = append(tree, entry{path: Credentials[0], content: randomContent(r)})
	}
	return tree
}

func randomContent(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(5) {
		if r.IntN(400) == 0 {
			b.WriteString(strings.Repeat("x", 1<<20-2+r.IntN(4)))
		}
		b.WriteString(pick(r, prefixes) + pick(r, keys) + pick(r, equals) + pick(r, values) + pick(r, endings))
	}
	return b.String()
}

// shrink takes files, and then lines, out of a tree for as long as the loaders still differ.
func shrink(root string, tree []entry) []entry {
	differs := func(t []entry) bool {
		problem, err := compare(root, t)
		return err == nil && problem != ""
	}
	for again := true; again; {
		again = false
		for i := range tree {
			fewer := append(append([]entry{}, tree[:i]...), tree[i+1:]...)
			if differs(fewer) {
				tree, again = fewer, true
				break
			}
		}
	}
	for i := range tree {
		lines := strings.SplitAfter(tree[i].content, "\n")
		for j := 0; j < len(lines); {
			fewer := append([]entry{}, tree...)
			fewer[i].content = strings.Join(append(append([]string{}, lines[:j]...), lines[j+1:]...), "")
			if len(lines) > 1 && differs(fewer) {
				tree, lines = fewer, append(lines[:j], lines[j+1:]...)
			} else {
				j++
			}
		}
	}
	return tree
}

// show writes a tree as the cases of TestLoaders have it.
func show(tree []entry) string {
	var b strings.Builder
	for _, e := range tree {
		switch {
		case e.dir:
			fmt.Fprintf(&b, "\t%q is a directory\n", e.path)
		case e.link != "":
			fmt.Fprintf(&b, "\t%q is a link to %q\n", e.path, e.link)
		case len(e.content) > 1000:
			fmt.Fprintf(&b, "\t%q, … %d bytes\n", e.path, len(e.content))
		default:
			fmt.Fprintf(&b, "\t%q, %q,\n", e.path, e.content)
		}
	}
	return b.String()
}
