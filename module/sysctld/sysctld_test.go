// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"fmt"
	"strings"
	"testing"
)

const key = "kernel.yama.ptrace_scope"

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"plain", "kernel.yama.ptrace_scope = 1\n", "1:1"},
		{"no blanks, no line break at the end", "kernel.yama.ptrace_scope=1", "1:1"},
		{"slashes", "kernel/yama/ptrace_scope=2", "1:2"},
		{"failure ignored", "-kernel.yama.ptrace_scope = 0", "1:0"},
		{"comments and other keys", "# kernel.yama.ptrace_scope=3\n;kernel.yama.ptrace_scope=3\nkernel.sysrq=1\n\n kernel.yama.ptrace_scope = 1 ", "5:1"},
		{"twice", "kernel.yama.ptrace_scope=0\nkernel.yama.ptrace_scope=1\n", "1:0 2:1"},
		{"carriage returns", "kernel.yama.ptrace_scope = 1\r\n", "1:1"},
		{"a pattern", "kernel.yama.* = 1", "1:1 glob"},
		{"a pattern does not cross a separator", "kernel.* = 1", ""},
		{"a broken pattern", "kernel.yama.[ = 1", ""},
		{"excluded from patterns", "-kernel.yama.ptrace_scope", "1: exclude"},
		{"no assignment", "kernel.yama.ptrace_scope", ""},
		{"an equals sign in the value", "kernel.yama.ptrace_scope = 1 = 2", "1:1 = 2"},
		{"a trailing comment is part of the value", "kernel.yama.ptrace_scope = 1 # why", "1:1 # why"},
		{"another key with the same end", "net.kernel.yama.ptrace_scope=1", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, l := range Parse([]byte(c.content), key) {
				text := fmt.Sprintf("%d:%s", l.Number, l.Value)
				if l.Glob {
					text += " glob"
				}
				if l.Exclude {
					text += " exclude"
				}
				got = append(got, text)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", strings.Join(got, " "), c.want)
			}
		})
	}
}

// tree reads "path: content" lines; content "mask" is a mask, \n is written as a semicolon with blanks around it.
func tree(files ...string) Tree {
	var t Tree
	for _, f := range files {
		path, content, _ := strings.Cut(f, ": ")
		content = strings.ReplaceAll(content, " ; ", "\n")
		if content == "mask" {
			t = append(t, File{Path: path, Mask: true})
		} else {
			t = append(t, File{Path: path, Lines: Parse([]byte(content), key)})
		}
	}
	return t
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name         string
		tree         Tree
		boot, reload string
	}{
		{"nothing names the key", tree("/etc/sysctl.d/a.conf: kernel.sysrq=1"), "", ""},
		{
			"a later name wins over a higher directory",
			tree("/etc/sysctl.d/10-a.conf: kernel.yama.ptrace_scope=1", "/usr/lib/sysctl.d/50-b.conf: kernel.yama.ptrace_scope=0"),
			"/usr/lib/sysctl.d/50-b.conf:1=0", "/usr/lib/sysctl.d/50-b.conf:1=0",
		},
		{
			"a higher directory overrides the same name",
			tree("/usr/lib/sysctl.d/10-a.conf: kernel.yama.ptrace_scope=0", "/run/sysctl.d/10-a.conf: kernel.yama.ptrace_scope=1"),
			"/run/sysctl.d/10-a.conf:1=1", "/run/sysctl.d/10-a.conf:1=1",
		},
		{
			"a mask hides the vendor's",
			tree("/usr/lib/sysctl.d/10-a.conf: kernel.yama.ptrace_scope=0", "/etc/sysctl.d/10-a.conf: mask"), "", "",
		},
		{
			"letters come after numbers",
			tree("/etc/sysctl.d/99-sysctl.conf: kernel.yama.ptrace_scope=0", "/etc/sysctl.d/zz-ptrace_scope.conf: kernel.yama.ptrace_scope=1"),
			"/etc/sysctl.d/zz-ptrace_scope.conf:1=1", "/etc/sysctl.d/zz-ptrace_scope.conf:1=1",
		},
		{
			"sysctl.conf is procps' alone, and last",
			tree("/etc/sysctl.d/zz.conf: kernel.yama.ptrace_scope=1", "/etc/sysctl.conf: kernel.yama.ptrace_scope=0"),
			"/etc/sysctl.d/zz.conf:1=1", "/etc/sysctl.conf:1=0",
		},
		{
			"hidden files are procps' alone",
			tree("/etc/sysctl.d/.x.conf: kernel.yama.ptrace_scope=0"), "", "/etc/sysctl.d/.x.conf:1=0",
		},
		{"other names are not read", tree("/etc/sysctl.d/a.conf.bak: kernel.yama.ptrace_scope=0", "/etc/other/a.conf: kernel.yama.ptrace_scope=0"), "", ""},
		{
			"a name beats a pattern, wherever it stands",
			tree("/etc/sysctl.d/a.conf: kernel.yama.ptrace_scope=1", "/etc/sysctl.d/b.conf: kernel.yama.*=0"),
			"/etc/sysctl.d/a.conf:1=1", "/etc/sysctl.d/a.conf:1=1",
		},
		{
			"an excluded key is not set by a pattern",
			tree("/etc/sysctl.d/a.conf: kernel.yama.*=0 ; -kernel.yama.ptrace_scope"), "", "",
		},
		{
			"the last of a file wins",
			tree("/etc/sysctl.d/a.conf: kernel.yama.ptrace_scope=0 ; kernel.yama.ptrace_scope=2"),
			"/etc/sysctl.d/a.conf:2=2", "/etc/sysctl.d/a.conf:2=2",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			show := func(s Setting, ok bool) string {
				if !ok {
					return ""
				}
				return s.Source() + "=" + s.Value
			}
			if got := show(c.tree.Boot()); got != c.boot {
				t.Errorf("boot: got %q, want %q", got, c.boot)
			}
			if got := show(c.tree.Reload()); got != c.reload {
				t.Errorf("reload: got %q, want %q", got, c.reload)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[string]int{"0": 0, "1": 1, "0x2": 2, "03": 3, "-1": -1} {
		if got, ok := Number(value); !ok || got != want {
			t.Errorf("%q: got %d, %t; want %d", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "one", "1 # why", "0b1", "1_0", "99999999999999999999"} {
		if got, ok := Number(value); ok {
			t.Errorf("%q: got %d, want none", value, got)
		}
	}
}

// FuzzParse: whatever a file holds, each line found lies in the file, in order, and says what its own text says again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("kernel.yama.ptrace_scope = 1\n"))
	f.Add([]byte("-kernel/yama/ptrace_scope\r\nkernel.yama.*=0x1\x00\n"))
	f.Add([]byte("\xef\xbb\xbfkernel.yama.ptrace_scope=1\n[=\n-[\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		text := strings.Split(string(content), "\n")
		last := 0
		for _, l := range Parse(content, key) {
			if l.Number <= last || l.Number > len(text) {
				t.Fatalf("line %d after %d of %d", l.Number, last, len(text))
			}
			last = l.Number
			again := Parse([]byte(text[l.Number-1]), key)
			l.Number = 1
			if len(again) != 1 || again[0] != l {
				t.Fatalf("line %d alone says %v, in the file %v", last, again, l)
			}
		}
	})
}
