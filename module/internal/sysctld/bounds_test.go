// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"hardening.yama/module/internal/growth"
	"hardening.yama/module/internal/sysctld"
)

// everything is what a run asks of a tree.
func everything(tree sysctld.Tree) {
	tree.Boot()
	tree.Reload()
	tree.Places()
	all := func(sysctld.Setting) bool { return true }
	tree.BootInTurn(all)
	tree.ReloadInTurn(all)
	_ = tree.Check()
}

// inOneFile repeats a line, in which %d is its number, in one file.
func inOneFile(line string) func(int) sysctld.Tree {
	return func(n int) sysctld.Tree {
		var content strings.Builder
		for i := range n {
			content.WriteString(strings.ReplaceAll(line, "%d", fmt.Sprint(i)))
		}
		text := []byte(content.String())
		sysctld.SaysNothing(sysctld.Loaders{}.CommentOut(text, key, func(int, string) bool { return true }))
		return sysctld.Tree{sysctld.Loaders{}.Read(a, text, key)}
	}
}

// usual sets the key as it is usually done.
const usual = "kernel.yama.ptrace_scope = 1\n"

// inFiles has that in each of n files.
func inFiles(name string) func(int) sysctld.Tree {
	return func(n int) sysctld.Tree {
		files := make([]sysctld.File, 0, n)
		for i := range n {
			files = append(files,
				sysctld.Loaders{}.Read(strings.ReplaceAll(name, "%d", fmt.Sprint(i)), []byte(usual), key))
		}
		return sysctld.Tree{}.With(files...)
	}
}

// TestLinear: nothing that others wrote takes longer than its length is worth.
func TestLinear(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		tree func(int) sysctld.Tree
	}{
		"the same lines":               {20_000, inOneFile(usual)},
		"other values each time":       {20_000, inOneFile(usual + "kernel.yama.ptrace_scope = 2\n")},
		"3 and others":                 {20_000, inOneFile("kernel.yama.ptrace_scope = 3\n" + usual)},
		"refused values":               {20_000, inOneFile("kernel.yama.ptrace_scope = %d0\n")},
		"patterns that differ":         {20_000, inOneFile("kernel.yama.{*,%d} = 1\n")},
		"patterns under a name":        {20_000, inOneFile("kernel.yama.{*,%d} = 1\n" + usual)},
		"patterns for other spellings": {8000, inOneFile("kernel//yama/p* = 1\nkernel//yama/ptrace_scope=2\n")},
		"exclusions":                   {16_000, inOneFile("-kernel.yama.x%d*\nkernel.yama.* = 1\n")},
		"names that are excluded":      {16_000, inOneFile("-kernel.yama.ptrace_scope\n" + usual)},
		"carriage returns":             {20_000, inOneFile("kernel.yama.ptrace_scope = 1\r")},
		"files":                        {8000, inFiles("/etc/sysctl.d/%d.conf")},
		"files that are hidden":        {4000, inFiles("/usr/lib/sysctl.d/%d.conf")},
		"stars":                        {800_000, inOneFile("*")},
		"stars in a name":              {400_000, inOneFile("kernel.yama.*")},
		"marks":                        {800_000, inOneFile("?")},
		"brackets that are not closed": {400_000, inOneFile("[")},
		"brackets behind a star": {32_000,
			func(n int) sysctld.Tree { return inOneFile("kernel/yama/*" + strings.Repeat("[a", n) + "\n")(1) }},
		"slashes": {800_000, inOneFile("/")},
		"empty braces in one line": {32_000,
			func(n int) sysctld.Tree { return inOneFile("kernel.yama." + strings.Repeat("{,}", n) + "* = 1\n")(1) }},
		"braces with a choice in one line": {32_000,
			func(n int) sysctld.Tree { return inOneFile("kernel.yama." + strings.Repeat("{a,*}", n) + "= 1\n")(1) }},
		"braces in a bracket": {32_000, func(n int) sysctld.Tree {
			return inOneFile("kernel.yama.[" + strings.Repeat("{a,b}", n) + "]* = 1\n")(1)
		}},
		"braces in one another": {32_000, func(n int) sysctld.Tree {
			return inOneFile("kernel.yama." + strings.Repeat("{a,{b,", n) + "*" + strings.Repeat("}}", n) + "= 1\n")(1)
		}},
		"braces that are not closed": {32_000,
			func(n int) sysctld.Tree { return inOneFile("kernel.yama.*" + strings.Repeat("{a,", n) + "= 1\n")(1) }},
		"classes that differ by braces": {8000, func(n int) sysctld.Tree {
			return inOneFile("kernel.yama.[[:" + strings.Repeat("{a,l,p,h}", n) + ":]]* = 1\n")(1)
		}},
		"a value": {800_000, func(n int) sysctld.Tree {
			return inOneFile("kernel.yama.ptrace_scope = " + strings.Repeat("1", n) + "\n")(1)
		}},
		"a value that begins with odd blanks": {800_000, func(n int) sysctld.Tree {
			return inOneFile("kernel.yama.ptrace_scope = " + strings.Repeat("\xa0", n) + "\n")(1)
		}},
		"settings on the kernel's command line": {32_000, func(n int) sysctld.Tree {
			return sysctld.Tree{sysctld.ReadCommandLine([]byte(strings.Repeat("sysctl.kernel.yama.ptrace_scope=1 ", n)),
				key)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			growth.Linear(t, c.size, func(n int) func() { return func() { everything(c.tree(n)) } })
		})
	}
}

// TestBraces: a text reaches the key where any of the patterns does that it stands for, as glob(3)
// writes them out.
func TestBraces(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 0))
	pieces := []string{
		"{", "{", "}", "}", ",", ",", "[", "[", "]", "]", "!", "^", "-", "\\", "*", "?", ".", ":", "[.", ".]", "[:",
		":]", "lower", "punct", "x", "/", "ü", "a",
		"[:lower:]", "[.p.]", "[!", "[a-z]",
	}
	odd := []string{
		"[!+-[.]trace_scope", "[+-[.p.]]trace_scope", "[[.p.]-]trace_scope", "[[.a.]-z]trace_scope",
		"[[.x.]-[.z.]p]trace_scope", "[p[.x.]]trace_scope", "[p[.x]]trace_scope",
		"[[:lower:][:x:]]trace_scope", "[p[:x:]]trace_scope", "[[:x:]p]trace_scope",
		"[[:x]p]trace_scope", "[]p]trace_scope", "[!]]trace_scope", "[\\p]trace_scope",
		"[p\\]]trace_scope", "[a-\\z]trace_scope", "[p/]trace_scope", "ptrace_scope\\",
		"[[.ü.]p]trace_scope", "[ü-\xff]trace_scope", "[[.p.]-[.q.]]trace_scope",
		"[[.p]]trace_scope",
	}
	reached, several := 0, 0
	for i := range 100_000 {
		text := key
		for range 1 + random.IntN(3) {
			at := random.IntN(len(text))
			here, piece := text[at:at+1], ""
			for range 1 + random.IntN(8) {
				piece += pick(random, append(pieces[:len(pieces):len(pieces)], here, here, here, here, here, here))
			}
			if random.IntN(2) == 0 {
				piece = "{" + piece + "," + here + "}"
			}
			text = text[:at] + piece + text[at+1:]
		}
		if i < len(odd) {
			text = "{,}kernel/yama/" + odd[i]
		}
		patterns, complete := sysctld.Braces(text)
		if !complete {
			continue
		}
		want := false
		for _, pattern := range patterns {
			want = want || sysctld.MatchPath(pattern, key)
		}
		want = want && patterns[0] != text
		got := sysctld.BracesReach(text, key)
		if got != want && patterns[0] != text {
			t.Fatalf("%q: got %t, want %t", text, got, want)
		}
		if want {
			reached++
		}
		if len(patterns) > 1 {
			several++
		}
	}
	if reached < 5000 || several < 20_000 {
		t.Errorf("only %d were reached, and %d stood for several patterns", reached, several)
	}
}

// TestManyBraces: what glob(3) would take a lifetime for.
func TestManyBraces(t *testing.T) {
	const many = 60
	for text, want := range map[string]bool{
		strings.Repeat("{,}", many) + "kernel/yama/p*":                             true,
		"kernel/yama/" + strings.Repeat("{*,x}", many):                             true,
		"kernel/yama/" + strings.Repeat("{x,?}", len("ptrace_scope")) + "*":        true,
		"kernel/yama/" + strings.Repeat("{x,?}", many):                             false,
		"kernel/yama/[" + strings.Repeat("{a,q}", many) + "p]*":                    true,
		"kernel/yama/[" + strings.Repeat("{a,q}", many) + "]*":                     false,
		"kernel/yama/[!" + strings.Repeat("{a,p}", many) + "]*":                    true,
		strings.Repeat("{x,", many) + "kernel/yama/p*" + strings.Repeat("}", many): true,
		"kernel/yama/[[:" + strings.Repeat("{l,o,w,e,r}", 5) + ":]]*":              true,
		"kernel/yama/[[:" + strings.Repeat("{p,u,n,c,t}", 5) + ":]]*":              false,
	} {
		file := sysctld.Loaders{}.Read(a, []byte(text+" = 1\n"), key)
		if _, got := (sysctld.Tree{file}).Boot(); got != want {
			t.Errorf("%.60q: got %t, want %t", text, got, want)
		}
	}
}

// TestCheck: what would keep procps busy for long is refused with the file, and nothing else is.
func TestCheck(t *testing.T) {
	spellings := func(n int, line string) (text string) {
		for i := range n {
			text += strings.ReplaceAll(line, "%d", strings.Repeat("./", i%500))
		}
		return text
	}
	for name, c := range map[string]struct {
		tree sysctld.Tree
		want string
	}{
		"nothing":    {nil, ""},
		"many files": {inFiles("/etc/sysctl.d/%d.conf")(5000), ""},
		"many lines": {inOneFile(usual)(100_000), ""},
		"some names": {append(inFiles("/etc/sysctl.d/%d.conf")(500), inFiles("/etc/sysctl.d/[x]{a,b}%d.conf")(10)...),
			""},
		"many braces": {inFiles("/etc/sysctl.d/" + strings.Repeat("{a,b}", 40) + "%d.conf")(1),
			`read "/etc/sysctl.d/{a,b}{a,b}`},
		"many names": {inFiles("/etc/sysctl.d/*%d.conf")(500), `read "/etc/sysctl.d/*`},
		"exclusions": {inOneFile("-kernel.yama.x*\nkernel.yama.* = 1\n")(50_000), ""},
		"spellings":  {inOneFile("kernel//yama/p* = 1\n")(50_000), ""},
		"some of both": {sysctld.Tree{sysctld.Loaders{}.Read(a,
			[]byte(spellings(50, "-kernel.x*\nkernel/%dyama/p* = 1\n")), key)}, ""},
		"many of both": {sysctld.Tree{sysctld.Loaders{}.Read(a,
			[]byte(spellings(2000, "-kernel.x*\nkernel/%dyama/p* = 1\n")), key)}, "read " + a + ":4000: "},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.tree.Check()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		})
	}
}
