// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

// image is where the tree of an image lies on the host that builds it.
const image = "/img"

// request is one way to call the program.
type request struct {
	name      string
	module    string
	arguments map[string]any
}

// requests returns the requests for a tree. The info module knows hosts only.
func requests(g good) []request {
	ask := func(state string, more ...any) map[string]any {
		arguments := map[string]any{"state": state, "_ansible_diff": true}
		if !g.host {
			arguments["root"] = image
		}
		for i := 0; i < len(more); i += 2 {
			arguments[more[i].(string)] = more[i+1]
		}
		return arguments
	}
	all := []request{
		{"restricted", "ptrace_scope", ask("restricted")},
		{"permissive", "ptrace_scope", ask("permissive")},
		{"auto", "ptrace_scope", ask("auto")},
		{"check", "ptrace_scope", ask("restricted", "_ansible_check_mode", true)},
		{"check auto", "ptrace_scope", ask("auto", "_ansible_check_mode", true)},
	}
	if g.host {
		all = append(all, request{"info", "ptrace_scope_info", map[string]any{}})
	}
	return all
}

// TestHostileTrees replaces each file and directory that the program reads by each kind, one at a
// time. The list of files comes from traces of the program on good trees. The program must end
// within its time and memory, with one line of JSON. It must not show, use or change a file outside
// of the tree. When it fails, the message must name the replaced file.
func TestHostileTrees(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	seen := map[string]bool{} // the files of earlier trees
	for _, g := range trees() {
		t.Run(g.name, func(t *testing.T) { attackTree(t, g, layer, seen) })
	}
}

// bed is a good tree on disk, and the layers of the hosts that have it.
type bed struct {
	good
	tree   string                     // the directory of the good tree
	beyond string                     // the layer with the files outside of the tree
	layers []string                   // of the hosts, the highest first
	traced map[string]map[string]bool // for each request the names in its trace
}

// attackTree attacks one tree.
func attackTree(t *testing.T, g good, layer string, seen map[string]bool) {
	b := bed{good: g, tree: t.TempDir(), layers: []string{layer}, traced: map[string]map[string]bool{}}
	must(t, os.Chmod(b.tree, 0o755), g.fill(b.tree))
	b.beyond = outsideLayer(t, b)
	b.layers = append([]string{b.beyond}, b.layers...)
	if g.host {
		b.layers = append([]string{b.tree}, b.layers...)
	}
	places := b.trace(t)
	b.poisonMissing(t, places)
	// A file that is the same in an earlier tree was attacked there.
	places = slices.DeleteFunc(places, func(name string) bool {
		key := fmt.Sprint(g.host, b.describe(name))
		was := seen[key]
		seen[key] = true
		return was && !slices.Contains(g.database, name)
	})
	if !all() {
		places = b.fewer(places)
	}
	outcomes := b.attack(t, places)
	b.judge(t, places, outcomes)
}

// fewer keeps two missing names in each directory: the program tries many names in the same way.
func (b bed) fewer(places []string) []string {
	missing := map[string]int{}
	return slices.DeleteFunc(slices.Clone(places), func(name string) bool {
		if b.find(name) != "" || slices.Contains(b.database, name) {
			return false
		}
		missing[path.Dir(name)]++
		return missing[path.Dir(name)] > 2
	})
}

// describe returns a name with its type and size in the good tree.
func (b bed) describe(name string) string {
	info, err := os.Lstat(b.tree + name)
	if err != nil {
		return name
	}
	return fmt.Sprint(name, info.Mode(), info.Size())
}

// outsideLayer makes the files outside of the tree: a poisoned copy of it.
func outsideLayer(t testing.TB, b bed) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755), os.Mkdir(dir+outside, 0o755), copyTree(b.tree, dir+outside))
	if b.poison != nil {
		must(t, b.poison(dir+outside))
	}
	return dir
}

// poisonMissing makes the files outside of the tree that have no like in it.
func (b bed) poisonMissing(t testing.TB, places []string) {
	for _, name := range slices.Backward(places) { // the files of a directory before the directory
		if _, err := os.Lstat(b.beyond + outside + name); err != nil && b.find(name) == "" {
			must(t, write(b.beyond+outside, name, poisonLine))
		}
	}
}

// trace returns the files and directories of the good tree that any request names.
func (b bed) trace(t *testing.T) []string {
	found := map[string]bool{}
	for _, r := range requests(b.good) {
		w := worker{bed: b}
		h, undo, err := w.prepare(nil)
		must(t, err)
		paths, o, err := h.Trace(sandbox.Run{Module: r.module, Arguments: r.arguments})
		undo()
		w.close()
		must(t, err)
		if broken := o.Broken(); broken != "" || o.Failed() {
			t.Fatalf("%s fails on the good tree: %s %s", r.name, broken, o.Stdout)
		}
		if testing.Verbose() && os.Getenv("ATTACK_SHOW") != "" {
			t.Logf("%s: %s", r.name, o.Stdout)
		}
		b.traced[r.name] = map[string]bool{}
		for _, name := range paths {
			if !b.host {
				inside, below := strings.CutPrefix(name, image+"/")
				if !below {
					continue
				}
				name = "/" + inside
			}
			if b.counts(name) {
				found[name], b.traced[r.name][name] = true, true
			}
		}
	}
	places := slices.Sorted(maps.Keys(found))
	for _, name := range b.database {
		if !found[name] {
			t.Errorf("the program does not look at %s, so the tree is not a good one", name)
		}
	}
	if len(places) < 20 {
		t.Fatalf("the trace has only %q", places)
	}
	return places
}

// counts tells whether a path is attacked. Left out are the kernel's files, temporary names, and
// paths through a link: the files behind it have a path of their own.
func (b bed) counts(name string) bool {
	// Below /hosts is the standard input of the program, /dev/null of the sandbox.
	for _, not := range []string{"/proc", "/sys", "/dev", "/sandbox", "/hosts", outside} {
		if b.host && (name == not || strings.HasPrefix(name, not+"/")) {
			return false
		}
	}
	// The program keeps its throw-away view of the host below /tmp, on a file system of its own.
	if name == "/" || b.host && strings.HasPrefix(name, "/tmp/") {
		return false
	}
	if base := path.Base(name); strings.HasPrefix(base, ".ptrace_scope-") && !strings.Contains(base, "99999") {
		return false
	}
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		for _, layer := range append([]string{b.tree}, b.hostLayers()...) {
			if info, err := os.Lstat(layer + dir); err == nil && !info.IsDir() {
				return false
			} else if err == nil {
				break
			}
		}
	}
	return true
}

// hostLayers returns the layers of the host, none for an image.
func (b bed) hostLayers() []string {
	if !b.host {
		return nil
	}
	return append(slices.Clone(b.layers), "/lower")
}

// find returns the place of a name of the good tree in the sandbox, "" if it does not exist.
func (b bed) find(name string) string {
	for _, layer := range append([]string{b.tree}, b.hostLayers()...) {
		var s unix.Stat_t
		if unix.Lstat(layer+name, &s) == nil {
			if s.Mode&unix.S_IFMT == unix.S_IFCHR && s.Rdev == 0 {
				return "" // a whiteout
			}
			return layer + name
		}
	}
	return ""
}

// plant returns a function that makes a kind at a place in an upper layer, with its directories.
func (b bed) plant(make func(place) error, name string) func(upper string) error {
	return func(upper string) error {
		dirs := []string{}
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
		}
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if was := b.find(dir); was != "" {
				info, err := os.Lstat(was)
				if err != nil {
					return err
				}
				if err := copyOne(was, upper+dir, info); err != nil {
					return err
				}
				continue
			}
			if err := os.Mkdir(upper+dir, 0o755); err != nil {
				return err
			}
		}
		return make(place{at: upper + name, name: name, was: b.find(name)})
	}
}

// cell is a file or directory and the kind that replaces it.
type cell struct {
	name string
	kind int
}

// finding is the verdict on one request.
type finding struct {
	verdict         verdict
	request, detail string
}

// attack runs the program with each kind at each place, one worker for each processor.
func (b bed) attack(t *testing.T, places []string) map[cell][]finding {
	var todo []cell
	for _, name := range places {
		for k := range kinds {
			if all() || b.always(name) || sum(name, kinds[k].name)%3 == 0 {
				todo = append(todo, cell{name, k})
			}
		}
	}
	outcomes := map[cell][]finding{}
	var mutex sync.Mutex
	var wait sync.WaitGroup
	next, began, runs := 0, time.Now(), 0
	for range runtime.NumCPU() {
		wait.Add(1)
		go func() {
			defer wait.Done()
			w := worker{bed: b}
			defer w.close()
			for {
				mutex.Lock()
				if next == len(todo) {
					mutex.Unlock()
					return
				}
				c := todo[next]
				next++
				mutex.Unlock()
				found, err := w.try(c)
				mutex.Lock()
				if err != nil {
					t.Errorf("%s as %s: the case cannot be made: %v", c.name, kinds[c.kind].name, err)
				}
				outcomes[c] = found
				runs += len(found)
				mutex.Unlock()
			}
		}()
	}
	wait.Wait()
	t.Logf("%d files and directories of %d kinds: %d runs in %.0f s",
		len(places), len(kinds), runs, time.Since(began).Seconds())
	return outcomes
}

// always tells whether all kinds replace a name in the fixed part, and not a third of them. Hosts
// take the longest and differ little from images. A missing name can only be a trap, not an answer.
func (b bed) always(name string) bool {
	return slices.Contains(b.database, name) || !b.host && b.find(name) != ""
}

// worker attacks on one host at a time. The builder of an image serves all cases, since nothing on
// it may change.
type worker struct {
	bed
	builder *sandbox.Host
}

func (w *worker) close() {
	if w.builder != nil {
		w.builder.Close()
		w.builder = nil
	}
}

// try runs the requests of a case.
func (w *worker) try(c cell) ([]finding, error) {
	// One request for each case, three of six for a host, always the same ones.
	asked := requests(w.good)
	first := sum(kinds[c.kind].name, c.name) % len(asked)
	switch {
	case !all():
		asked = asked[first:][:1]
	case w.host:
		asked = []request{asked[first], asked[(first+2)%len(asked)], asked[(first+3)%len(asked)]}
	}
	var found []finding
	for _, r := range asked {
		f, err := w.once(c, r)
		if errors.Is(err, errNot) {
			return nil, nil
		}
		if err != nil {
			return found, err
		}
		found = append(found, f)
		if f.verdict == hangs {
			break // the next request would hang, too
		}
	}
	return found, nil
}

// sum returns a hash of texts.
func sum(texts ...string) int {
	h := fnv.New32()
	for _, text := range texts {
		_, _ = h.Write([]byte(text))
	}
	return int(h.Sum32())
}

// once runs one request. For a link out of the tree it runs the control, too, and compares.
func (w *worker) once(c cell, r request) (finding, error) {
	k := kinds[c.kind]
	o, changes, err := w.run(k.plant, c.name, r)
	if err == nil && o.Hung { // the machine may have been busy
		o, changes, err = w.run(k.plant, c.name, r)
	}
	if err != nil {
		return finding{}, err
	}
	f := w.verdictOn(c, r, o, changes)
	if k.control == nil || f.verdict.bad() || w.host {
		return f, nil
	}
	like, _, err := w.run(k.control, c.name, r)
	if err != nil {
		return finding{}, err
	}
	if difference := differs(o, like); difference != "" {
		f = finding{reads, r.name, difference}
	}
	return f, nil
}

// run plants something, runs a request, and returns the changes outside of the tree.
func (w *worker) run(plant func(place) error, name string, r request) (o sandbox.Outcome, changes string, err error) {
	h, undo, err := w.prepare(w.plant(plant, name))
	if err != nil {
		return o, "", err
	}
	defer undo()
	before := w.others(h)
	o = h.Run(sandbox.Run{Module: r.module, Arguments: r.arguments, Limit: patience()})
	if changes = w.others(h).Since(before); changes != "" {
		defer w.close()
	}
	return o, changes, nil
}

// others returns the picture of the files outside of the tree. A running host is its own tree:
// there it is the secret file.
func (w *worker) others(h *sandbox.Host) sandbox.Picture {
	if w.host {
		return sandbox.PictureOf(h.Path("/etc/shadow"))
	}
	return h.Picture()
}

// prepare returns a host with the tree. A function plants something in the upper layer of the tree.
func (w *worker) prepare(plant func(upper string) error) (h *sandbox.Host, undo func(), err error) {
	if w.host {
		h, err := sandbox.New(plant, w.layers...)
		if err != nil {
			return nil, nil, err
		}
		return h, h.Close, nil
	}
	if w.builder == nil {
		w.builder, err = sandbox.New(func(upper string) error { return os.Mkdir(upper+image, 0o755) }, w.layers...)
		if err != nil {
			return nil, nil, err
		}
	}
	dir, err := os.MkdirTemp("/", "tree")
	if err != nil {
		return nil, nil, err
	}
	at, upper := w.builder.Path(image), dir+"/upper"
	undo = func() {
		_ = unix.Unmount(at, unix.MNT_DETACH)
		_ = os.RemoveAll(dir)
	}
	err = errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(dir+"/work", 0o755))
	if err == nil && plant != nil {
		err = plant(upper)
	}
	if err == nil {
		err = sandbox.Overlay(at, upper, dir+"/work", w.tree)
	}
	if err != nil {
		undo()
	}
	return w.builder, undo, err
}
