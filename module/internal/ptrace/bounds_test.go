// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/growth"
	"hardening.yama/module/internal/sysctld"
)

// commented returns the lines of a file that a plan comments out, and why.
func commented(t *testing.T, p Plan, file string) (lines []int, because string) {
	t.Helper()
	for _, a := range p.Actions {
		if a.Kind != Comment || a.Object != file {
			continue
		}
		before, after := strings.Split(*a.Before, "\n"), strings.Split(*a.After, "\n")
		for i := range before {
			if before[i] != after[i] {
				lines = append(lines, i+1)
			}
		}
		because = a.Because
	}
	return lines, because
}

// values is a file that sets them, one on each line.
func values(path string, values ...int) func(*Observed) {
	var content strings.Builder
	for _, v := range values {
		fmt.Fprintf(&content, "%s = %d\n", Key, v)
	}
	return file(path, content.String())
}

// TestManyWinners: of the lines that win over ours one after the other, however many, those are
// commented out that would win, and no other.
func TestManyWinners(t *testing.T) {
	const late, early = "/etc/sysctl.d/zzz.conf", "/etc/sysctl.d/a.conf"
	many, allOfThem := make([]int, 1000), make([]int, 1000)
	for i := range many {
		many[i], allOfThem[i] = 1+i%2, 1+i
	}
	for name, c := range map[string]struct {
		values []int
		want   []int
	}{
		"none":                                {[]int{1, 2, 0}, nil},
		"one":                                 {[]int{1, 0, 2}, []int{3}},
		"two":                                 {[]int{1, 0, 2, 1}, []int{3, 4}},
		"more than are looked for one by one": {[]int{1, 0, 2, 1, 2, 1, 2, 1, 2}, []int{3, 4, 5, 6, 7, 8, 9}},
		"all": {[]int{1, 2, 1, 2, 1, 2, 1, 1, 1, 1},
			[]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"a thousand": {many, allOfThem},
		"refused ones among them, after which nothing would be set": {[]int{1, 0, 2, 9, 1, 9, 2, 1, 2, 1},
			[]int{3, 4, 5, 6, 7, 8, 9, 10}},
		"3 is left by no later line": {[]int{3, 0, 3, 0, 3, 0, 3, 0, 3, 0},
			[]int{1, 3, 5, 7, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			o := observe(startsAt1, values(early, 1, 1, 1), values(late, c.values...))
			d := Desired{State: StatePermissive, RestrictedScope: Restricted, Packages: PackagesAuto,
				Conflicts: ConflictsResolve, Persistent: true}
			p, _, err := Decide(d, o)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := commented(t, p, late); !slices.Equal(got, c.want) {
				t.Errorf("lines %v are commented out, want %v", got, c.want)
			}
			if got, _ := commented(t, p, early); got != nil {
				t.Errorf("lines %v of a file that ours wins over are commented out", got)
			}
			if boot, _ := p.Tree.Boot(); boot.Value != "0" {
				t.Errorf("the next boot sets %q", boot.Value)
			}
		})
	}
}

// TestPlansAreLinear: a plan takes no longer than what others wrote is worth.
func TestPlansAreLinear(t *testing.T) {
	lines := func(n int, line string) string { return strings.Repeat(line, n) }
	files := func(n int, name, line string) func(*Observed) {
		return func(o *Observed) {
			all := make([]sysctld.File, 0, n)
			for i := range n {
				path := fmt.Sprintf(name, i)
				all = append(all, read(path, line))
				o.Others[path] = OtherFile{Content: line, Target: path,
					Original: "/var/lib/hardening.yama/originals" + path}
			}
			o.Tree = o.Tree.With(all...)
		}
	}
	const zero, one, two = Key + " = 0\n", Key + " = 1\n", Key + " = 2\n"
	const late = "/etc/sysctl.d/zzz.conf"
	for name, c := range map[string]struct {
		size  int
		facts func(n int) func(*Observed)
	}{
		"lines below": {8000, func(n int) func(*Observed) { return file(late, lines(n, zero)) }},
		"lines above": {8000, func(n int) func(*Observed) { return file(late, lines(n, two)) }},
		"other values each time": {8000,
			func(n int) func(*Observed) { return file(late, lines(n, one+two+"kernel.yama.p* = 3\n")) }},
		"lines of sysctl.conf": {8000, func(n int) func(*Observed) { return file(sysctld.Conf, lines(n, two)) }},
		"local files": {2000,
			func(n int) func(*Observed) { return files(n, "/etc/sysctl.d/zzz%d.conf", zero+two) }},
		"files of distributions": {1200,
			func(n int) func(*Observed) { return files(n, "/usr/lib/sysctl.d/zzz%d.conf", two) }},
		"sealed files": {2000, func(n int) func(*Observed) {
			return func(o *Observed) {
				files(n, "/etc/sysctl.d/10%d.conf", zero)(o)
				for path, other := range o.Others {
					other.NotEditable = "it is sealed"
					o.Others[path] = other
				}
			}
		}},
		"masks of ours": {2000, func(n int) func(*Observed) {
			return func(o *Observed) {
				masks := make([]string, 0, n)
				var all []sysctld.File
				for i := range n {
					masks = append(masks, fmt.Sprintf("%d.conf", i))
					all = append(all, sysctld.Loaders{}.Empty(maskPath(masks[i])))
				}
				o.Tree = o.Tree.With(all...)
				own(DropIn, StateRestricted, Restricted, masks...)(o)
			}
		}},
	} {
		for _, d := range []Desired{
			{State: StateRestricted, Conflicts: ConflictsResolve, Exact: true},
			{State: StatePermissive, Conflicts: ConflictsResolve},
			{State: StateRestricted, Conflicts: ConflictsReport}, {State: StateAuto, Conflicts: ConflictsResolve},
		} {
			d.RestrictedScope, d.Packages, d.Persistent, d.Runtime = Restricted, PackagesAuto, true, true
			t.Run(fmt.Sprintf("%s, %s, %s", name, d.State, d.Conflicts), func(t *testing.T) {
				growth.Linear(t, c.size, func(n int) func() {
					o := observe(startsAt1, c.facts(n))
					return func() { _, _, _ = Decide(d, o) }
				})
			})
		}
	}
}

// TestSums: a message names the first ones and counts the rest.
func TestSums(t *testing.T) {
	const a, b = "/etc/sysctl.d/a.conf", "/etc/sysctl.conf"
	many := make([]int, 20_000)
	restricted := Desired{State: StateRestricted, RestrictedScope: Restricted, Packages: PackagesAuto,
		Conflicts: ConflictsResolve, Persistent: true}
	plan := func(c Conflicts, facts ...func(*Observed)) (Plan, error) {
		d := restricted
		d.Conflicts = c
		p, _, err := Decide(d, observe(append(facts, startsAt1)...))
		return p, err
	}
	p, err := plan(ConflictsResolve, values(a, many...), values(b, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	lines, because := commented(t, p, a)
	const below = `, which is below 1`
	if want := `line 1 sets "0"` + below + `; line 2 sets "0"` + below + `; line 3 sets "0"` + below +
		`; 19,997 more lines set it as well; the original is in /var/lib/hardening.yama/originals` +
		a; len(lines) != len(many) || because != want {
		t.Errorf("%d lines, since %s", len(lines), because)
	}
	p, err = plan(ConflictsReport, values(a, many...), values(b, 0))
	if want := []string{
		b + `:1 sets "0", which takes effect with ` + "`sysctl --system`; it stays (conflicts=report)",
		a + `:1 sets "0"` + below + `; ` + a + `:2 sets "0"` + below + `; ` + a + `:3 sets "0"` + below +
			`; 19,997 more lines set it as well; it stays (conflicts=report)`,
	}; err != nil || len(p.Warnings) < 2 || !slices.Equal(p.Warnings[:2], want) {
		t.Errorf("warnings %q, %v", p.Warnings, err)
	}
	facts := make([]func(*Observed), 0, 1000)
	for i := range 1000 {
		facts = append(facts,
			file(fmt.Sprintf("/etc/sysctl.d/%04d.conf", i), Key+" = 0 "+strings.Repeat("#", 1<<12)+"\n"))
	}
	_, err = plan(ConflictsFail, facts...)
	if err == nil || len(err.Error()) > 3000 || !strings.Contains(err.Error(), "/etc/sysctl.d/0009.conf:1 sets ") ||
		!strings.HasSuffix(err.Error(),
			"; 990 more lines of other files set it as well. Nothing was changed (conflicts=fail)") {
		t.Errorf("got %.3100v", err)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for text, want := range map[string]string{"": "", "abc": "abc", "abcdef": "abc… (3 bytes more)",
		"abücd": "ab… (4 bytes more)"} {
		if got := Shown(text, 3); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestWhyIsBounded: an explanation of a debugger that the whole host requires is short, and quick.
func TestWhyIsBounded(t *testing.T) {
	clique := func(n int) Explanation {
		names := make([]string, 0, n)
		for i := range n {
			names = append(names, fmt.Sprintf("p%d", i))
		}
		e := Explanation{Requirers: map[string][]string{"gdb": append(names[:n:n], More(5000))}}
		for i := 0; i < n; i += max(1, n/50) {
			e.Requirers[names[i]] = names
		}
		return e
	}
	why := clique(1000).Why(Debugger{Name: "gdb"})
	if len(why) > 1000 || !strings.HasPrefix(why, "required by p0 (required by p1, p2, ") ||
		!strings.HasSuffix(why, ", 5,000 more") {
		t.Errorf("got %s", why)
	}
	chain := Explanation{Requirers: map[string][]string{}}
	for i := range 100_000 {
		chain.Requirers[fmt.Sprintf("p%d", i)] = []string{fmt.Sprintf("p%d", i+1)}
	}
	if why := chain.Why(Debugger{Name: "p0"}); len(why) > 1000 ||
		!strings.HasSuffix(why, "(required by p30 (required by 1 more)"+strings.Repeat(")", 29)) {
		t.Errorf("got %s", why)
	}
	growth.Linear(t, 20_000, func(n int) func() {
		e := clique(n)
		return func() { e.Why(Debugger{Name: "gdb"}) }
	})
	few := Explanation{Requirers: map[string][]string{"gdb": {"a", "b"}, "b": {"c", "a"}}}
	if why := few.Why(Debugger{Name: "gdb"}); why != "required by a, b (required by c)" {
		t.Errorf("got %s", why)
	}
}

// TestWantsAreBounded: an auditor that is not satisfied with any of many lines names the first
// ones.
func TestWantsAreBounded(t *testing.T) {
	o := observe(kernel(Restricted), values("/etc/sysctl.d/a.conf", make([]int, 1000)...))
	wants := Auditor{Accepts: []int{1}, Explicit: true}.Wants(o, o.Tree.Places())
	if !strings.HasPrefix(wants, "/etc/sysctl.d/a.conf:1 to say 1, and ") ||
		!strings.HasSuffix(wants,
			"/etc/sysctl.d/a.conf:10 to say 1, and 990 more lines to say 1, and a line in /etc/sysctl.d that says 1") {
		t.Errorf("got %s", wants)
	}
}
