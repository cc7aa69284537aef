// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// violation is a finding and its class.
type violation struct{ class, text string }

// The classes.
const (
	watching   = "watching"       // the test failed, not the program
	printed    = "printed"        // not one line of JSON, or an exit code that differs from failed
	told       = "told wrongly"   // the report and the host differ
	unnamed    = "unnamed"        // a change stays, and msg does not name it
	notBack    = "not taken back" // a change stays after a single fault
	succeeded  = "not so"         // failed is false, but host or report are not the clean run's
	warned     = "warned"         // failed is false, with a warning that the clean run lacks
	torn       = "torn"           // a file is neither the old nor the new one
	nextRun    = "next run"       // it fails, ends at another host, or does not settle
	accusation = "accusation"     // the report blames another program
	stays      = "stays"          // a permissive run leaves something of restricted
)

func (v violation) String() string { return v.class + ": " + v.text }

// violations are the findings at one point.
type violations []violation

func (v *violations) add(class, format string, arguments ...any) {
	*v = append(*v, violation{class, fmt.Sprintf(format, arguments...)})
}

// answered holds the keys of a report that can be compared with the host.
type answered struct {
	Changed    *bool
	Failed     *bool
	Msg        string
	Verified   bool
	Warnings   []string
	Actions    []step
	RolledBack []step `json:"rolled_back"`
	Runtime    *struct{ After *int }
	Persistent *struct{ After boots }
	DropIn     *struct {
		Path   *string
		Action string
	} `json:"drop_in"`
	Settings []assigned
	all      map[string]any
}

type step struct{ Action, Object string }

func sorted(steps []step) []step {
	return slices.SortedFunc(slices.Values(steps), func(a, b step) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Action, b.Action))
	})
}

type boots struct {
	Boot         *int
	BootSource   *string `json:"boot_source"`
	Reload       *int
	ReloadSource *string `json:"reload_source"`
}

type assigned struct {
	File  string
	Line  int
	Value string
}

// readReport parses the output of a run.
func readReport(output []byte) (r answered, err error) {
	line, begins := bytes.CutPrefix(output, []byte("\n"))
	line, ends := bytes.CutSuffix(line, []byte("\n"))
	if !begins || !ends || bytes.Contains(line, []byte("\n")) {
		return r, fmt.Errorf("it printed not a line break and one line, but %q", output)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("it printed no report: %w: %q", err, output)
	}
	if r.Changed == nil || r.Failed == nil || r.Msg == "" {
		return r, fmt.Errorf("its report lacks changed, failed or msg: %q", output)
	}
	return r, json.Unmarshal(line, &r.all)
}

// leftBehind checks each file for itself, after a kill or a failed rollback.
func (c *course) leftBehind(now files) (found violations) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		e := now[name]
		before, was := c.start[name]
		after, will := c.end[name]
		switch {
		case was && e == before, will && e == after, c.leftover(name):
		case was || will:
			found.add(torn, "%s is neither as before nor as after: %s", name, e)
		case !temporary(name):
			found.add(torn, "%s is there, which is no temporary file: %s", name, e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.start)) {
		_, there := now[name]
		if _, stays := c.end[name]; stays && !there && !own(name) {
			found.add(torn, "%s is gone", name)
		}
	}
	return found
}

// temporary reports whether a killed run may leave a file. No loader reads it, and the next run
// removes it.
func temporary(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, ".") && !strings.HasSuffix(base, ".conf") ||
		path.Dir(name) == "/var/lib/hardening.yama/originals" && strings.HasPrefix(base, "pending-")
}

func own(name string) bool { return strings.HasSuffix(name, "-ptrace_scope.conf") }

// accusing matches sentences that blame another program. There is none on these hosts.
var accusing = regexp.MustCompile(`(?i)(something|somebody|someone|(an)?other (program|tool|process|run|user)) ` +
	`(else )?(writ|wrote|chang|edit|replac|keeps|restor|modif)`)

// accused adds the sentences of a report that blame another program.
func (v *violations) accused(when string, r answered) {
	for _, text := range append([]string{r.Msg}, r.Warnings...) {
		if accusing.MatchString(text) {
			v.add(accusation, "%s says: %s", when, text)
		}
	}
}

// reported checks the report of a run against the host.
func (c *course) reported(o outcome, f fault, now files, result *result) (found violations) {
	r, err := readReport(o.output)
	if err != nil {
		found.add(printed, "%v", err)
		return found
	}
	result.failed = *r.Failed
	if (o.code != 0) != *r.Failed {
		found.add(printed, "failed is %t, and the exit code %d", *r.Failed, o.code)
	}
	found.accused("it", r)
	if !*r.Failed {
		if len(differing(now, c.end)) > 0 {
			found.add(succeeded, "it has not failed, and the host is not as it should be: %s", difference(now, c.end))
		}
		for _, key := range slices.Sorted(maps.Keys(c.clean.all)) {
			// The order of actions can differ: a run can need a second look.
			if want := c.clean.all[key]; key != "actions" && key != "warnings" && !reflect.DeepEqual(r.all[key], want) {
				found.add(succeeded, "it has not failed, and %s is %s, not %s", key, encode(r.all[key]), encode(want))
			}
		}
		if !reflect.DeepEqual(sorted(r.Actions), sorted(c.clean.Actions)) {
			found.add(succeeded, "it has not failed, and actions are %v, not %v", r.Actions, c.clean.Actions)
		}
		for _, text := range r.Warnings {
			if !slices.Contains(c.clean.Warnings, text) {
				found.add(warned, "it has not failed, and warns: %s", text)
			}
		}
		return found
	}
	if r.Verified {
		found.add(told, "it has failed, and says that it has verified")
	}
	found = append(found, c.untrue(r, now)...)
	if f.fromHere {
		return append(found, c.leftBehind(now)...)
	}
	// After a single fault each step can be taken back, except the removal of an old temporary
	// file.
	if left := difference(c.withoutLeftovers(now), c.withoutLeftovers(c.start)); left != "" {
		found.add(notBack, "%s; msg: %s", left, r.Msg)
	}
	return found
}

// withoutLeftovers returns a tree without the temporary files of an earlier, killed run.
func (c *course) withoutLeftovers(f files) files {
	f = maps.Clone(f)
	for name := range c.start {
		if c.leftover(name) {
			delete(f, name)
		}
	}
	return f
}

// leftover reports whether an earlier, killed run left a temporary file. This run can use the same
// name.
func (c *course) leftover(name string) bool {
	_, before := c.start[name]
	_, after := c.end[name]
	return before && !after && temporary(name)
}

// The key and its file.
const (
	key  = "kernel.yama.ptrace_scope"
	yama = "/proc/sys/kernel/yama/ptrace_scope"
)

// untrue compares a report with the host.
func (c *course) untrue(r answered, now files) (found violations) {
	// listed holds the steps that the report calls done and not taken back. A step that was taken
	// back may stay in actions.
	listed := map[string]string{}
	for _, s := range r.Actions {
		listed[s.Object] = s.Action
	}
	for _, s := range r.RolledBack {
		delete(listed, s.Object)
	}
	cleaned := false
	for name := range c.start {
		if _, there := now[name]; c.leftover(name) {
			_, ok := listed[name]
			_, renamed := listed[strings.Replace(name, "/pending-", "/", 1)] // the name that it was to have
			if !ok && !renamed && !there {
				found.add(told, "what took effect is not listed: %s is gone", name)
			} else if ok {
				cleaned = true
				delete(listed, name)
			}
		}
	}
	now = c.withoutLeftovers(now)
	// Temporary files and empty directories are not changes. After a single fault notBack finds
	// them.
	for _, passing := range []func(string) bool{temporary, now.empty} {
		for _, name := range differing(now, c.start) {
			if _, was := c.start[name]; !was && passing(name) {
				delete(now, name)
			}
		}
	}
	changed := differing(now, c.withoutLeftovers(c.start))
	effects := map[string]bool{}
	for object := range listed {
		effects[object] = true
	}
	for _, name := range changed {
		object := name
		if name == yama {
			object = key
		}
		if _, ok := listed[object]; ok {
			delete(effects, object)
			continue
		}
		if !c.explained(name, listed, now) {
			found.add(told, "what took effect is not listed: %s is now %s", name, now[name])
		}
	}
	for object := range effects {
		found.add(told, "listed is %s %s, which is not so", listed[object], object)
	}
	for object, action := range listed {
		e, there := now[object]
		so := map[string]bool{
			"write": there && e.mode.IsRegular(), "remove": !there, "mask": there && e.content == "/dev/null",
			"unmask": !there, "comment": e == c.end[object], "set": true,
		}
		if !so[action] {
			found.add(told, "listed is %s %s, and it is %s (there: %t)", action, object, e, there)
		}
		if *r.Failed && !strings.Contains(r.Msg+strings.Join(r.Warnings, " "), object) {
			found.add(unnamed, "%s %s is not taken back, and neither msg nor warnings name it: %s",
				action, object, r.Msg)
		}
	}
	if *r.Changed != (len(listed) > 0 || cleaned) || *r.Changed != (len(changed) > 0 || cleaned) {
		found.add(told, "changed is %t, with %d things listed that are not taken back; changed has: %s",
			*r.Changed, len(listed), strings.Join(changed, ", "))
	}
	if r.Runtime == nil {
		return found // the run failed before it looked at the host
	}
	value, err := strconv.Atoi(strings.TrimSpace(now[yama].content))
	if err != nil || r.Runtime.After == nil || *r.Runtime.After != value {
		found.add(told, "runtime.after is %s, and the kernel holds %q", encode(r.Runtime.After), now[yama].content)
	}
	if want := loaded(now); !reflect.DeepEqual(r.Persistent.After, want) {
		found.add(told, "persistent.after is %s, not %s", encode(r.Persistent.After), encode(want))
	}
	if want := places(now); !reflect.DeepEqual(r.Settings, want) && len(r.Settings)+len(want) > 0 {
		found.add(told, "settings are %v, not %v", r.Settings, want)
	}
	if d := r.DropIn; d != nil && d.Path != nil {
		e, there := now[*d.Path]
		before, was := c.start[*d.Path]
		if so := map[string]bool{
			"created": there && !was, "replaced": there && was && e.content != before.content, "removed": !there && was,
			"unchanged": there && was && e == before, "absent": !there,
		}; !so[d.Action] {
			found.add(told, "drop_in says %s is %s; it was %s (there: %t) and is %s (there: %t)",
				*d.Path, d.Action, before, was, e, there)
		}
	}
	return found
}

// explained reports whether a changed file belongs to a listed step on another file: it is the
// directory of a new file, or the copy of an edited one.
func (c *course) explained(name string, listed map[string]string, now files) bool {
	for object, action := range listed {
		if action == "write" && now[name].mode.IsDir() && strings.HasPrefix(object, name+"/") ||
			now[name] == c.end[name] && (now[name].mode.IsDir() || now[name].content == c.start[object].content) {
			return true
		}
	}
	return false
}

// sysctlDirs are the directories of sysctl.d(5), highest precedence first.
var sysctlDirs = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"}

// assignment matches a line that sets the key. The hosts have no other kind.
var assignment = regexp.MustCompile(`^\s*kernel[./]yama[./]ptrace_scope\s*=\s*(([0-3])\b.*)$`)

// placesIn returns the lines of a file that set the key.
func placesIn(f files, name string) []assigned {
	var found []assigned
	e := f[name]
	if e.mode&fs.ModeSymlink != 0 {
		e = f[path.Join(path.Dir(name), e.content)] // the links of the hosts are relative, or masks
	}
	for i, line := range strings.Split(e.content, "\n") {
		if m := assignment.FindStringSubmatch(line); m != nil {
			found = append(found, assigned{name, i + 1, m[1]})
		}
	}
	return found
}

// places returns all lines that set the key, by file and line.
func places(f files) []assigned {
	var found []assigned
	for _, name := range slices.Sorted(maps.Keys(f)) {
		isDropIn := slices.Contains(sysctlDirs, path.Dir(name)) && strings.HasSuffix(name, ".conf")
		if isDropIn || name == "/etc/sysctl.conf" {
			found = append(found, placesIn(f, name)...)
		}
	}
	return found
}

// loaded returns what systemd-sysctl and `sysctl --system` set.
func loaded(f files) (b boots) {
	read := map[string]string{}
	for _, dir := range slices.Backward(sysctlDirs) {
		for name := range f {
			if path.Dir(name) == dir && strings.HasSuffix(name, ".conf") {
				read[path.Base(name)] = name
			}
		}
	}
	for _, base := range slices.Sorted(maps.Keys(read)) {
		for _, p := range placesIn(f, read[base]) {
			value, source := int(p.Value[0]-'0'), fmt.Sprintf("%s:%d", p.File, p.Line)
			b.Boot, b.BootSource, b.Reload, b.ReloadSource = &value, &source, &value, &source
		}
	}
	for _, p := range placesIn(f, "/etc/sysctl.conf") {
		value, source := int(p.Value[0]-'0'), fmt.Sprintf("%s:%d", p.File, p.Line)
		b.Reload, b.ReloadSource = &value, &source
	}
	return b
}

// afterwards checks the runs that follow on a tree. A run depends on the tree alone, so each tree
// is checked once, and the trees before and after the clean run need no check.
func (c *course) afterwards(now files) violations {
	if len(differing(now, c.start)) == 0 || len(differing(now, c.end)) == 0 {
		return nil
	}
	state := fmt.Sprint(now)
	c.Lock()
	found, known := c.nextRuns[state]
	c.Unlock()
	if !known {
		found = append(c.repaired(now), c.permitted(now)...)
		c.Lock()
		c.nextRuns[state] = found
		c.Unlock()
	}
	return found
}

// on runs the program on a copy of a tree, and returns the tree after it.
func (c *course) on(now files, arguments string) (o outcome, end files, err error) {
	c.Lock()
	c.made++
	root := filepath.Join(c.dir, strconv.Itoa(c.made))
	c.Unlock()
	defer os.RemoveAll(root)
	if err := os.Mkdir(root, 0o755); err != nil {
		return o, nil, err
	}
	if err := now.copyTo(root); err != nil {
		return o, nil, err
	}
	o = start(root, arguments, nil)
	if o.problem != "" {
		return o, nil, errors.New(o.problem)
	}
	o.output = bytes.ReplaceAll(o.output, []byte(root), nil)
	end, err = lookAt(root)
	return o, end, err
}

// repaired checks the next two runs of the same task.
func (c *course) repaired(now files) (found violations) {
	for n, which := range []string{"the next run", "the run after the next"} {
		o, end, err := c.on(now, c.arguments)
		if err != nil {
			found.add(watching, "%s: %v", which, err)
			return found
		}
		r, err := readReport(o.output)
		switch {
		case err != nil:
			found.add(printed, "%s: %v", which, err)
			return found
		case *r.Failed:
			found.add(nextRun, "%s fails: %s", which, r.Msg)
			found.accused(which, r)
			return found
		}
		found.accused(which, r)
		if len(differing(end, c.end)) > 0 {
			found.add(nextRun, "%s leads to another host: %s", which, difference(end, c.end))
			return found
		}
		if n > 0 && *r.Changed != c.check {
			found.add(nextRun, "%s changes something: %v", which, r.Actions)
		}
		for _, text := range r.Warnings {
			expected := slices.Contains(c.clean.Warnings, text) || slices.Contains(c.again.Warnings, text)
			if !expected && !accusing.MatchString(text) {
				found.add(nextRun, "%s warns: %s", which, text)
			}
		}
		now = end
	}
	return found
}

// permitted checks a permissive run as the next one: no mask and no temporary file may stay, but
// for a mask in the place of the administrator's link.
func (c *course) permitted(now files) (found violations) {
	o, end, err := c.on(now, c.permit)
	if err != nil {
		found.add(watching, "permissive then: %v", err)
		return found
	}
	r, err := readReport(o.output)
	switch {
	case err != nil:
		found.add(printed, "permissive then: %v", err)
		return found
	case *r.Failed:
		found.add(nextRun, "permissive then fails: %s", r.Msg)
		return found
	}
	found.accused("permissive then", r)
	for _, name := range slices.Sorted(maps.Keys(end)) {
		start, before := c.start[name]
		_, after := c.end[name]
		switch e := end[name]; {
		case e.mode&fs.ModeSymlink != 0 && e.content == "/dev/null" && start.mode&fs.ModeSymlink == 0:
			found.add(stays, "permissive then leaves the mask %s", name)
		case !before && !after && !own(name):
			found.add(stays, "permissive then leaves %s", name)
		}
	}
	if got := strings.TrimSpace(end[yama].content); got != "0" {
		found.add(stays, "permissive then leaves the running value %s", got)
	}
	return found
}
