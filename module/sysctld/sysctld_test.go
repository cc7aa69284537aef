// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

const key = "kernel/yama/ptrace_scope"

// set writes the key with its usual spelling.
func set(value string) string { return "kernel.yama.ptrace_scope = " + value + "\n" }

// entry is a name in a tree: a file with its content, or something else.
type entry struct {
	path    string
	content string
	link    string // to where
	dir     bool
}

// files makes a tree of path, content, path, content and so on.
func files(pairs ...string) []entry {
	var tree []entry
	for i := 0; i < len(pairs); i += 2 {
		tree = append(tree, entry{path: pairs[i], content: pairs[i+1]})
	}
	return tree
}

// one is a tree of a single drop-in.
func one(content string) []entry { return files("/etc/sysctl.d/a.conf", content) }

const (
	a    = "/etc/sysctl.d/a.conf"
	b    = "/etc/sysctl.d/b.conf"
	none = ""
)

// cases are what the newest loaders do. TestAgainstTheRealLoaders has them judged by the real ones.
var cases = []struct {
	name         string
	tree         []entry
	boot, reload string // file:line=value; nothing where the loader sets nothing
}{
	// Spelling.
	{"plain", one(set("1")), a + ":1=1", a + ":1=1"},
	{"no blanks, no line break at the end", one("kernel.yama.ptrace_scope=1"), a + ":1=1", a + ":1=1"},
	{"slashes", one("kernel/yama/ptrace_scope=2"), a + ":1=2", a + ":1=2"},
	{"slash after a dot stands for a dot", one("kernel.yama/ptrace_scope=2"), none, none},
	{"dot after a slash stays a dot", one("kernel/yama.ptrace_scope=2"), none, none},
	{"slash in front", one("/kernel/yama/ptrace_scope=2"), a + ":1=2", a + ":1=2"},
	{"superfluous slashes and dots", one("kernel//yama/./ptrace_scope=2"), a + ":1=2", a + ":1=2"},
	{"a way back is procps' alone", one("kernel/yama/../yama/ptrace_scope=2"), none, a + ":1=2"},
	{"a slash at the end is systemd's alone", one("kernel/yama/ptrace_scope/=2"), a + ":1=2", none},
	{"whole path below /proc", one("/proc/sys/kernel/yama/ptrace_scope=2"), none, none},
	{"failure ignored", one("-" + set("0")), a + ":1=0", a + ":1=0"},
	{"failure ignored, a blank after the minus is systemd's alone", one("- " + set("0")), a + ":1=0", none},
	{"failure ignored twice is procps' alone", one("--" + set("0")), none, a + ":1=0"},
	{"upper case", one("Kernel.yama.ptrace_scope=1"), none, none},
	{"another key with the same end", one("net.kernel.yama.ptrace_scope=1"), none, none},
	{"no assignment", one("kernel.yama.ptrace_scope"), none, none},
	{"byte order mark", one("\xef\xbb\xbf" + set("1")), none, none},

	// Lines.
	{"comments and other keys", one("# " + set("3") + ";" + set("3") + "kernel.sysrq=1\n\n " + set("1")), a + ":5=1", a + ":5=1"},
	{"twice", one(set("0") + set("1")), a + ":2=1", a + ":2=1"},
	{"carriage return and line feed", one("kernel.yama.ptrace_scope = 1\r\n"), a + ":1=1", a + ":1=1"},
	{"a carriage return ends systemd's line", one("kernel.sysrq=1\r" + set("1")), a + ":1=1", none},
	{"a NUL ends systemd's line, and procps' too, until the line feed", one("x=1\x00" + set("1")), a + ":1=1", none},
	{"a NUL in the value", one("kernel.yama.ptrace_scope=1\x00x\n"), a + ":1=1", a + ":1=1"},
	{"form feed in front is procps' alone", one("\f" + set("1")), none, a + ":1=1"},
	{"a very long line ends systemd's reading", one(strings.Repeat("x", 1<<20) + "\n" + set("1")), none, a + ":2=1"},
	{"a line just short enough", one(strings.Repeat("x", 1<<20-1) + "\n" + set("1")), a + ":2=1", a + ":2=1"},

	// Values.
	{"an equals sign in the value", one(set("1 = 2")), a + ":1=1 = 2", a + ":1=1 = 2"},
	{"a comment after the value is ignored by the kernel", one(set("1 # why")), a + ":1=1 # why", a + ":1=1 # why"},
	{"hexadecimal and octal", one(set("0x2") + set("03")), a + ":2=03", a + ":2=03"},
	{"a refused value after an accepted one: procps has written both", one(set("1") + set("9")), none, a + ":1=1"},
	{"no value", one("kernel.yama.ptrace_scope=\n"), none, none},
	{"3 is left by no later line", one(set("3") + set("1")), a + ":2=1", a + ":1=3"},

	// Patterns.
	{"a pattern", one("kernel.yama.* = 1"), a + ":1=1", a + ":1=1"},
	{"a pattern does not cross a separator", one("kernel.* = 1"), none, none},
	{"a pattern for a folder", one("*.yama.ptrace_scope=1\n"), a + ":1=1", a + ":1=1"},
	{"a bracket", one("kernel.yam[a-b].ptrace[!x]scope=1\n"), a + ":1=1", a + ":1=1"},
	{"a class", one("kernel.yama.ptrace[[:punct:]]scope=1\n"), a + ":1=1", a + ":1=1"},
	{"a bracket that is not closed", one("kernel.yama.[ = 1"), none, none},
	{"braces are systemd's alone", one("kernel.{yama,x}.ptrace_scop? = 1"), a + ":1=1", none},
	{"braces without a mark are no pattern", one("kernel.{yama,x}.ptrace_scope = 1"), none, none},
	{"a name beats a pattern, wherever it stands", files(a, set("1"), b, "kernel.yama.*=0"), a + ":1=1", a + ":1=1"},
	{"an excluded key is set by no pattern", one("kernel.yama.*=0\n-kernel.yama.ptrace_scope\n"), none, none},
	{"an exclusion after an assignment undoes it for systemd alone", one(set("1") + "-kernel.yama.ptrace_scope\n"), none, a + ":1=1"},
	{"an assignment after an exclusion counts", one("-kernel.yama.ptrace_scope\n" + set("1")), a + ":2=1", a + ":2=1"},
	{"the last pattern wins", one("kernel.yama.*=1\nkernel.*.ptrace_scope=2\n"), a + ":2=2", a + ":2=2"},
	{"a pattern that is said again has its last turn", one("kernel.yama.*=1\nkernel.*.ptrace_scope=2\nkernel.yama.*=0\n"), a + ":3=0", a + ":3=0"},
	{"the same again keeps its turn for systemd", one("kernel.yama.*=1\nkernel.*.ptrace_scope=2\nkernel.yama.*=1\n"), a + ":2=2", a + ":3=1"},
	{"another spelling of the name excludes nothing for procps", one("kernel.yama.*=1\n-kernel//yama/ptrace_scope\n"), none, a + ":1=1"},

	{"a pattern excludes for a new procps", one("kernel.yama.*=1\n-*scope\n"), a + ":1=1", none},
	{"a pattern excludes no name", one(set("1") + "-*\n"), a + ":1=1", a + ":1=1"},

	// Files.
	{"nothing names the key", one("kernel.sysrq=1"), none, none},
	{
		"a later name wins over a higher directory",
		files("/etc/sysctl.d/10-a.conf", set("1"), "/usr/lib/sysctl.d/50-b.conf", set("0")),
		"/usr/lib/sysctl.d/50-b.conf:1=0", "/usr/lib/sysctl.d/50-b.conf:1=0",
	},
	{
		"a higher directory overrides the same name",
		files("/usr/lib/sysctl.d/10-a.conf", set("0"), "/run/sysctl.d/10-a.conf", set("1")),
		"/run/sysctl.d/10-a.conf:1=1", "/run/sysctl.d/10-a.conf:1=1",
	},
	{"a mask hides the vendor's", files("/usr/lib/sysctl.d/10-a.conf", set("0"), "/etc/sysctl.d/10-a.conf", ""), none, none},
	{
		"letters come after numbers, upper case before lower",
		files("/etc/sysctl.d/99-sysctl.conf", set("0"), "/etc/sysctl.d/ZZ.conf", set("2"), "/etc/sysctl.d/zz.conf", set("1")),
		"/etc/sysctl.d/zz.conf:1=1", "/etc/sysctl.d/zz.conf:1=1",
	},
	{"sysctl.conf is procps' alone, and last", files(a, set("1"), Conf, set("0")), a + ":1=1", Conf + ":1=0"},
	{"the credential is systemd's alone, and last", files(a, set("1"), Credentials[0], set("0")), Credentials[0] + ":1=0", a + ":1=1"},
	{"hidden files are procps' alone", files("/etc/sysctl.d/.x.conf", set("0")), none, "/etc/sysctl.d/.x.conf:1=0"},
	{"other names are not read", files("/etc/sysctl.d/a.conf.bak", set("0"), "/etc/other/a.conf", set("0")), none, none},
	{
		"procps takes a file's name for a pattern",
		files("/etc/sysctl.d/[x].conf", set("2"), "/etc/sysctl.d/x.conf", set("1")),
		"/etc/sysctl.d/x.conf:1=1", "/etc/sysctl.d/x.conf:1=1",
	},
	{
		"a file whose name becomes another one is read by procps where there is no other",
		files("/etc/sysctl.d/{p,q}.conf", set("2")), "/etc/sysctl.d/{p,q}.conf:1=2", "/etc/sysctl.d/{p,q}.conf:1=2",
	},
	{
		"a mark in a file's name stands for a character, not for a byte",
		files("/etc/sysctl.d/?.conf", set("2"), "/etc/sysctl.d/ü.conf", set("1")), "/etc/sysctl.d/ü.conf:1=1", "/etc/sysctl.d/ü.conf:1=1",
	},
	{
		"a file whose name becomes another one hides itself from procps",
		files("/etc/sysctl.d/{p,q}.conf", set("2"), "/etc/sysctl.d/p.conf", set("1")), "/etc/sysctl.d/{p,q}.conf:1=2", "/etc/sysctl.d/p.conf:1=1",
	},
}

func TestLoaders(t *testing.T) {
	show := func(s Setting, ok bool) string {
		if !ok {
			return none
		}
		return s.Source() + "=" + s.Value
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var tree Tree
			for _, e := range c.tree {
				tree = append(tree, Loaders{}.Read(e.path, []byte(e.content), key))
			}
			if got := show(tree.Boot()); got != c.boot {
				t.Errorf("boot: got %q, want %q", got, c.boot)
			}
			if got := show(tree.Reload()); got != c.reload {
				t.Errorf("reload: got %q, want %q", got, c.reload)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[string]int{
		"0": 0, "1": 1, "0x2": 2, "0X3": 3, "03": 3, "00000000000000000001": 1, "-0": 0, "1 # why": 1, "\v2\t1": 2, "3\nx": 3,
	} {
		if got, ok := Number(value); !ok || got != want {
			t.Errorf("%q: got %d, %t; want %d", value, got, ok, want)
		}
	}
	for _, value := range []string{
		"", " ", "one", "4", "-1", "+1", "08", "0x", "0b1", "0o1", "1_0", "1#", "1,2", "1\v", "000000000000000000001", "99999999999999999999",
	} {
		if got, ok := Number(value); ok {
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
			a + ":1=0 overridden by " + b + ":1 both|" + a + ":2=2 overridden by " + b + ":1 both|" + b + ":1=1 effective both|" +
				"/usr/lib/sysctl.d/a.conf:1=0 overridden by " + a + " both",
		},
		{
			"masked", files("/usr/lib/sysctl.d/a.conf", set("0"), "/run/sysctl.d/a.conf", ""),
			"/usr/lib/sysctl.d/a.conf:1=0 masked by /run/sysctl.d/a.conf both",
		},
		{"refused", files(a, set("9"), Conf, set("yes")), Conf + ":1=yes refused reload|" + a + ":1=9 refused both"},
		{"the loaders disagree", files(a, set("1"), Conf, set("0")), Conf + ":1=0 effective reload|" + a + ":1=1 effective boot"},
		{"a pattern under a name", one("kernel.yama.*=0\n" + set("1")), a + ":1=0 overridden by " + a + ":2 both|" + a + ":2=1 effective both"},
		{"excluded", one("kernel.yama.*=0\n-kernel.yama.ptrace_scope\n"), a + ":1=0 overridden both"},
	} {
		var tree Tree
		for _, e := range c.tree {
			tree = append(tree, Loaders{}.Read(e.path, []byte(e.content), key))
		}
		places := tree.Places()
		got := make([]string, 0, len(places))
		for _, p := range places {
			text := p.Source() + "=" + p.Value + " " + string(p.Standing)
			if p.By != "" {
				text += " by " + p.By
			}
			got = append(got, text+" "+map[[2]bool]string{{true, true}: "both", {true, false}: "boot", {false, true}: "reload"}[[2]bool{p.Boot, p.Reload}])
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
		{"the last one counts", "sysctl.kernel.yama.ptrace_scope=2 sysctl.kernel.yama.ptrace_scope=1", nil, "/proc/cmdline:1=1"},
		{"one that is refused", "sysctl.kernel.yama.ptrace_scope=1 sysctl.kernel.yama.ptrace_scope=9", nil, "/proc/cmdline:1=1"},
		{"what is for init", "-- sysctl.kernel.yama.ptrace_scope=1", nil, ""},
		{"a file comes later", "sysctl.kernel.yama.ptrace_scope=2", []string{a, set("1")}, a + ":1=1"},
		{"3 is left by no file", "sysctl.kernel.yama.ptrace_scope=3", []string{a, set("1")}, "/proc/cmdline:1=3"},
		{"a pattern sets what the command line has set", "sysctl.kernel.yama.ptrace_scope=2", []string{a, "kernel.yama.*=1"}, a + ":1=1"},
	} {
		tree := Tree{ReadCommandLine([]byte(c.commandLine), key)}
		for i := 0; i < len(c.files); i += 2 {
			tree = append(tree, Loaders{}.Read(c.files[i], []byte(c.files[i+1]), key))
		}
		got := ""
		if s, ok := tree.Boot(); ok {
			got = s.Source() + "=" + s.Value
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if s, ok := tree.Reload(); ok && s.Path == CommandLine {
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
		tree := Tree{Loaders{}.Read(a, content, key)}
		for _, writes := range [][]Setting{tree.bootWrites(), tree.reloadWrites()} {
			for _, w := range writes {
				if w.Line < 1 || w.Line > count || !bytes.Contains(content, []byte(w.Value)) {
					t.Fatalf("line %d of %d: %q", w.Line, count, w.Value)
				}
			}
		}
	})
}

// TestGarbage: a megabyte of the worst is read in no time.
func TestGarbage(t *testing.T) {
	for _, unit := range []string{"{", "{,", "{a,b}*", "*", "*?[", "[[:alpha:]", "-", "\r", "\x00", "=", "kernel.yama.ptrace_scope=1\n", "kernel.yama.*{1,2}=1\n", "\\*"} {
		content := bytes.Repeat([]byte(unit), 1<<20/len(unit))
		start := time.Now()
		tree := Tree{Loaders{}.Read(a, content, key)}
		tree.Boot()
		tree.Reload()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a megabyte of %q takes %s", unit, took)
		}
	}
}
