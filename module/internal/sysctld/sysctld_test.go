// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"hardening.yama/module/internal/sysctld"
)

const key = "kernel/yama/ptrace_scope"

func TestNumber(t *testing.T) {
	for value, want := range map[string]int{
		"0": 0, "1": 1, "0x2": 2, "0X3": 3, "03": 3, "00000000000000000001": 1, "-0": 0, "1 # why": 1, "\v2\t1": 2,
		"3\nx": 3,
	} {
		if got, ok := sysctld.Number(value); !ok || got != want {
			t.Errorf("%q: got %d, %t; want %d", value, got, ok, want)
		}
	}
	for _, value := range []string{
		"", " ", "one", "4", "-1", "+1", "08", "0x", "0b1", "0o1", "1_0", "1#", "1,2", "1\v", "000000000000000000001",
		"99999999999999999999",
	} {
		if got, ok := sysctld.Number(value); ok {
			t.Errorf("%q: got %d, want none", value, got)
		}
	}
}

// TestPlaces: each place says what becomes of it, and by what.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name string
		tree []entry
		want string
	}{
		{"one", one(set("1")), a + ":1=1 effective both"},
		{
			"overridden by a later name, in the same file, and by the same name in a higher directory",
			files("/etc/sysctl.d/a.conf", set("0")+set("2"), "/usr/lib/sysctl.d/a.conf", set("0"), b, set("1")),
			a + ":1=0 overridden by " + b + ":1 both|" + a + ":2=2 overridden by " + b + ":1 both|" + b +
				":1=1 effective both|" +
				"/usr/lib/sysctl.d/a.conf:1=0 overridden by " + a + " both",
		},
		{
			"masked", files("/usr/lib/sysctl.d/a.conf", set("0"), "/run/sysctl.d/a.conf", ""),
			"/usr/lib/sysctl.d/a.conf:1=0 masked by /run/sysctl.d/a.conf both",
		},
		{"refused", files(a, set("9"), conf, set("yes")), conf + ":1=yes refused reload|" + a + ":1=9 refused both"},
		{"the loaders disagree", files(a, set("1"), conf, set("0")),
			conf + ":1=0 effective reload|" + a + ":1=1 effective boot"},
		{"a pattern under a name", one("kernel.yama.*=0\n" + set("1")),
			a + ":1=0 overridden by " + a + ":2 both|" + a + ":2=1 effective both"},
		{
			"a loop hides from procps alone", []entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link(a, a)},
			"/usr/lib/sysctl.d/a.conf:1=0 effective boot",
		},
		{"excluded", one("kernel.yama.*=0\n-kernel.yama.ptrace_scope\n"), a + ":1=0 overridden both"},
	} {
		tree := grow(t, c.tree)
		places := tree.Places()
		got := make([]string, 0, len(places))
		for _, p := range places {
			text := p.Source() + "=" + p.Value + " " + string(p.Standing)
			if p.By != "" {
				text += " by " + p.By
			}
			got = append(got,
				text+" "+map[[2]bool]string{{true, true}: "both", {true, false}: "boot",
					{false, true}: "reload"}[[2]bool{p.Boot, p.Reload}])
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s\n got: %s\nwant: %s", c.name, strings.Join(got, "|"), c.want)
		}
	}
}

// TestCommandLine: the kernel's own settings come first, and stay where no file names the key.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name, commandLine string
		files             []string
		want              string
	}{
		{"nothing for us", "quiet sysctl.kernel.sysrq=1 sysctl.kernel.yama.ptrace_scope", nil, ""},
		{"a setting", "ro sysctl.kernel.yama.ptrace_scope=2 quiet", nil, "/proc/cmdline:1=2"},
		{"slashes", "sysctl/kernel/yama/ptrace_scope=2", nil, "/proc/cmdline:1=2"},
		{"the last one counts", "sysctl.kernel.yama.ptrace_scope=2 sysctl.kernel.yama.ptrace_scope=1", nil,
			"/proc/cmdline:1=1"},
		{"one that is refused", "sysctl.kernel.yama.ptrace_scope=1 sysctl.kernel.yama.ptrace_scope=9", nil,
			"/proc/cmdline:1=1"},
		{"what is for init", "-- sysctl.kernel.yama.ptrace_scope=1", nil, ""},
		{"a file comes later", "sysctl.kernel.yama.ptrace_scope=2", []string{a, set("1")}, a + ":1=1"},
		{"3 is left by no file", "sysctl.kernel.yama.ptrace_scope=3", []string{a, set("1")}, "/proc/cmdline:1=3"},
		{"a pattern sets what the command line has set", "sysctl.kernel.yama.ptrace_scope=2",
			[]string{a, "kernel.yama.*=1"}, a + ":1=1"},
	} {
		tree := sysctld.Tree{sysctld.ReadCommandLine([]byte(c.commandLine), key)}
		for i := 0; i < len(c.files); i += 2 {
			tree = append(tree, sysctld.Loaders{}.Read(c.files[i], []byte(c.files[i+1]), key))
		}
		got := ""
		if s, ok := tree.Boot(); ok {
			got = s.Source() + "=" + s.Value
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if s, ok := tree.Reload(); ok && s.Path == sysctld.CommandLine {
			t.Errorf("%s: procps reads no command line", c.name)
		}
	}
}

// FuzzRead: whatever a file holds, each setting lies in the file, and no content takes long.
func FuzzRead(f *testing.F) {
	f.Add([]byte(set("1")))
	f.Add([]byte("-kernel/yama/ptrace_scope\r\nkernel.yama.*=0x1\x00\n"))
	f.Add([]byte("\xef\xbb\xbfkernel.yama.ptrace_scope=1\n[=\n-[\n*{a,{b,c}}[[:x:]]=1\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		count := bytes.Count(content, []byte("\n")) + 1
		tree := sysctld.Tree{sysctld.Loaders{}.Read(a, content, key)}
		for _, writes := range [][]sysctld.Setting{tree.BootWrites(), tree.ReloadWrites()} {
			for _, w := range writes {
				if w.Line < 1 || w.Line > count || !bytes.Contains(content, []byte(w.Value)) {
					t.Fatalf("line %d of %d: %q", w.Line, count, w.Value)
				}
			}
		}
	})
}

// TestCommentOut: what is unwanted is a comment to both loaders then, and the rest is as it was.
func TestCommentOut(t *testing.T) {
	const marked = "#hardening.yama# "
	for content, want := range map[string]string{
		"a=1\n  kernel.yama.ptrace_scope = 0\nb=2": "a=1\n" + marked +
			"  kernel.yama.ptrace_scope = 0\nb=2",
		"kernel.yama.ptrace_scope=1\nkernel/yama/*=0\r\n": "kernel.yama.ptrace_scope=1\n" + marked +
			"kernel/yama/*=0\r\n",
		"x=1\rkernel.yama.ptrace_scope=0\x00": "x=1\r" + marked +
			"kernel.yama.ptrace_scope=0\x00",
		"-kernel.yama.ptrace_scope\n# kernel.yama.ptrace_scope=0\n": "-kernel.yama.ptrace_scope\n# kernel.yama.ptrace_scope=0\n",
	} {
		got := sysctld.Loaders{}.CommentOut([]byte(content), key,
			func(_ int, value string) bool { return value == "0" })
		if string(got) != want {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
}

func TestSaysNothing(t *testing.T) {
	for content, want := range map[string]bool{
		"": true, "\n\r\n": true, " # a=1\n;b=2\n\t\n": true, "#\ra=1": false, "a": false, "#\n-a=1\n": false,
	} {
		if got := sysctld.SaysNothing([]byte(content)); got != want {
			t.Errorf("%q: got %t", content, got)
		}
	}
}

// FuzzReadCommandLine: a setting of the kernel's is a value that stands there.
func FuzzReadCommandLine(f *testing.F) {
	f.Add([]byte("ro sysctl.kernel.yama.ptrace_scope=2 -- quiet"))
	f.Add(bytes.Repeat([]byte("sysctl.kernel/yama/ptrace_scope=1 "), 1<<15))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, w := range (sysctld.Tree{sysctld.ReadCommandLine(content, key)}).BootWrites() {
			if !bytes.Contains(content, []byte(w.Value)) {
				t.Fatalf("%q sets %q", content, w.Value)
			}
		}
	})
}

// FuzzCommentOut: whatever a file holds, nothing in it sets the key any more, and without the marks
// it is as it was.
func FuzzCommentOut(f *testing.F) {
	f.Add([]byte(set("1") + "-kernel/yama/ptrace_scope\r\nkernel.yama.*=0x1\x00\n\r kernel.yama.ptrace_scope=0\r"))
	f.Fuzz(func(t *testing.T, content []byte) {
		out := sysctld.Loaders{}.CommentOut(content, key, func(int, string) bool { return true })
		tree := sysctld.Tree{sysctld.Loaders{}.Read(a, out, key)}
		if left := tree.Places(); len(left) > 0 {
			t.Errorf("%q leaves %+v", content, left)
		}
		if back := bytes.ReplaceAll(out, []byte("#hardening.yama# "), nil); !bytes.Contains(content,
			[]byte("#hardening.yama# ")) && !bytes.Equal(back, content) {
			t.Errorf("%q became %q", content, out)
		}
	})
}

// TestGarbage: a megabyte of the worst is read in no time.
func TestGarbage(t *testing.T) {
	for _, unit := range []string{"{", "{,", "{a,b}*", "*", "*?[", "[[:alpha:]", "-", "\r", "\x00", "=",
		"kernel.yama.ptrace_scope=1\n", "kernel.yama.*{1,2}=1\n", "\\*"} {
		content := bytes.Repeat([]byte(unit), 1<<20/len(unit))
		start := time.Now()
		tree := sysctld.Tree{sysctld.Loaders{}.Read(a, content, key)}
		tree.Boot()
		tree.Reload()
		sysctld.Loaders{}.CommentOut(content, key, func(int, string) bool { return true })
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("a megabyte of %q takes %s", unit, took)
		}
	}
}
