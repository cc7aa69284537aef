// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/schema"
)

// wantedTrees returns how many random trees scripts/loaders wants, and their seed.
func wantedTrees(t *testing.T) (count int, seed uint64) {
	t.Helper()
	count, err := strconv.Atoi(os.Getenv("LOADERS_TREES"))
	if err != nil {
		t.Fatal("LOADERS_TREES: ", err)
	}
	seed, err = strconv.ParseUint(os.Getenv("LOADERS_SEED"), 10, 64)
	if err != nil {
		t.Fatal("LOADERS_SEED: ", err)
	}
	return count, seed
}

// TestAgainstTheRealLoaders lets the real programs judge random trees. scripts/loaders makes the
// roots they come from, and sets LOADERS_ROOTS (separated by colons), LOADERS_TREES and
// LOADERS_SEED.
//
// The programs run in a mount namespace with a plain file in the place of the kernel's. That file
// takes any text, so what is compared is every text that each program writes, in order; what the
// kernel accepts is TestIntegerOfTheKernel's matter.
func TestAgainstTheRealLoaders(t *testing.T) {
	roots := os.Getenv("LOADERS_ROOTS")
	if roots == "" {
		t.Skip("the real systemd-sysctl and procps are not here; scripts/loaders brings them and runs this test")
	}
	count, seed := wantedTrees(t)
	if err := inNamespace(syscall.CLONE_NEWNS, func() {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Errorf("make mounts private: %v", err)
			return
		}
		var suites []suite
		for _, root := range strings.Split(roots, ":") {
			s, err := newSuite(root, t.TempDir())
			if err != nil {
				t.Errorf("%s: %v", root, err)
				return
			}
			suites = append(suites, s)
		}
		judge(t, suites, count, seed)
	}); err != nil {
		t.Fatal("the real loaders cannot be run: ", err)
	}
}

// inNamespace does something on a thread with namespaces of its own, which end with it: it is never
// unlocked.
func inNamespace(flags int, do func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := syscall.Unshare(flags)
		if err == nil {
			do()
		}
		done <- os.NewSyscallError("unshare", err)
	}()
	return <-done
}

func judge(t *testing.T, suites []suite, count int, seed uint64) {
	start := time.Now()
	for _, c := range cases {
		for _, s := range suites {
			if problem, err := s.compare(c.tree); err != nil || problem != "" {
				t.Errorf("the case %q, %s: %s%v", c.name, s.name, problem, err)
			}
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	wrong := 0
	for n := range count {
		tree := randomTree(random)
		for _, s := range suites {
			problem, err := s.compare(tree)
			if err != nil {
				t.Errorf("tree %d of seed %d, %s: %v", n, seed, s.name, err)
				return
			}
			if problem == "" {
				continue
			}
			smaller := shrink(s, tree)
			problem, _ = s.compare(smaller)
			t.Errorf("%s: %s\n%s", s.name, problem, show(fmt.Sprintf("tree %d of seed %d", n, seed), smaller))
			if wrong++; wrong == 5 {
				return
			}
		}
	}
	for _, s := range suites {
		t.Logf("%s: %s", s.name, s.merged.versions())
	}
	took := time.Since(start)
	t.Logf("seed %d: %d trees by %d versions of both loaders, %d differences, %s (%.0f trees/s)",
		seed, count, len(suites), wrong, took.Round(time.Second), float64(count)/took.Seconds())
}

// A suite is the two loaders of one Debian release, on a host whose /lib is a link and on one where
// it is a folder.
type suite struct {
	name          string
	merged, split *stage
}

func newSuite(root, scratch string) (suite, error) {
	merged, err := newStage(root, filepath.Join(scratch, "merged"), false)
	if err != nil {
		return suite{}, err
	}
	split, err := newStage(root, filepath.Join(scratch, "split"), true)
	return suite{filepath.Base(root), merged, split}, err
}

// compare returns in what the real loaders differ from ours, "" where they agree.
func (s suite) compare(tree []entry) (string, error) {
	if isSplit(tree) {
		return s.split.compare(tree)
	}
	return s.merged.compare(tree)
}

const (
	standIn = "/proc/sys/kernel/yama/ptrace_scope"
	// nothingWritten is what the stand-in holds before a program runs.
	nothingWritten = "nothing written"
)

// A stage is a root in which trees are played: the programs of a release, and folders that are
// cleared for each tree.
type stage struct {
	root  string
	split bool
	host  *host.Host
	watch *watch
}

func newStage(release, root string, split bool) (*stage, error) {
	s := &stage{root: root, split: split}
	type mount struct{ from, at, kind string }
	mounts := []mount{
		{"tmpfs", "", "tmpfs"}, {release + "/usr", "/usr", ""}, {"tmpfs", "/usr/local", "tmpfs"},
		{"tmpfs", sysctld.VendorDir, "tmpfs"},
		{"proc", "/proc", "proc"}, {"tmpfs", "/proc/sys/kernel", "tmpfs"},
	}
	if split {
		mounts = append(mounts, mount{release + "/usr/lib", "/lib", ""}, mount{"tmpfs", sysctld.LibDir, "tmpfs"})
	}
	for _, m := range mounts {
		if err := os.MkdirAll(root+m.at, 0o755); err != nil {
			return nil, err
		}
		flags := uintptr(0)
		if m.kind == "" {
			flags = syscall.MS_BIND
		}
		if err := syscall.Mount(m.from, root+m.at, m.kind, flags, ""); err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, root+"/"+name); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	if err := os.Mkdir(root+"/dev", 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mknod(root+"/dev/null", syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		return nil, fmt.Errorf("make /dev/null: %w", err)
	}
	// What the kernel's command line says is the kernel's to set, and no loader's.
	fake := root + "/cmdline"
	if err := os.WriteFile(fake, []byte("sysctl.kernel.yama.ptrace_scope=3\n"), 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Mount(fake, root+sysctld.CommandLine, "", syscall.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", sysctld.CommandLine, err)
	}
	if err := os.MkdirAll(path.Dir(root+standIn), 0o755); err != nil {
		return nil, err
	}
	var err error
	if s.watch, err = newWatch(root + standIn); err != nil {
		return nil, err
	}
	s.host, err = host.New(root, host.Config{Catalog: schema.Catalog{}})
	return s, err
}

// clear makes the folders empty again.
func (s *stage) clear() error {
	for _, dir := range []string{"/etc", "/run", "/usr/local", sysctld.VendorDir, sysctld.LibDir} {
		if dir == sysctld.LibDir && !s.split {
			continue
		}
		left, _ := os.ReadDir(s.root + dir)
		for _, e := range left {
			if err := os.RemoveAll(path.Join(s.root, dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, dir := range append([]string{path.Dir(credential)}, sysctld.Dirs...) {
		if err := os.MkdirAll(s.root+dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) compare(tree []entry) (string, error) {
	if err := s.clear(); err != nil {
		return "", err
	}
	if err := plant(s.root, tree); err != nil {
		return "", err
	}
	ours, err := s.host.SysctlTree()
	if err != nil {
		return "", err
	}
	for _, stays := range [][2]string{
		{fmt.Sprint(ours.Boot()), fmt.Sprint(ours.BootKept())}, {fmt.Sprint(ours.Reload()),
			fmt.Sprint(ours.ReloadKept())},
	} {
		if stays[0] != stays[1] {
			return fmt.Sprintf("%s stays, expected %s", stays[0], stays[1]), nil
		}
	}
	for _, l := range []struct {
		name   string
		writes []sysctld.Setting
		argv   []string
	}{
		{"systemd-sysctl", ours.BootWrites(), []string{"/usr/lib/systemd/systemd-sysctl"}},
		{"sysctl --system", ours.ReloadWrites(), []string{"/usr/sbin/sysctl", "--system"}},
	} {
		var want []string
		for _, w := range l.writes {
			if w.Path != sysctld.CommandLine { // it is the kernel who writes that
				want = append(want, w.Value)
			}
		}
		if err := s.watch.begin(); err != nil {
			return "", err
		}
		output, err := s.run(l.argv...)
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", l.name, err, output)
		}
		// The same text twice cannot be told from once.
		if got := s.watch.end(); !slices.Equal(got, slices.Compact(want)) {
			return fmt.Sprintf("%s wrote %q, expected %q", l.name, got, want), nil
		}
	}
	return "", nil
}

// run starts a program in the root. What it complains about, and its exit code, are no matter here.
func (s *stage) run(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.root}
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin", "CREDENTIALS_DIRECTORY=" + path.Dir(credential)}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		return output.String(), nil
	}
	return output.String(), err
}

func (s *stage) versions() string {
	systemd, _ := s.run("/usr/lib/systemd/systemd-sysctl", "--version")
	systemd, _, _ = strings.Cut(systemd, "\n")
	procps, _ := s.run("/usr/sbin/sysctl", "--version")
	return systemd + ", " + strings.TrimSpace(procps)
}

// A watch notes every text that a file holds in turn: whoever opens it is kept waiting, by
// fanotify(7), until its content has been noted.
type watch struct {
	file  *os.File
	mutex sync.Mutex
	texts []string
}

func newWatch(name string) (*watch, error) {
	const (
		classContent, closeOnExec = 0x4, 0x1
		markAdd, openPerm         = 0x1, 0x10000
		allow                     = 1
		here                      = -100 // AT_FDCWD
	)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	fan, _, errno := syscall.Syscall(syscall.SYS_FANOTIFY_INIT, classContent|closeOnExec,
		syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, fmt.Errorf("fanotify, without which no write but the last is seen: %w", errno)
	}
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	dir := here
	if _, _, errno := syscall.Syscall6(syscall.SYS_FANOTIFY_MARK, fan, markAdd, openPerm, uintptr(dir),
		uintptr(unsafe.Pointer(text)), 0); errno != 0 {
		return nil, fmt.Errorf("fanotify, without which no write but the last is seen: %w", errno)
	}
	w := &watch{file: file}
	go func() {
		// struct fanotify_event_metadata: length 4, version 1, reserved 1, header 2, mask 8, file
		// 4, process 4.
		events := make([]byte, 4096)
		for {
			n, err := syscall.Read(int(fan), events)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if err != nil {
				return
			}
			for at := 0; at < n; at += int(binary.NativeEndian.Uint32(events[at:])) {
				w.note()
				opened := binary.NativeEndian.Uint32(events[at+16:])
				answer := binary.NativeEndian.AppendUint32(nil, opened)
				_, _ = syscall.Write(int(fan), binary.NativeEndian.AppendUint32(answer, allow))
				_ = syscall.Close(int(opened))
			}
		}
	}()
	return w, nil
}

// note adds what the file holds: the first line, since a short text does not always cut off the
// longer one before.
func (w *watch) note() {
	content, _ := io.ReadAll(io.NewSectionReader(w.file, 0, 1<<30))
	text, _, _ := strings.Cut(string(content), "\n")
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

func (w *watch) begin() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = nil
	if err := w.file.Truncate(0); err != nil {
		return err
	}
	_, err := w.file.WriteAt([]byte(nothingWritten+"\n"), 0)
	return err
}

// end returns what was written since begin.
func (w *watch) end() []string {
	w.note()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	texts := slices.Compact(w.texts)
	if texts[0] == nothingWritten {
		texts = texts[1:]
	}
	return texts
}

// The pieces that trees are made of.
var (
	names = []string{
		"10-a.conf", "10-a.conf", "50-default.conf", "99-sysctl.conf", "ZZ.conf", "zz.conf", "z.conf", "a b.conf",
		"ü.conf", ".conf", ".x.conf",
		"x.conf", "[x].conf", "?.conf", "{x,z}.conf", "*.conf", "x.CONF", "x.conf~", "x.conf.bak", "x", "\xff.conf",
		"{x}.conf", "[!x].conf", "a\\b.conf",
		"~.conf", "-.conf", "[[.x.]].conf", "[a-z].conf", "\\x.conf", "{x,.x}.conf", "{,z}x.conf", "[x", "[x.conf",
		"a\nb.conf", "{x.conf", ".*.conf", "\\.x.conf", "[.]x.conf", "{[x],}.conf", "[{x}].conf", "[x\\].conf",
	}
	keys = []string{
		"kernel.yama.ptrace_scope", "kernel.yama.ptrace_scope", "kernel.yama.ptrace_scope", "kernel/yama/ptrace_scope",
		"/kernel/yama/ptrace_scope",
		"kernel.yama/ptrace_scope", "kernel/yama.ptrace_scope", "kernel//yama/ptrace_scope",
		"kernel/./yama/ptrace_scope", "kernel/yama/../yama/ptrace_scope",
		"kernel/yama/ptrace_scope/", "kernel..yama.ptrace_scope", ".kernel.yama.ptrace_scope",
		"./kernel/yama/ptrace_scope", "kernel/yama/ptrace_scope/.",
		"kernel.yama.*", "kernel.*.ptrace_scope", "*.yama.ptrace_scope", "kernel.yama.ptrace_scop?",
		"kernel.yama.ptrace[_]scope", "kernel.ya[l-n]a.p*e",
		"kernel.yama.ptrace[!x]scope", "kernel.yama.ptrace[^_]scope", "kernel.yama.[[:lower:]]*",
		"kernel.yama.ptrace[[:punct:]]scope", "kernel.{yama,x}.p*",
		"kernel.{x,{y,yama}}.ptrace_scop?", "kernel.*", "*", "kernel/yama/*", "kernel//yama/p*", "kernel.yama.[",
		"kernel.yama.p[", "kernel.yama.ptrace\\_scop*",
		"kernel.yama.**", "kernel.yama.*scope*", "kernel.yama.{}*", "kernel.yama.{ptrace_scope}*",
		"kernel/*/../yama/ptrace_scope", "kernel.yama.[]p]*", "kernel.yama.p*[a-]",
		"Kernel.yama.ptrace_scope", "kernel.yama.ptrace_scopes", "kernel.yama", "yama.ptrace_scope",
		"proc/sys/kernel/yama/ptrace_scope", "", "=", "kernel.yama.ptrace_scope x",
		"kernel.yama.ptrace_scope#", "[k]ernel.yama.ptrace_scope", "kernel/ya*/./ptrace_scope", "k*l/yama/ptrace_scope",
		"kernel.yama.{,}{,}{,}{,}{,}{,}{,}{,}{,}{,}{,}p*", "kernel.{x,{yama,{y,z}}}.{ptrace,{x,p}}*",
		"kernel.yama.[{p,x}{y,t}]*", "{kernel,x}/{y,yama/p}*",
	}
	// atoms stand for a character of a key, marked @, in patterns; most of them match it.
	atoms = []string{
		"?", "*", "[@]", "[!@]", "[^x]", "[a-z_]", "[@-@]", "[[:lower:]_]", "[[:x:]@]", "[[:lower:]", "[[.@.]]",
		"[[=@=]]", "[[.@.]-z]", "[[.space.]@]", "[[=@]",
		"[]@]", "[@", "[\\@]", "[@-]", "[--~]", "[x-c]", "[[:lower:]-z_]", "[@\\]]", "[[@]", "[!]]", "[ü@]", "[a-ü]",
		"[@/]", "[/@]", "[.]", "[[:@", "[[.@]", "[^!@]",
		"\\@", "\\\\@", "{@,x}", "{x,@}", "{@", "@}", "{,@}", "{@,}", "\\{@,x}", "{@\\,x}", "{?,x}", "{[@],x}",
		"[{@,}]", "[[:alpha:][:punct:]]", "[]", "[!]", "[]-~]", "@*", "*@", "***",
		"[\\]@]", "[@\\", "@\\", "[a-[.z.]_]", "[[.-.]@]", "[[:LOWER:]@]", "[[:]@]", "[[=]@]", "[[:upper:]@]",
		"[\xc3@]", "[@-\xff]", "[!\xff]", "\xff",
	}
	prefixes = []string{"", "", "", "", "-", "-", "--", "- ", " ", "\t", "#", ";", " #", "\v", "\f", "\xef\xbb\xbf",
		"\xa0", "-\t", "---", "-;", "-#"}
	equals = []string{"=", " = ", "=", "\t=\t", "= ", "", "", "==", " =\v", "=\f", "\r=", "\x00="}
	values = []string{"0", "1", "2", "3", "4", "-1", "", "0x1", "1 2", "1 # why", "yes", "\"1\"", "1\v", "\xc3\xbc",
		"=", "1=2", "99999999999999999999", "1\x002", "%s%n"}
	endings = []string{"\n", "\n", "\n", "\n", "\r\n", "\r", "\x00", "\n\n", "\n\r", "\r\r", "\x00\n", "\n\x00",
		"\r\x00\n", " \n", "\f\n", "", "\\\n"}
	linkables = []string{
		"/dev/null", "x.conf", "../sysctl.conf", "nowhere", "/etc/sysctl.d/10-a.conf", ".", "/run/sysctl.d/x.conf",
		"zz.conf", "../sysctl.d/ZZ.conf", "/etc/sysctl.conf",
		"../../../../etc/sysctl.d/x", "x/y", "/lib/sysctl.d/x.conf", "/usr/lib/sysctl.d/50-default.conf",
	}
	folders = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/local/lib"}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func randomTree(r *rand.Rand) []entry {
	var tree []entry
	if r.IntN(12) == 0 {
		at := pick(r, folders)
		switch r.IntN(4) {
		case 0:
			tree = append(tree, file(at, randomContent(r)))
		case 1:
			tree = append(tree, link(at, at))
		default:
			tree = append(tree,
				link(at, pick(r,
					[]string{"/etc/real", "/usr/lib/sysctl.d", "../run/sysctl.d", "nowhere", "/etc/sysctl.d"})),
				file("/etc/real/x.conf", randomContent(r)))
		}
	}
	dirs := sysctld.Dirs
	if r.IntN(6) != 0 {
		dirs = dirs[:len(dirs)-1] // /lib is a link
	}
	for range 1 + r.IntN(5) {
		at := path.Join(pick(r, dirs), pick(r, names))
		switch r.IntN(16) {
		case 0, 1:
			tree = append(tree, link(at, pick(r, linkables)))
		case 2:
			tree = append(tree, folder(at))
		case 3:
			tree = append(tree, file(at, ""))
		default:
			tree = append(tree, file(at, randomContent(r)))
		}
	}
	switch r.IntN(6) {
	case 0:
		tree = append(tree, file(conf, randomContent(r)))
	case 1:
		tree = append(tree, link(conf, pick(r, linkables)))
	case 2:
		tree = append(tree, file(credential, randomContent(r)))
	case 3:
		tree = append(tree, link(credential, pick(r, linkables)))
	}
	return tree
}

func randomContent(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(5) {
		if r.IntN(400) == 0 {
			b.WriteString(strings.Repeat("x", 1<<20-2+r.IntN(4)))
		}
		b.WriteString(pick(r, prefixes) + randomKey(r) + pick(r, equals) + pick(r, values) + pick(r, endings))
	}
	return b.String()
}

// randomKey is one of keys, or the key with atoms in the place of some characters.
func randomKey(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return pick(r, keys)
	}
	name := pick(r, keys[2:4])
	for range 1 + r.IntN(2) {
		at := r.IntN(len(name))
		name = name[:at] + strings.ReplaceAll(pick(r, atoms), "@", name[at:at+1]) + name[at+1:]
	}
	return name
}

// shrink takes files, then lines, then characters out of a tree for as long as the loaders still
// differ.
func shrink(s suite, tree []entry) []entry { return shrinkWith(s.compare, tree) }

func shrinkWith(compare func([]entry) (string, error), tree []entry) []entry {
	differs := func(t []entry) bool {
		problem, err := compare(t)
		return err == nil && problem != ""
	}
	without := func(i int) []entry { return slices.Delete(slices.Clone(tree), i, i+1) }
	for i := 0; i < len(tree); {
		if fewer := without(i); differs(fewer) {
			tree, i = fewer, 0
		} else {
			i++
		}
	}
	for i := range tree {
		for _, separator := range []string{"\n", ""} {
			parts := strings.SplitAfter(tree[i].content, separator)
			for j := 0; j < len(parts) && len(parts) < 2000; {
				less := slices.Delete(slices.Clone(parts), j, j+1)
				fewer := slices.Clone(tree)
				fewer[i].content = strings.Join(less, "")
				if differs(fewer) {
					tree, parts = fewer, less
				} else {
					j++
				}
			}
		}
	}
	return tree
}

// show writes a tree as a row of cases, in which what the loaders do is left to be filled in.
func show(name string, tree []entry) string {
	var rows []string
	for _, e := range tree {
		switch {
		case e.dir:
			rows = append(rows, fmt.Sprintf("folder(%q)", e.path))
		case e.link != "":
			rows = append(rows, fmt.Sprintf("link(%q, %q)", e.path, e.link))
		case len(e.content) > 1000:
			rows = append(rows, fmt.Sprintf("file(%q, \"… %d bytes\")", e.path, len(e.content)))
		default:
			rows = append(rows, fmt.Sprintf("file(%q, %q)", e.path, e.content))
		}
	}
	return fmt.Sprintf("\t{%q, []entry{%s}, none, none},", name, strings.Join(rows, ", "))
}
