// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hardening.yama/module/internal/sysctld"
)

// alpineSteps does in its own words what Alpine's /etc/init.d/sysctl does (aports,
// main/openrc/sysctl.initd, commit 5c2fae7b). With LOADERS_ALPINE, a copy of Alpine's own file is
// run instead.
const alpineSteps = `
load() { if [ -f "$1" ]; then sysctl -q -p "$1"; fi; }
start() {
	for f in /lib/sysctl.d/*.conf \
		/usr/lib/sysctl.d/*.conf; do
		name=${f##*/}
		[ -f "/etc/sysctl.d/$name" ] || [ -f "/run/sysctl.d/$name" ] || load "$f"
	done
	for f in /etc/sysctl.d/*.conf; do
		[ -f "/run/sysctl.d/${f##*/}" ] || load "$f" # which runs sysctl -q -p "$f"
	done
	if [ -f /etc/sysctl.conf ]; then sysctl -q -p /etc/sysctl.conf; fi
	for f in /run/sysctl.d/*.conf; do load "$f"; done # with sysctl -q -p "$f", too
}
`

// openrcFunctions stand for those of OpenRC, before a script of its own.
const openrcFunctions = `
yesno() { return 1; }
for f in ebegin eend eindent eoutdent veinfo vebegin veend vewarn eerror; do eval "$f() { :; }"; done
. /etc/init.d/sysctl
start
`

// A boot is a host that does not run systemd: files that tell so, and what its init runs.
type boot struct {
	name    string
	files   []entry
	busybox bool
	run     string
}

const voidScript = "/etc/runit/core-services/08-sysctl.sh"

var openrc = []entry{folder("/run/openrc"), file("/etc/runlevels/boot/sysctl", "")}

func boots(t *testing.T, release string) []boot {
	alpine := alpineSteps
	if script := os.Getenv("LOADERS_ALPINE"); script != "" {
		content, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		alpine = string(content)
	}
	script := func(content string) []entry {
		return append(slices.Clone(openrc), file("/etc/init.d/sysctl", content))
	}
	all := []boot{ //nolint:prealloc // one more at the end
		{"Alpine, busybox", script(alpine), true, openrcFunctions},
		{"Alpine, procps", script(alpine), false, openrcFunctions},
		{"Gentoo", script("start() { sysctl -q --system; }\n"), false, openrcFunctions},
		{"Void", []entry{file(voidScript, "sysctl --system\n")}, false, ". " + voidScript},
	}
	content, err := os.ReadFile(release + "/etc/init.d/procps")
	if err != nil {
		t.Logf("%s has no /etc/init.d/procps, so no Devuan either", release)
		return all
	}
	devuan := []entry{file("/etc/init.d/procps", string(content))}
	return append(all, boot{"Devuan", devuan, false, "/bin/sh /etc/init.d/procps start"})
}

// TestAgainstTheRealBootScripts lets real programs judge random trees on hosts without systemd:
// busybox's sysctl, that of procps, and the scripts that start them. LOADERS_BUSYBOX names a static
// busybox for each root. The rest is as in TestAgainstTheRealLoaders.
func TestAgainstTheRealBootScripts(t *testing.T) {
	roots, busybox := os.Getenv("LOADERS_ROOTS"), os.Getenv("LOADERS_BUSYBOX")
	if roots == "" || busybox == "" {
		t.Skip("the real busybox and procps are not here; scripts/loaders brings them and runs this test")
	}
	count, seed := wantedTrees(t)
	if err := inNamespace(syscall.CLONE_NEWNS, func() {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Errorf("make mounts private: %v", err)
			return
		}
		busyboxes := strings.Split(busybox, ":")
		for i, release := range strings.Split(roots, ":") {
			for _, b := range boots(t, release) {
				if err := b.try(t, release, busyboxes[i], count, seed); err != nil {
					t.Errorf("%s, %s: %v", b.name, filepath.Base(release), err)
				}
			}
		}
	}); err != nil {
		t.Fatal("the real boot scripts cannot be run: ", err)
	}
}

// try compares what a boot writes with what ours says on random trees.
func (b boot) try(t *testing.T, release, busybox string, count int, seed uint64) error {
	stages := map[bool]*stage{}
	for _, split := range []bool{false, true} {
		root := filepath.Join(t.TempDir(), "root")
		var err error
		if stages[split], err = newStage(release, root, split); err == nil && b.busybox {
			err = withBusybox(root, busybox)
		}
		if b.name == "Devuan" {
			err = errors.Join(err, withInit(root))
		}
		for _, dir := range []string{path.Dir(standIn), path.Dir(path.Dir(standIn))} {
			err = errors.Join(err, os.Chmod(root+dir, 0o555))
		}
		if err != nil {
			return err
		}
	}
	random := rand.New(rand.NewPCG(seed, 1))
	wrong := 0
	for n := range count {
		tree := randomTree(random)
		compare := func(tree []entry) (string, error) { return b.compare(stages[isSplit(tree)], tree) }
		problem, err := compare(tree)
		if err != nil {
			return fmt.Errorf("tree %d of seed %d: %w", n, seed, err)
		}
		if problem == "" {
			continue
		}
		smaller := shrinkWith(compare, tree)
		problem, _ = compare(smaller)
		t.Errorf("%s: %s\n%s", b.name, problem, show(fmt.Sprintf("tree %d of seed %d", n, seed), smaller))
		if wrong++; wrong == 5 {
			break
		}
	}
	t.Logf("%s, %s: %d trees of seed %d, %d differences", b.name, filepath.Base(release), count, seed, wrong)
	return nil
}

// withBusybox makes /bin a directory of busybox' programs.
func withBusybox(root, busybox string) error {
	content, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Remove(root+"/bin"), os.Mkdir(root+"/bin", 0o755)); err != nil {
		return err
	}
	if err := os.WriteFile(root+"/bin/busybox", content, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"sh", "sysctl"} {
		if err := os.Symlink("busybox", root+"/bin/"+name); err != nil {
			return err
		}
	}
	return nil
}

// withInit makes /sbin a directory with an init program.
func withInit(root string) error {
	return errors.Join(
		os.Remove(root+"/sbin"),
		os.Mkdir(root+"/sbin", 0o755),
		os.WriteFile(root+"/sbin/init", nil, 0o755),
		os.Symlink("/usr/sbin/sysctl", root+"/sbin/sysctl"),
	)
}

// compare returns in what the real boot differs from ours, "" where it does not.
func (b boot) compare(s *stage, tree []entry) (string, error) {
	if err := s.clear(); err != nil {
		return "", err
	}
	if err := plant(s.root, append(slices.Clone(b.files), tree...)); err != nil {
		return "", err
	}
	ours, err := s.host.SysctlTree()
	if err != nil {
		return "", err
	}
	if got, want := fmt.Sprint(ours.Boot()), fmt.Sprint(ours.BootKept()); got != want {
		return fmt.Sprintf("%s stays, expected %s", got, want), nil
	}
	if !ours.BootKnown() {
		return "", fmt.Errorf("%s is not recognized", b.name)
	}
	var want, vendors []string
	for _, w := range ours.BootWrites() {
		if w.Path != sysctld.CommandLine {
			want = append(want, w.Value)
		}
		if path.Dir(w.Path) == sysctld.VendorDir {
			vendors = append(vendors, w.Value)
		}
	}
	if strings.HasPrefix(b.name, "Alpine") && !s.split {
		want = append(vendors, want...) // read twice, which changes nothing in the end
	}
	if err := s.watch.begin(); err != nil {
		return "", err
	}
	// As in the kernel's directory, no file can be made in that of the stand-in: busybox tries to.
	output, err := s.run("/usr/bin/setpriv", "--bounding-set=-dac_override", "/bin/sh", "-c",
		"PATH=/bin:/sbin:/usr/bin:/usr/sbin LC_ALL=C.UTF-8\n"+b.run)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	if got := s.watch.end(); !slices.Equal(got, slices.Compact(want)) {
		return fmt.Sprintf("wrote %q, expected %q", got, want), nil
	}
	return "", nil
}

// TestBootsOfOthers are cases of boots without systemd, each found or measured with the real
// programs.
func TestBootsOfOthers(t *testing.T) {
	for _, c := range []struct {
		name string
		boot sysctld.Boot
		tree map[string]string
		want string // the source of what stays
	}{
		{"Alpine: /etc/sysctl.conf comes after /etc/sysctl.d", sysctld.Alpine,
			map[string]string{"/etc/sysctl.d/zz-ptrace_scope.conf": "1", "/etc/sysctl.conf": "0"},
			"/etc/sysctl.conf:1"},
		{"Alpine: /run comes last", sysctld.Alpine, map[string]string{"/etc/sysctl.conf": "1",
			"/run/sysctl.d/00-a.conf": "0"}, "/run/sysctl.d/00-a.conf:1"},
		{"Alpine: a distribution's later name comes first", sysctld.Alpine,
			map[string]string{"/usr/lib/sysctl.d/zzz.conf": "0", "/etc/sysctl.d/10-a.conf": "1"},
			"/etc/sysctl.d/10-a.conf:1"},
		{"Alpine: a link to /dev/null masks nothing", sysctld.Alpine,
			map[string]string{"/usr/lib/sysctl.d/10-a.conf": "0", "/etc/sysctl.d/10-a.conf": "mask"},
			"/usr/lib/sysctl.d/10-a.conf:1"},
		{"Alpine: an empty file does", sysctld.Alpine, map[string]string{"/usr/lib/sysctl.d/10-a.conf": "0",
			"/etc/sysctl.d/10-a.conf": ""}, ""},
		{"Alpine: /usr/local/lib is not read", sysctld.Alpine,
			map[string]string{"/usr/local/lib/sysctl.d/10-a.conf": "0"}, ""},
		{"Alpine with procps: the same order", sysctld.AlpineProcps,
			map[string]string{"/etc/sysctl.d/zz.conf": "1", "/etc/sysctl.conf": "0"}, "/etc/sysctl.conf:1"},
		{"Gentoo: /etc/sysctl.conf comes last", sysctld.Procps,
			map[string]string{"/etc/sysctl.d/zz-ptrace_scope.conf": "1", "/etc/sysctl.conf": "0"},
			"/etc/sysctl.conf:1"},
		{"Void: a link to /dev/null masks", sysctld.Procps, map[string]string{"/usr/lib/sysctl.d/10-a.conf": "0",
			"/etc/sysctl.d/10-a.conf": "mask"}, ""},
	} {
		l := sysctld.Loaders{Boot: c.boot}
		tree := treeOf(c.boot)
		for name, value := range c.tree {
			switch value {
			case "mask":
				tree = append(tree, l.Empty(name))
			case "":
				tree = append(tree, l.Read(name, nil, key))
			default:
				tree = append(tree, l.Read(name, []byte("kernel.yama.ptrace_scope = "+value+"\n"), key))
			}
		}
		got := ""
		if s, ok := tree.Boot(); ok {
			got = s.Source()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		for _, p := range tree.Places() {
			if effective := p.Standing == sysctld.Effective && p.Boot; effective != (p.Source() == c.want) {
				t.Errorf("%s: %s is %s at boot", c.name, p.Source(), p.Standing)
			}
		}
	}
}

// TestBusybox: the spellings of the key that busybox' sysctl knows, measured with 1.35 and 1.37.
func TestBusybox(t *testing.T) {
	for text, want := range map[string]string{
		"kernel.yama.ptrace_scope = 1\n": "1", "kernel/yama/ptrace_scope=1": "1", "kernel.yama/ptrace_scope=1": "",
		"kernel/yama.ptrace_scope=1":             "1",
		" \tkernel.yama.ptrace_scope\t= 1 # why": "1 # why", "-kernel.yama.ptrace_scope=1": "", "kernel.yama.*=1": "",
		"kernel.yama.ptrace_scope=":   "",
		"#kernel.yama.ptrace_scope=1": "", "kernel.yama.\\\nptrace_scope=1": "1",
		"/proc/sys/kernel/yama/ptrace_scope=1": "1", "kernel..yama.ptrace_scope=1": "1",
		"kernel//yama/./ptrace_scope=1": "1", "kernel/../kernel/yama/ptrace_scope=1": "1",
		"kernel.yama.ptrace_scope=#1": "", "kernel.yama.ptrace_scope==1": "=1",
	} {
		read := sysctld.Loaders{Boot: sysctld.Alpine}.Read(path.Join(sysctld.Dirs[0], "a.conf"), []byte(text), key)
		tree := append(treeOf(sysctld.Alpine), read)
		got := ""
		for _, w := range tree.BootWrites() {
			got = w.Value
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// treeOf is the tree of a host without files.
func treeOf(b sysctld.Boot) sysctld.Tree {
	f := sysctld.ReadCommandLine(nil, key)
	f.Then = b
	return sysctld.Tree{f}
}
