// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"os"
	"path"
	"strings"
	"testing"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/schema"
)

// set writes the key with its usual spelling.
func set(value string) string { return "kernel.yama.ptrace_scope = " + value + "\n" }

// entry is a name in a tree: a file with its content, or something else.
type entry struct {
	path    string
	content string
	link    string // to where
	dir     bool
}

func file(path, content string) entry { return entry{path: path, content: content} }
func link(path, to string) entry      { return entry{path: path, link: to} }
func folder(path string) entry        { return entry{path: path, dir: true} }

// files makes a tree of path, content, path, content and so on.
func files(pairs ...string) []entry {
	var tree []entry
	for i := 0; i < len(pairs); i += 2 {
		tree = append(tree, file(pairs[i], pairs[i+1]))
	}
	return tree
}

// one is a tree of a single drop-in.
func one(content string) []entry { return files("/etc/sysctl.d/a.conf", content) }

const (
	a    = "/etc/sysctl.d/a.conf"
	b    = "/etc/sysctl.d/b.conf"
	none = ""

	conf = sysctld.Conf
)

// credential is what the service finds.
var credential = sysctld.Credentials[0]

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
	{"a path that is too long for the kernel is systemd's alone",
		one("kernel" + strings.Repeat("/", 4063) + "yama/ptrace_scope=2"), a + ":1=2", none},
	{"a path just short enough", one("kernel" + strings.Repeat("/", 4062) + "yama/ptrace_scope=2"), a + ":1=2",
		a + ":1=2"},
	{"a pattern for a path that is too long", one("kernel" + strings.Repeat("/", 4063) + "yama/p*e=2"), a + ":1=2",
		none},
	{"whole path below /proc", one("/proc/sys/kernel/yama/ptrace_scope=2"), none, none},
	{"failure ignored", one("-" + set("0")), a + ":1=0", a + ":1=0"},
	{"failure ignored, a blank after the minus is systemd's alone", one("- " + set("0")), a + ":1=0", none},
	{"failure ignored twice is procps' alone", one("--" + set("0")), none, a + ":1=0"},
	{"upper case", one("Kernel.yama.ptrace_scope=1"), none, none},
	{"another key with the same end", one("net.kernel.yama.ptrace_scope=1"), none, none},
	{"no assignment", one("kernel.yama.ptrace_scope"), none, none},
	{"byte order mark", one("\xef\xbb\xbf" + set("1")), none, none},

	// Lines.
	{"comments and other keys", one("# " + set("3") + ";" + set("3") + "kernel.sysrq=1\n\n " + set("1")), a + ":5=1",
		a + ":5=1"},
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
	{
		"braces that stand for 4096 patterns are systemd's alone",
		one("kernel.yama.{p,x}{t,x}{r,x}{a,x}{c,x}{e,x}{_,x}{s,x}{c,x}{o,x}{p,x}{e,x}* = 1"), a + ":1=1", none,
	},
	{"braces in a bracket are members of it to procps", one("kernel.yama.[{a,x}{b,p}]* = 1"), a + ":1=1", a + ":1=1"},
	{"braces without a mark are no pattern", one("kernel.{yama,x}.ptrace_scope = 1"), none, none},
	{"a name beats a pattern, wherever it stands", files(a, set("1"), b, "kernel.yama.*=0"), a + ":1=1", a + ":1=1"},
	{"an excluded key is set by no pattern", one("kernel.yama.*=0\n-kernel.yama.ptrace_scope\n"), none, none},
	{"an exclusion after an assignment undoes it for systemd alone", one(set("1") + "-kernel.yama.ptrace_scope\n"),
		none, a + ":1=1"},
	{"an assignment after an exclusion counts", one("-kernel.yama.ptrace_scope\n" + set("1")), a + ":2=1", a + ":2=1"},
	{"the last pattern wins", one("kernel.yama.*=1\nkernel.*.ptrace_scope=2\n"), a + ":2=2", a + ":2=2"},
	{"a pattern that is said again has its last turn",
		one("kernel.yama.*=1\nkernel.*.ptrace_scope=2\nkernel.yama.*=0\n"), a + ":3=0", a + ":3=0"},
	{"the same again keeps its turn for systemd", one("kernel.yama.*=1\nkernel.*.ptrace_scope=2\nkernel.yama.*=1\n"),
		a + ":2=2", a + ":3=1"},
	{"another spelling of the name excludes nothing for procps", one("kernel.yama.*=1\n-kernel//yama/ptrace_scope\n"),
		none, a + ":1=1"},

	{"a pattern excludes for a new procps", one("kernel.yama.*=1\n-*scope\n"), a + ":1=1", none},
	{"an exclusion with a backslash is a pattern, to a new procps",
		one("kernel.yama.*=1\n-kernel/yama/ptr\\ace_scope\n"), a + ":1=1", none},
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
	{"a mask hides the vendor's", files("/usr/lib/sysctl.d/10-a.conf", set("0"), "/etc/sysctl.d/10-a.conf", ""), none,
		none},
	{
		"letters come after numbers, upper case before lower",
		files("/etc/sysctl.d/99-sysctl.conf", set("0"), "/etc/sysctl.d/ZZ.conf", set("2"), "/etc/sysctl.d/zz.conf",
			set("1")),
		"/etc/sysctl.d/zz.conf:1=1", "/etc/sysctl.d/zz.conf:1=1",
	},
	{"sysctl.conf is procps' alone, and last", files(a, set("1"), conf, set("0")), a + ":1=1", conf + ":1=0"},
	{"the credential is systemd's alone, and last", files(a, set("1"), credential, set("0")), credential + ":1=0",
		a + ":1=1"},
	{"hidden files are procps' alone", files("/etc/sysctl.d/.x.conf", set("0")), none, "/etc/sysctl.d/.x.conf:1=0"},
	{"other names are not read", files("/etc/sysctl.d/a.conf.bak", set("0"), "/etc/other/a.conf", set("0")), none,
		none},
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
		files("/etc/sysctl.d/?.conf", set("2"), "/etc/sysctl.d/ü.conf", set("1")), "/etc/sysctl.d/ü.conf:1=1",
		"/etc/sysctl.d/ü.conf:1=1",
	},
	{
		"a file whose name becomes another one hides itself from procps",
		files("/etc/sysctl.d/{p,q}.conf", set("2"), "/etc/sysctl.d/p.conf", set("1")), "/etc/sysctl.d/{p,q}.conf:1=2",
		"/etc/sysctl.d/p.conf:1=1",
	},
	// Links, and the folders themselves.
	{"99-sysctl.conf brings sysctl.conf to systemd",
		[]entry{file(conf, set("1")), link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf")},
		"/etc/sysctl.d/99-sysctl.conf:1=1", conf + ":1=1"},
	{"an absolute link stays inside the root",
		[]entry{file(conf, set("1")), link("/etc/sysctl.d/99-sysctl.conf", conf)}, "/etc/sysctl.d/99-sysctl.conf:1=1",
		conf + ":1=1"},
	{"a link to a mask is a mask",
		[]entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link(a, "m"), link("/etc/sysctl.d/m", "/dev/null")}, none,
		none},
	{"a link to an empty file is a mask",
		[]entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link(a, "m"), file("/etc/sysctl.d/m", "")}, none, none},
	{"a link that leads nowhere is a mask", []entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link(a, "nowhere")},
		none, none},
	{"a link through a file hides from procps, and from an old systemd",
		[]entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link(a, "b.conf/x"), file(b, "")},
		"/usr/lib/sysctl.d/a.conf:1=0", none},
	{"a folder is a mask", []entry{file("/usr/lib/sysctl.d/a.conf", set("0")), folder(a)}, none, none},
	{"a file of comments is a mask", files("/usr/lib/sysctl.d/a.conf", set("0"), a, "# nothing\n"), none, none},
	{"a loop hides from procps, and from an old systemd",
		[]entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link(a, a)}, "/usr/lib/sysctl.d/a.conf:1=0", none},
	{"a folder that is a link", []entry{file("/etc/real/a.conf", set("1")), link("/run/sysctl.d", "/etc/real")},
		"/run/sysctl.d/a.conf:1=1", "/run/sysctl.d/a.conf:1=1"},
	{"a mask in a folder that is a link",
		[]entry{file("/usr/lib/sysctl.d/a.conf", set("0")), link("/etc/real/a.conf", "/dev/null"),
			link("/run/sysctl.d", "/etc/real")}, none, none},
	{"a folder that leads to itself", []entry{file(a, set("1")), link("/run/sysctl.d", "/run/sysctl.d")}, a + ":1=1",
		a + ":1=1"},
	{"a folder that is a file", []entry{file(a, set("1")), file("/run/sysctl.d", set("0"))}, a + ":1=1", a + ":1=1"},
	{"/lib/sysctl.d is procps', and an old systemd's", files("/lib/sysctl.d/a.conf", set("1")), none,
		"/lib/sysctl.d/a.conf:1=1"},
	{"/lib/sysctl.d is the lowest", files("/lib/sysctl.d/a.conf", set("1"), "/usr/lib/sysctl.d/a.conf", set("2")),
		"/usr/lib/sysctl.d/a.conf:1=2", "/usr/lib/sysctl.d/a.conf:1=2"},
	{"sysctl.conf that is no file", []entry{file(a, set("1")), folder(conf)}, a + ":1=1", a + ":1=1"},

	// What fnmatch(3) and glob(3) make of odd patterns.
	{"a collating symbol", one("kernel/yama/[[.p.]]trace_scope=1"), a + ":1=1", a + ":1=1"},
	{"a collating symbol that is not closed", one("kernel/yama/p[[.-.t]race_scope=1"), none, none},
	{"a dot in a bracket is a separator, unless the first one is a slash", one("kernel.yama.[[.p.]]trace_scope=1"),
		none, none},
	{"an equivalence class", files("/etc/sysctl.d/[[=p=]].conf", set("2"), "/etc/sysctl.d/p.conf", set("1")),
		"/etc/sysctl.d/p.conf:1=1", "/etc/sysctl.d/p.conf:1=1"},
	{"a class that does not exist", one("kernel.yama.[[:x:]p]trace_scope=1"), none, none},
	{"a brace that is not closed, in a bracket", one("kernel.yama.p[t{\\}]race_scope=1"), a + ":1=1", a + ":1=1"},
	{"a backslash before a slash says nothing", one("k[e]rnel/yama\\/ptrace_scope=1"), a + ":1=1", a + ":1=1"},
	{"braces that lead to nothing stand for themselves", one("kernel/y[{}!a]ma/ptrace_scope=1"), a + ":1=1",
		a + ":1=1"},
	{"a brace that is not closed", one("{[k],\\}ernel/yama/ptrace_scope=1"), none, none},
}

// plant writes a tree below a root, in which /lib is a link unless the tree has something there.
// What is in the way of an earlier entry is left out, and so is what an absolute link leads to:
// that would lie outside of the root.
func plant(root string, tree []entry) error {
	below, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer below.Close()
	for _, e := range tree {
		name := strings.TrimPrefix(e.path, "/")
		if info, err := below.Lstat(name); err == nil && info.IsDir() && !e.dir {
			_ = below.Remove(name) // an empty folder makes room
		}
		if _, err := below.Lstat(name); err == nil || below.MkdirAll(path.Dir(name), 0o755) != nil {
			continue
		}
		switch {
		case e.dir:
			err = below.Mkdir(name, 0o755)
		case e.link != "":
			err = below.Symlink(e.link, name)
		default:
			err = below.WriteFile(name, []byte(e.content), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestPlant: a tree stays where it is planted.
func TestPlant(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	if err := plant(root,
		[]entry{link("/run/sysctl.d", outside), file("/run/sysctl.d/a.conf", set("1")), link("/x", "../.."),
			file("/x/a.conf", set("1")), file(a, "")}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("%v lies outside, %v", left, err)
	}
	if _, err := os.Stat(root + a); err != nil {
		t.Error(err)
	}
}

func isSplit(tree []entry) bool {
	for _, e := range tree {
		if strings.HasPrefix(e.path, sysctld.LibDir) {
			return true
		}
	}
	return false
}

// grow plants a tree and reads it as the module does.
func grow(t *testing.T, tree []entry) sysctld.Tree {
	t.Helper()
	root := t.TempDir()
	if !isSplit(tree) {
		tree = append([]entry{link("/lib", "usr/lib")}, tree...)
	}
	if err := plant(root, tree); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root+"/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := host.New(root, host.Config{Catalog: schema.Catalog{}})
	if err != nil {
		t.Fatal(err)
	}
	grown, err := h.SysctlTree()
	if err != nil {
		t.Fatal(err)
	}
	return grown
}

func TestLoaders(t *testing.T) {
	show := func(s sysctld.Setting, ok bool) string {
		if !ok {
			return none
		}
		return s.Source() + "=" + s.Value
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tree := grow(t, c.tree)
			if got := show(tree.Boot()); got != c.boot {
				t.Errorf("boot: got %q, want %q", got, c.boot)
			}
			if got := show(tree.Reload()); got != c.reload {
				t.Errorf("reload: got %q, want %q", got, c.reload)
			}
		})
	}
}
