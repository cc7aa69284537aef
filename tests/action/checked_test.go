// SPDX-License-Identifier: GPL-3.0-or-later

// Package action tests the action plugin. Real shells run its command on real file systems, and a
// real ansible-core reads the answers of a hostile target.
package action

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestMain lets more tests wait at the same time than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// interpreter returns the Python of the environment with ansible-core, "" where there is none. Only
// a variable that a test reads makes go test run again for another environment.
var interpreter = sync.OnceValue(func() string {
	top := os.Getenv("CONTROLLER")
	if top == "" {
		top = filepath.Join("..", "..", ".venv")
	}
	path, err := filepath.Abs(filepath.Join(top, "bin", "python3"))
	if _, missing := os.Stat(path); err != nil || missing != nil {
		return ""
	}
	return path
})

// The program of these tests, and another one of the same size.
const (
	good = "#!/bin/sh\necho good ran\n"
	evil = "#!/bin/sh\necho evil ran\n"
)

// commands returns the command of the action plugin for the program above, and that of check mode,
// which leaves nothing.
var commands = sync.OnceValues(func() (each [2]string, err error) {
	const ask = `
import importlib.util, sys
spec = importlib.util.spec_from_file_location("program", sys.argv[1])
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
for check_mode in False, True:
    print(program.command_of(check_mode, sums="0 " + sys.argv[2], program="ptrace_scope", environment="",
        arguments="'{}'", need=program.NEED))`
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(good)))
	plugin := filepath.Join("..", "..", "plugins", "plugin_utils", "program.py")
	if _, err := os.ReadFile(plugin); err != nil { // so that go test runs again when it changes
		return each, err
	}
	output, err := exec.Command(interpreter(), "-c", ask, plugin, sum).CombinedOutput()
	if lines := strings.Split(string(output), "\n"); err == nil && len(lines) == 3 {
		return [2]string{lines[0], lines[1]}, nil
	}
	return each, fmt.Errorf("%w: %s", err, output)
})

// fileSystem is mounted at /var/cache by a command, which may use the file $dir/image.
type fileSystem struct{ name, mount string }

var (
	// tmpfs has nanoseconds, of the kernel's last tick.
	tmpfs = fileSystem{"tmpfs", "mount -t tmpfs -o mode=755 tmpfs /var/cache"}
	// seconds has whole seconds, because an inode of 128 bytes has no room for more.
	seconds = fileSystem{"ext3 that counts seconds", "truncate -s 8M $dir/image && " +
		"mke2fs -q -t ext3 -I 128 $dir/image >/dev/null 2>&1 && mount -o loop $dir/image /var/cache"}
)

// onTarget runs a script as root and returns its output. The file system is at /var/cache, in a
// mount namespace of its own. The script can use
//
//	run          the command of the action plugin; prints the program's output, or NEED
//	send         puts the program into the cache, as if it were sent now
//	tool NAME    makes a program of its input, and mounts it over the one of that name
//	$f           the program in the cache
func onTarget(t *testing.T, shell string, at fileSystem, checkMode bool, script string) string {
	t.Helper()
	switch {
	case os.Geteuid() != 0:
		t.Skip("cannot run here: to mount a cache needs root")
	case interpreter() == "":
		t.Skip("cannot run here: ansible-core is not set up (make setup)")
	}
	each, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	command := each[0]
	if checkMode {
		command = each[1]
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"command": command, "good": good, "evil": evil} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const prologue = `
		tool() { cat >$dir/$1; chmod 755 $dir/$1; mount --bind $dir/$1 "$(readlink -f "$(command -v $1)")"; }
		run() { $shell -c "$(cat $dir/command)" 2>&1 | sed 's/^hardening.yama needs .*/NEED/'; }
		send() { rm -f $f*; cp $dir/good $f; }
		f=/var/cache/hardening.yama/ptrace_scope-$(sha256sum $dir/good | cut -d ' ' -f 1)
		{ mountpoint -q /var/cache || [ -d /var/cache ]; } && %s || exit 42
		mkdir -m 755 /var/cache/hardening.yama
		`
	script = fmt.Sprintf(prologue, at.mount) + script
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-euc", script)
	cmd.Env = append(os.Environ(), "dir="+dir, "shell="+shell)
	output, err := cmd.CombinedOutput()
	switch {
	case cmd.ProcessState.ExitCode() == 42:
		t.Skipf("cannot run here: %s cannot be mounted", at.name)
	case err != nil:
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

// shells returns the shells of this machine that a target may have as sh.
func shells(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, shell := range []string{"dash", "bash --posix", "busybox sh"} {
		if _, err := exec.LookPath(strings.Fields(shell)[0]); err != nil {
			t.Logf("cannot run here: %s", shell)
			continue
		}
		found = append(found, shell)
	}
	return found
}

// TestChangeInTheSameSecond: root changes the program right after a run has found it right. Inode,
// size and time of change stay the same. The changed program does not run.
func TestChangeInTheSameSecond(t *testing.T) {
	for _, at := range []fileSystem{tmpfs, seconds} {
		for _, shell := range shells(t) {
			t.Run(at.name+"/"+shell, func(t *testing.T) {
				t.Parallel()
				// A second of the file system begins with the first tick in it.
				got := onTarget(t, shell, at, false, `
					for try in 1 2 3 4 5; do
						second=$(date +%s); until [ $(date +%s) -gt $second ]; do sleep 0.01; done; sleep 0.02
						send; run; run
						before=$(stat -c '%i %s %z' $f); cat $dir/evil >$f
						[ "$before" != "$(stat -c '%i %s %z' $f)" ] || echo same
						run
					done`)
				same := strings.Count(got, "same\n")
				got, want := strings.ReplaceAll(got, "same\n", ""), strings.Repeat("good ran\ngood ran\nNEED\n", 5)
				if got != want {
					t.Errorf("got\n%swant\n%s", got, want)
				}
				if at == seconds && same == 0 {
					t.Error("none of the changes was in time, so that this proves nothing")
				}
				t.Logf("%d of 5 changes left inode, size and time of change the same", same)
			})
		}
	}
}

// TestChangeWhileTheContentIsRead: sha256sum is slow, and root changes the program after it was
// read, still in the second of its time of change. That run finds it right. The next run must not.
func TestChangeWhileTheContentIsRead(t *testing.T) {
	for _, shell := range []string{"dash", "bash --posix"} { // that of BusyBox has a sha256sum of its own
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			got := onTarget(t, shell, seconds, false, `
				printf '#!/bin/sh\necho "%s"\ncat %s >%s\nsleep 4\n' "${f##*-}  ${f##*/}" $dir/evil $f | tool sha256sum
				second=$(date +%s); until [ $(date +%s) -gt $second ]; do sleep 0.01; done; sleep 0.02
				send; run; umount "$(readlink -f "$(command -v sha256sum)")"; run`)
			if want := "evil ran\nNEED\n"; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestMarker: the marker is written once the program is three seconds old, and spares reading the
// content from then on, until the program is changed.
func TestMarker(t *testing.T) {
	for _, at := range []fileSystem{tmpfs, seconds} {
		for _, shell := range shells(t) {
			t.Run(at.name+"/"+shell, func(t *testing.T) {
				t.Parallel()
				const want = "good ran\nyoung\ngood ran\n0 -rw-r--r--\nright\ngood ran\nNEED\ngood ran\nyoung again\n"
				got := onTarget(t, shell, at, false, `
					send; run; ls -A $f.checked 2>/dev/null || echo young
					sleep 4; run; stat -c '%u %A' $f.checked
					[ "$(cat $f.checked)" = "$(TZ=UTC0 stat -c '%i %s %z' $f)" ] && echo right
					echo exit 1 | tool sha256sum; run
					umount "$(readlink -f "$(command -v sha256sum)")"
					cat $dir/evil >$f; run
					send; run; ls -A $f.checked 2>/dev/null || echo young again`)
				if got != want {
					t.Errorf("got\n%swant\n%s", got, want)
				}
			})
		}
	}
}

// TestMarkerAndClock: without a clock that says that the program is old enough, there is no marker.
// The program runs all the same.
func TestMarkerAndClock(t *testing.T) {
	clocks := []struct {
		says string
		want string
	}{
		{"echo $(($(stat -c %Z $f) + 2))", "none"},
		{"echo $(($(stat -c %Z $f) + 3))", "marker"},
		{"echo $(($(stat -c %Z $f) - 3600))", "none"}, // it was set back
		{"echo $(($(stat -c %Z $f) + 99999))", "marker"},
		{"echo +%s", "none"}, // as from a date(1) that does not know %s
		{"exit 1", "none"},
		{"echo", "none"},
	}
	script, want := "echo | tool date\n", ""
	for _, clock := range clocks {
		script += "printf '#!/bin/sh\\nf=%s\\n%s\\n' $f '" + clock.says + "' >$dir/date\n" +
			"send; run; if [ -e $f.checked ]; then echo marker; else echo none; fi; run\n"
		want += "good ran\n" + clock.want + "\ngood ran\n"
	}
	for _, shell := range []string{"dash", "bash --posix"} { // that of BusyBox has a date of its own
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if got := onTarget(t, shell, tmpfs, false, script); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestMarkerInCheckMode: check mode uses a marker, and writes none.
func TestMarkerInCheckMode(t *testing.T) {
	t.Parallel()
	got := onTarget(t, "sh", tmpfs, true, `
		printf '#!/bin/sh\necho 99999999999\n' | tool date
		send; run; ls -A ${f%/*} | wc -l
		TZ=UTC0 stat -c '%i %s %z' $f >$f.checked; echo exit 1 | tool sha256sum; run`)
	if want := "good ran\n1\ngood ran\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestMarkerByBusyBox: the tools of BusyBox give the same answers.
func TestMarkerByBusyBox(t *testing.T) {
	t.Parallel()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("cannot run here: there is no busybox")
	}
	got := onTarget(t, "sh", tmpfs, false, `
		for name in stat date sha256sum rm uname; do
			mount --bind '`+busybox+`' "$(readlink -f "$(command -v $name)")"
		done
		send; run; sleep 4; run; cat $f.checked | wc -w
		echo exit 1 | tool sha256sum; run; umount "$(readlink -f "$(command -v sha256sum)")"
		cat $dir/evil >$f; run`)
	if want := "good ran\ngood ran\n5\ngood ran\nNEED\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestOneProcessBesideTheProgram: with a marker, the command starts stat(1) and the program alone.
func TestOneProcessBesideTheProgram(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("cannot run here: there is no strace")
	}
	got := onTarget(t, "sh", tmpfs, false, `
		send; sleep 4; run
		strace -f -qq -e trace=execve -e status=successful -o $dir/trace sh -c "$(cat $dir/command)"
		grep -o 'execve("[^"]*' $dir/trace | sed 's/.*[(/"]//; s/-.*//'`)
	if want := "good ran\ngood ran\nsh\nstat\nptrace_scope\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
