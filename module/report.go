// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strings"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
)

// Report is the answer to ansible-core. Its keys are documented in schema/ptrace_scope.yml, RETURN.
type Report struct {
	Changed bool   `json:"changed"`
	Failed  bool   `json:"failed"`
	Msg     string `json:"msg"`

	State ptrace.State `json:"state,omitempty"`
	*Findings
	Proof      *Proof   `json:"proof,omitempty"`
	RolledBack []Action `json:"rolled_back,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
	Log        []string `json:"log,omitempty" lines:"keep"`
	Diff       []Diff   `json:"diff,omitempty"`
	Invocation any      `json:"invocation,omitempty" lines:"keep"`

	// first and last are the host as it was observed first and last, and plan is the latest.
	first, last *ptrace.Observed
	plan        ptrace.Plan
	// done are the actions that took effect, or would in check mode, and standing those that were
	// not taken back.
	done, standing []ptrace.Action
	check          bool
	root           string // / where it is about the running host
	// failures are those of the package manager that the policy has a way around.
	failures []string
}

// Findings are the keys that a report has once the host was observed.
type Findings struct {
	Decision       Decision    `json:"decision"`
	Runtime        Runtime     `json:"runtime"`
	Persistent     Persistents `json:"persistent"`
	Packages       Packages    `json:"packages"`
	Debuggers      []Debugger  `json:"debuggers"`
	DropIn         DropIn      `json:"drop_in"`
	Settings       []Setting   `json:"settings"`
	Actions        []Action    `json:"actions"`
	RebootRequired bool        `json:"reboot_required"`
	Verified       *bool       `json:"verified"`
	StricterKept   bool        `json:"stricter_kept"`

	more          int // places that Settings does not list
	moreDebuggers int // debuggers that Debuggers does not list
}

// The parts of a report, as RETURN describes them.
type (
	// Decision is what the host should have, and why.
	Decision struct {
		Scope   *ptrace.Scope `json:"scope"`
		Because string        `json:"because"`
	}
	// Runtime is the value in the running kernel.
	Runtime struct {
		Before *ptrace.Scope `json:"before"`
		After  *ptrace.Scope `json:"after"`
	}
	// Persistents are what the next boot sets, before and after.
	Persistents struct {
		Before Persistent `json:"before"`
		After  Persistent `json:"after"`
	}
	// Persistent is what the boot's loader and procps' would set.
	Persistent struct {
		Boot         *int    `json:"boot"`
		BootSource   *string `json:"boot_source"`
		Reload       *int    `json:"reload"`
		ReloadSource *string `json:"reload_source"`
	}
	// Packages is what was done with packages.
	Packages struct {
		Manager   string   `json:"manager"`
		ReadOnly  *string  `json:"read_only"`
		Enabler   *string  `json:"enabler"`
		Installed []string `json:"installed"`
		Removed   []string `json:"removed"`
	}
	// Debugger is an installed tool that attaches to processes it did not start.
	Debugger struct {
		Name    string  `json:"name"`
		Version *string `json:"version"`
		Source  string  `json:"source"`
		Counts  *bool   `json:"counts"`
		Why     *string `json:"why"`
	}
	// Setting is a place that names the key, and what becomes of it.
	Setting struct {
		File     string           `json:"file"`
		Line     int              `json:"line"`
		Value    string           `json:"value"`
		Origin   ptrace.Origin    `json:"origin"`
		Package  *string          `json:"package"`
		Standing sysctld.Standing `json:"standing"`
		By       *string          `json:"by"`
		Loader   string           `json:"loader"`
	}
	// DropIn is the file of ours that carries the value.
	DropIn struct {
		Path   *string `json:"path"`
		Action string  `json:"action"`
	}
	// Action is a step that was done.
	Action struct {
		Action  string `json:"action"`
		Object  string `json:"object"`
		Because string `json:"because"`
	}
	// Diff is a change as text, the only one in lines. A header is one line, even with a line break
	// in the name of the file.
	Diff struct {
		BeforeHeader string `json:"before_header"`
		AfterHeader  string `json:"after_header"`
		Before       string `json:"before" lines:"keep"`
		After        string `json:"after" lines:"keep"`
	}
)

// observed takes what the host is like. What follows from it is worked out at the end, when nothing
// waits for this run.
func (r *Report) observed(o ptrace.Observed) {
	if r.first == nil {
		r.first, r.Findings = &o, &Findings{DropIn: DropIn{Action: "absent"}}
	}
	r.last = &o
}

// planned takes the latest plan. What it keeps and warns of counts from every pass.
func (r *Report) planned(p ptrace.Plan, o ptrace.Observed) {
	r.plan = p
	scope := p.Decision.Scope
	r.Decision = Decision{Scope: &scope, Because: p.Decision.Because}
	r.StricterKept = r.StricterKept || p.StricterKept
	r.RebootRequired = p.RebootRequired
	known := map[string]bool{}
	for _, w := range r.Warnings {
		known[w] = true
	}
	for _, w := range p.Warnings {
		if !known[w] {
			known[w] = true
			r.Warnings = append(r.Warnings, w)
		}
	}
	if p.Carrier != "" {
		r.DropIn.Path = &p.Carrier
		if _, exists := o.Own[p.Carrier]; exists && r.DropIn.Action == "absent" {
			r.DropIn.Action = "unchanged"
		}
	}
}

// did takes an action that took effect.
func (r *Report) did(a ptrace.Action) {
	r.done, r.standing = append(r.done, a), append(r.standing, a)
}

// predicted closes a run in check mode: what it would do is done, for the report.
func (r *Report) predicted(p ptrace.Plan) {
	r.check, r.done, r.standing = true, p.Actions, p.Actions
	r.verified()
	*r.Verified = len(p.Actions) == 0
}

// verified closes a run that did not fail.
func (r *Report) verified() {
	yes := true
	r.Verified = &yes
	for _, failure := range r.failures {
		_, cause, _ := strings.Cut(failure, ": ")
		if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, cause) }) {
			r.Warnings = append(r.Warnings, failure)
		}
	}
}

// finish derives the rest: changed is that something was done and not taken back, and nothing else.
func (r *Report) finish(request ansible.Request, err error) {
	defer r.bound()
	r.Changed = len(r.standing) > 0
	if request.Invocation {
		r.Invocation = map[string]any{"module_args": request.Arguments}
	}
	if r.Findings != nil {
		r.findings()
	}
	if request.Diff {
		r.Diff = diffOf(r.standing)
	}
	if err != nil {
		r.Failed, r.Msg = true, err.Error()
		if len(r.RolledBack) > 0 {
			r.Msg += fmt.Sprintf(" (%d of its changes were put back)", len(r.RolledBack))
		}
		return
	}
	r.Msg = r.sentence(request.Check)
}

// findings works out what was found, and what was done.
func (r *Report) findings() {
	first, last := *r.first, *r.last
	if r.check {
		last.Runtime, last.Tree, last.Enabler.Installed = r.plan.Runtime, r.plan.Tree, r.plan.Installed
	}
	r.Runtime = Runtime{Before: first.Runtime, After: last.Runtime}
	r.Persistent = Persistents{Before: persistentOf(first.Tree), After: persistentOf(last.Tree)}
	r.Packages = Packages{
		Manager: first.Enabler.Manager, ReadOnly: nullIfEmpty(first.Enabler.ReadOnly),
		Enabler:   nullIfEmpty(last.Enabler.Installed),
		Installed: []string{}, Removed: []string{},
	}
	r.Debuggers, r.moreDebuggers = debuggersOf(first)
	r.Settings, r.more = settingsOf(last.Tree, last)
	r.Actions = make([]Action, 0, len(r.done))
	for _, a := range r.done {
		r.Actions = append(r.Actions, actionOf(a))
	}
	for _, a := range r.standing {
		r.note(a)
	}
}

// note lists an action under the keys of its object.
func (r *Report) note(a ptrace.Action) {
	switch {
	case a.Kind == ptrace.Package && a.After != nil:
		r.Packages.Installed = append(r.Packages.Installed, a.Object)
	case a.Kind == ptrace.Package:
		r.Packages.Removed = append(r.Packages.Removed, a.Object)
	case a.Kind == ptrace.File && r.DropIn.Path != nil && *r.DropIn.Path == a.Object:
		r.DropIn.Action = map[bool]string{true: "created", false: "replaced"}[a.Before == nil]
	case a.Kind == ptrace.File && r.DropIn.Path == nil:
		file := a.Object
		r.DropIn = DropIn{Path: &file, Action: "removed"}
	}
}

// bootUnknown is part of a sentence.
const bootUnknown = "the value after the next boot is not known"

// sentence says the outcome as a person would.
func (r *Report) sentence(check bool) string {
	would := map[bool]string{true: "would be ", false: "is "}[check && r.Changed]
	now := "this kernel has no Yama, "
	if r.last.RuntimeUnknown != "" {
		now = "the running value is not known (" + r.last.RuntimeUnknown + "), "
	}
	if after := r.Runtime.After; after != nil {
		now = fmt.Sprintf("%s %s%d now, ", ptrace.Key, would, *after)
	}
	boot := "nothing sets it at boot"
	switch p := r.Persistent.After; {
	case p.Boot != nil:
		boot = fmt.Sprintf("the next boot sets %d", *p.Boot)
	case r.last.Boot.Unknown != "":
		boot = bootUnknown
	}
	if r.last.Container != "" && r.Runtime.After != nil {
		boot = "which is the value of the container's host: no boot reads the files of a container"
	}
	if r.root != "/" {
		now = "below " + r.root + " "
	}
	done := map[bool]string{true: fmt.Sprintf("%d changes", len(r.standing)), false: "nothing to change"}[r.Changed]
	if len(r.standing) == 1 {
		done = "1 change"
	}
	return fmt.Sprintf("%s: %s%s (%s): %s", r.State, now, boot, done, r.Decision.Because)
}

func actionOf(a ptrace.Action) Action {
	return Action{Action: a.Verb(), Object: a.Object, Because: a.Because}
}

func persistentOf(tree sysctld.Tree) Persistent {
	var p Persistent
	if tree.BootKnown() {
		p.Boot, p.BootSource = settingOf(tree.Boot())
	}
	p.Reload, p.ReloadSource = settingOf(tree.Reload())
	return p
}

// settingOf returns a setting's value and place.
func settingOf(s sysctld.Setting, ok bool) (*int, *string) {
	if !ok {
		return nil, nil
	}
	n, _ := sysctld.Number(s.Value) // a loader's setting is one that the kernel accepts
	source := s.Source()
	return &n, &source
}

// debuggersListed is how many debuggers a report has at most. A pattern can match many.
const debuggersListed = 100

// debuggersOf returns the first debuggers, and how many more there are.
func debuggersOf(o ptrace.Observed) (debuggers []Debugger, more int) {
	listed := o.Debuggers[:min(len(o.Debuggers), debuggersListed)]
	debuggers = make([]Debugger, 0, len(listed))
	for _, d := range listed {
		source := "package"
		if d.Path != "" {
			source = "path"
		}
		counts := !d.Excused
		shown := Debugger{Name: d.Name, Version: nullIfEmpty(d.Version), Source: source, Counts: &counts,
			Why: nullIfEmpty(d.Why)}
		if source == "package" && o.Incidental != nil && !d.ExcuseKnown {
			shown.Counts = nil // unknown
		}
		debuggers = append(debuggers, shown)
	}
	return debuggers, len(o.Debuggers) - len(listed)
}

func nullIfEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
