// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestFaults lets each system call of the program on its host fail, or kills the program there.
// Then it compares the report with the files, and runs the program again.
//
// The table is transition × call × fault. The calls are those of a run without a fault. `go test`
// runs a fixed part of the table; FAULTS=all runs all of it (make faults). The checks read the
// files themselves: the program's own packages could be wrong in the same way.
func TestFaults(t *testing.T) {
	watchable(t)
	all := os.Getenv("FAULTS") == "all"
	results := &results{}
	t.Run("at", func(t *testing.T) {
		for _, tr := range transitions() {
			if !all && !tr.always() {
				continue
			}
			t.Run(tr.String(), func(t *testing.T) {
				t.Parallel()
				c := unharmed(t, tr)
				for i, p := range c.points {
					for j, f := range faults {
						if f.fromHere && !p.changes || !all && !inPart(p, i, j) {
							continue
						}
						t.Run(p.String()+"/"+f.name, func(t *testing.T) {
							t.Parallel()
							c.try(t, p, f, results)
						})
					}
				}
			})
		}
	})
	if all || testing.Verbose() {
		fmt.Print(results)
	}
}

// contents are the reading calls that return what is in a file or directory.
var contents = []string{"read", "pread64", "getdents64", "fgetxattr", "flock"}

// inPart reports whether fault j at point i is in the fixed part: all faults at calls that change a
// file, EIO where content is read, and one of a hundred of the others.
func inPart(p point, i, j int) bool {
	const sample = 12
	return p.changes || j == 0 && slices.Contains(contents, p.name) || i%sample == 0 && i/sample%len(faults) == j
}

// fault is what happens to a system call.
type fault struct {
	name string
	ruling
	// fromHere: all later calls that change a file fail, too.
	fromHere bool
}

var faults = []fault{
	{name: "EIO", ruling: ruling{errno: syscall.EIO}},
	{name: "ENOSPC", ruling: ruling{errno: syscall.ENOSPC}},
	{name: "EMFILE", ruling: ruling{errno: syscall.EMFILE}},
	{name: "EPERM", ruling: ruling{errno: syscall.EPERM}},
	{name: "EINTR", ruling: ruling{errno: syscall.EINTR}},
	{name: "SIGTERM", ruling: ruling{terminate: true}},
	// The kill comes before the call. Between two calls nothing on the host changes, so a kill
	// after a call is the kill before the next one.
	{name: "SIGKILL", ruling: ruling{kill: true}},
	{name: "EIO-from-here", ruling: ruling{errno: syscall.EIO}, fromHere: true},
}

// transition is a row of the table: a host, the state it is in, and the state it is to have.
type transition struct {
	setup, from, to string // setup: see furnishAs
	// cut is the call before which an earlier run to the same state was killed, as renameat-2.
	cut   string
	check bool
}

func (tr transition) String() string {
	text := cmp.Or(tr.from, "none") + " to " + tr.to + ", " + tr.setup
	if tr.cut != "" {
		text += ", killed at " + tr.cut
	}
	if tr.check {
		text += ", check"
	}
	return text
}

// always reports whether a transition is in the fixed part.
func (tr transition) always() bool {
	return slices.Contains([]string{"both", "linked", "alone", "bare"}, tr.setup)
}

func transitions() []transition {
	var all []transition
	changes := [][2]string{
		{"", "restricted"}, {"restricted", "permissive"}, {"restricted", "auto"}, {"permissive", "restricted"},
	}
	for _, states := range changes {
		for _, setup := range []string{"plain", "enabler", "administrator", "both"} {
			all = append(all, transition{setup: setup, from: states[0], to: states[1]})
		}
		all = append(all, transition{setup: "both", from: states[0], to: states[1], check: true})
	}
	// The drop-in is not in place; no mask is; a copy is pending, before the edit and after it.
	for _, call := range []string{"renameat-1", "symlinkat-1", "renameat-3", "renameat-4"} {
		all = append(all, transition{setup: "both", to: "restricted", cut: call})
	}
	return append(all, transition{setup: "linked", to: "restricted"}, transition{setup: "alone", to: "restricted"},
		transition{setup: "bare", to: "restricted"})
}

// course is a transition and what a run without a fault does in it.
type course struct {
	transition
	dir       string // holds its trees
	arguments string
	permit    string // the arguments of a permissive run
	start     files
	clean     answered // the report of the run
	end       files    // the tree after it
	again     answered // the report of a second run
	points    []point
	paths     map[string]bool // true: each run uses this path; false: its name is random

	sync.Mutex
	made     int
	free     []string              // trees that equal start
	nextRuns map[string]violations // by tree: the violations of the runs that follow
}

// point is a system call of the program on its host.
type point struct {
	seen
	nth     int // counts the calls with this name and path
	ordinal int // counts the calls with this name
}

func (p point) String() string { return p.name + "-" + strconv.Itoa(p.ordinal) }

// unharmed makes the host of a transition and runs the program there without a fault.
func unharmed(t *testing.T, tr transition) *course {
	t.Helper()
	c := &course{transition: tr, dir: fastDir(t), nextRuns: map[string]violations{}}
	c.arguments, c.permit = c.argumentsFor(t, tr.to, tr.check), c.argumentsFor(t, "permissive", false)
	must := func(err error) {
		if t.Helper(); err != nil {
			t.Fatal(err)
		}
	}
	first := filepath.Join(c.dir, "start")
	must(os.Mkdir(first, 0o755))
	must(furnishAs(tr.setup, first))
	if tr.from != "" {
		c.mustRun(t, first, c.argumentsFor(t, tr.from, false))
	}
	if tr.cut != "" {
		count, killed := c.counter(), false
		start(first, c.arguments, func(s seen) ruling {
			killed = killed || count(s).String() == tr.cut
			return ruling{kill: killed}
		})
		if !killed {
			t.Fatalf("the run that should be killed at %s has no such call", tr.cut)
		}
	}
	var err error
	c.start, err = lookAt(first)
	must(err)

	trace := func() (root string, calls []seen, r answered) {
		root, err := c.tree()
		must(err)
		o := start(root, c.arguments, func(s seen) ruling {
			calls = append(calls, s)
			return ruling{}
		})
		if o.problem != "" || o.code != 0 {
			t.Fatalf("the run without a fault: exit code %d, %s: %s", o.code, o.problem, o.output)
		}
		r, err = readReport(o.output)
		must(err)
		return root, calls, r
	}
	root, calls, report := trace()
	_, others, _ := trace()
	c.clean = report
	c.end, err = lookAt(root)
	must(err)
	c.again = c.mustRun(t, root, c.arguments)
	now, err := lookAt(root)
	must(err)
	if *c.again.Changed != (tr.check && *report.Changed) || len(differing(now, c.end)) > 0 {
		t.Fatalf("the second run without a fault changes something: %s", difference(now, c.end))
	}
	if tr.check && len(differing(c.start, c.end)) > 0 {
		t.Fatalf("check mode changes something: %s", difference(c.end, c.start))
	}
	if wrong := c.untrue(report, c.end); !tr.check && len(wrong) > 0 {
		t.Fatalf("the report of the run without a fault is not true: %v", wrong)
	}

	c.paths = map[string]bool{}
	for _, s := range others {
		c.paths[s.path] = false
	}
	for _, s := range calls {
		if _, same := c.paths[s.path]; same {
			c.paths[s.path] = true
		}
	}
	count := c.counter()
	for _, s := range calls {
		c.points = append(c.points, count(s))
	}
	if len(c.points) < 50 {
		t.Fatalf("only %d system calls on the host were seen", len(c.points))
	}
	return c
}

// fastDir returns a directory in memory if possible: fsync takes no time there.
func fastDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "faults")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (c *course) argumentsFor(t *testing.T, state string, check bool) string {
	t.Helper()
	file := filepath.Join(c.dir, fmt.Sprintf("%s-%t.json", state, check))
	arguments := fmt.Appendf(nil, `{"state":%q,"_ansible_check_mode":%t}`, state, check)
	if err := os.WriteFile(file, arguments, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (c *course) mustRun(t *testing.T, root, arguments string) answered {
	t.Helper()
	o := start(root, arguments, nil)
	r, err := readReport(o.output)
	if err != nil || o.code != 0 || *r.Failed {
		t.Fatalf("a run without a fault fails: %v, exit code %d, %s", err, o.code, o.output)
	}
	return r
}

// counter returns a function that numbers the calls of a run. Random names count as *.
func (c *course) counter() func(seen) point {
	byPath, byName := map[string]int{}, map[string]int{}
	return func(s seen) point {
		if !c.paths[s.path] {
			s.path = path.Join(path.Dir(s.path), "*")
		}
		byPath[s.name+" "+s.path]++
		byName[s.name]++
		return point{seen: s, nth: byPath[s.name+" "+s.path], ordinal: byName[s.name]}
	}
}

// tree returns the root of a tree that equals start.
func (c *course) tree() (string, error) {
	c.Lock()
	if last := len(c.free) - 1; last >= 0 {
		root := c.free[last]
		c.free = c.free[:last]
		c.Unlock()
		return root, nil
	}
	c.made++
	root := filepath.Join(c.dir, strconv.Itoa(c.made))
	c.Unlock()
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	return root, c.start.copyTo(root)
}

// giveBack keeps a tree for the next point if it still equals start, and removes it otherwise.
func (c *course) giveBack(root string, now files) {
	if len(differing(now, c.start)) > 0 {
		_ = os.RemoveAll(root)
		return
	}
	c.Lock()
	defer c.Unlock()
	c.free = append(c.free, root)
}

// try runs the program with a fault at a point and checks the result.
func (c *course) try(t *testing.T, p point, f fault, results *results) {
	t.Helper()
	var o outcome
	var root string
	hit := false
	for range 3 { // threads can make their calls in another order, and a signal can interrupt one
		var err error
		if root, err = c.tree(); err != nil {
			t.Fatal(err)
		}
		count := c.counter()
		o = start(root, c.arguments, func(s seen) ruling {
			now := count(s)
			if hit {
				if f.fromHere && s.changes {
					return f.ruling
				}
				return ruling{}
			}
			if now.name == p.name && now.path == p.path && now.nth == p.nth {
				hit = true
				return f.ruling
			}
			return ruling{}
		}, numbers(p, f)...)
		if (hit || o.problem != "") && !strings.Contains(o.problem, interrupted) {
			break
		}
		_ = os.RemoveAll(root)
		hit = false
	}
	now, err := lookAt(root)
	if err != nil {
		t.Fatal(err)
	}
	defer c.giveBack(root, now)
	result := result{transition: c.String(), call: p.name}
	var found violations
	switch {
	case o.problem != "":
		found.add(watching, "%s: %s", o.problem, o.output)
	case !hit:
		found.add(watching, "the call did not come in three runs")
	case f.kill, f.terminate && len(o.output) == 0 && o.code != 0:
		result.killed = true
		found = c.leftBehind(now)
		if !f.kill && len(differing(now, c.start)) > 0 {
			found.add(torn, "the signal ended the run in the middle of its changes: %s", difference(now, c.start))
		}
	default:
		found = c.reported(o, f, now, &result)
	}
	found = append(found, c.afterwards(now)...)
	result.found = found
	results.add(result)
	if len(found) > 0 {
		var texts strings.Builder
		for _, v := range found {
			fmt.Fprintf(&texts, "\n\t%s", strings.ReplaceAll(v.String(), root, ""))
		}
		t.Errorf("%s: %s %d (%s) %s:%s\n\trepeat: FAULTS=all go test ./module -run '^%s$'",
			c.transition, p.name, p.ordinal, p.path, f.name, texts.String(), strings.ReplaceAll(t.Name(), "/", "$/^"))
	}
}

// numbers returns the system calls to watch for a fault at a point.
func numbers(p point, f fault) []int {
	var found []int
	for nr, c := range calls {
		if c.name == p.name || f.fromHere && (c.changes || strings.HasPrefix(c.name, "open")) {
			found = append(found, nr)
		}
	}
	return found
}

// result is what was found at one point.
type result struct {
	transition, call string
	failed, killed   bool
	found            violations
}

// results collects what all points found.
type results struct {
	sync.Mutex
	all []result
}

func (r *results) add(one result) {
	r.Lock()
	defer r.Unlock()
	r.all = append(r.all, one)
}

// String returns the table, transition × call, and the number of points for each class.
func (r *results) String() string {
	type row struct{ transition, call string }
	type sum struct{ points, failed, killed, found int }
	sums, classes := map[row]*sum{}, map[string]int{}
	one := map[bool]int{true: 1}
	for _, result := range r.all {
		for _, at := range []row{{result.transition, result.call}, {result.transition, "all"}, {"~ all", ""}} {
			s := sums[at]
			if s == nil {
				s = &sum{}
				sums[at] = s
			}
			s.points++
			s.failed += one[result.failed]
			s.killed += one[result.killed]
			s.found += one[len(result.found) > 0]
		}
		seen := map[string]bool{}
		for _, v := range result.found {
			classes[v.class] += one[!seen[v.class]]
			seen[v.class] = true
		}
	}
	var b strings.Builder
	const format = "%-50s %-12s %7v %7v %7v %7v\n"
	fmt.Fprintf(&b, format, "transition", "call", "points", "failed", "killed", "found")
	byName := func(a, b row) int {
		return cmp.Or(cmp.Compare(a.transition, b.transition), cmp.Compare(a.call, b.call))
	}
	for _, at := range slices.SortedFunc(maps.Keys(sums), byName) {
		s := sums[at]
		fmt.Fprintf(&b, format, at.transition, at.call, s.points, s.failed, s.killed, s.found)
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		fmt.Fprintf(&b, "%-50s %43d\n", "points with: "+class, classes[class])
	}
	return b.String()
}
