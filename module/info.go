// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

// Info is the answer of ptrace_scope_info. Its keys are documented in schema/ptrace_scope_info.yml,
// RETURN.
type Info struct {
	Changed bool   `json:"changed"`
	Failed  bool   `json:"failed"`
	Msg     string `json:"msg"`
	*Situation
	Proof      *Proof   `json:"proof,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
	Log        []string `json:"log,omitempty" lines:"keep"`
	Invocation any      `json:"invocation,omitempty" lines:"keep"`

	accepted bool // the arguments were
}

// Situation are the keys that an answer has once the host was observed.
type Situation struct {
	Yama              *bool         `json:"yama"`
	Runtime           *ptrace.Scope `json:"runtime"`
	Locked            bool          `json:"locked"`
	Persistent        Persistent    `json:"persistent"`
	Settings          []Setting     `json:"settings"`
	Packages          Enabling      `json:"packages"`
	Debuggers         []Debugger    `json:"debuggers"`
	Breaks            []Broken      `json:"breaks"`
	Denials           []Denial      `json:"denials"`
	Auditors          []AuditResult `json:"auditors"`
	Container         *string       `json:"container"`
	SELinuxDenyPtrace *bool         `json:"selinux_deny_ptrace"`

	more          int  // places that Settings does not list
	moreDebuggers int  // debuggers that Debuggers does not list
	unknown       bool // what the next boot sets
}

// The parts of an answer, as RETURN describes them.
type (
	// Enabling names the package manager and the enabler.
	Enabling struct {
		Manager  string  `json:"manager"`
		ReadOnly *string `json:"read_only"`
		Enabler  *string `json:"enabler"`
	}
	// Broken are the tools that a scope breaks, for whom it did not at the next lower one.
	Broken struct {
		Scope ptrace.Scope `json:"scope"`
		Tools []string     `json:"tools"`
		Who   string       `json:"who"`
	}
	// Denial is an attempt that Yama denied.
	Denial struct {
		Access string `json:"access"`
		Tracer string `json:"tracer"`
		Target string `json:"target"`
		Times  int    `json:"times"`
	}
	// AuditResult is an auditor's.
	AuditResult struct {
		Name   string  `json:"name"`
		Passes bool    `json:"passes"`
		Wants  *string `json:"wants"`
	}
)

// inform observes the host and fills the answer. All is asked as in check mode: nothing is written.
func inform(ctx context.Context, request ansible.Request, w world, info *Info) error {
	values, catalog, err := checked(schema.Info, request)
	if err != nil {
		return err
	}
	more, err := namesIn(values, "debuggers")
	if err != nil {
		return err
	}
	ignore, err := namesIn(values, "ignore_debuggers")
	if err != nil {
		return err
	}
	info.accepted = true
	external, err := externalFrom(ctx, values, true)
	if err != nil {
		return err
	}
	hclog.FromContext(ctx).Info("Invoked with", loggable(schema.Info, values)...)
	if external != nil {
		w.listen() // its process is to be ended however the run ends
	}
	m, err := w.open(host.Config{Catalog: catalog.With(more, ignore), External: external, ReadOnly: true,
		Explain: true})
	if err != nil {
		return err
	}
	defer func() { info.Warnings = append(info.Warnings, leave(m, w, request)...) }()
	observed, err := observe(ctx, m)
	if err != nil {
		return err
	}
	if observed.Questionable() {
		if err := m.Answer(ctx, ptrace.AskRequirers, &observed); err != nil {
			return err
		}
	}
	explanation, err := m.Explain(observed)
	if err != nil {
		return err
	}
	info.Situation = situationOf(observed, explanation, catalog.Auditors)
	info.Warnings = ptrace.Cautions(observed, explanation)
	if asked, _ := values["proof"].(bool); !asked {
		return nil
	}
	proof, caution, err := prove(ctx, m, observed.Runtime)
	info.Proof = &proof
	if caution != "" {
		info.Warnings = append(info.Warnings, caution)
	}
	return err
}

func situationOf(o ptrace.Observed, e ptrace.Explanation, auditors []schema.Auditor) *Situation {
	settings, more := settingsOf(o.Tree, o)
	s := &Situation{
		Runtime:    o.Runtime,
		Locked:     o.Runtime != nil && *o.Runtime == ptrace.NoAttach,
		Persistent: persistentOf(o.Tree),
		Settings:   settings,
		Packages: Enabling{Manager: o.Enabler.Manager, ReadOnly: nullIfEmpty(o.Enabler.ReadOnly),
			Enabler: nullIfEmpty(o.Enabler.Installed)},
		Auditors:          []AuditResult{},
		Container:         nullIfEmpty(o.Container),
		SELinuxDenyPtrace: e.SELinuxDenyPtrace,
		more:              more,
		unknown:           o.Boot.Unknown != "",
	}
	if yama := o.Runtime != nil; o.RuntimeUnknown == "" {
		s.Yama = &yama
	}
	s.Debuggers, s.moreDebuggers = debuggersOf(o)
	for i := range s.Settings {
		s.Settings[i].Package = nullIfEmpty(ptrace.Shown(e.Owners[s.Settings[i].File], wordShown))
	}
	attaching := make([]string, 0, len(s.Debuggers))
	for i := range s.Debuggers {
		if s.Debuggers[i].Why == nil {
			s.Debuggers[i].Why = nullIfEmpty(e.Why(o.Debuggers[i]))
		}
		attaching = append(attaching, s.Debuggers[i].Name)
	}
	s.Breaks = []Broken{
		{ptrace.Restricted, attaching, "ordinary users"},
		{ptrace.AdminOnly, append([]string{}, o.Tracers...), "ordinary users"},
		{ptrace.NoAttach, append(slices.Clone(attaching), o.Tracers...), "root"},
	}
	if e.Denials != nil {
		s.Denials = []Denial{}
	}
	for _, d := range e.Denials {
		s.Denials = append(s.Denials, Denial{Access: d.Access, Tracer: d.Tracer, Target: d.Target, Times: d.Times})
	}
	places := o.Tree.Places()
	for _, a := range auditors {
		wants := ptrace.Auditor(a).Wants(o, places)
		s.Auditors = append(s.Auditors, AuditResult{Name: a.Name, Passes: wants == "", Wants: nullIfEmpty(wants)})
	}
	return s
}

// sentence says what holds and why, as a person would.
func (s *Situation) sentence() string {
	now := "This kernel has no Yama, so every process may look into the others of its user"
	if s.Yama == nil {
		now = "The running value is not known"
	}
	if s.Runtime != nil {
		now = fmt.Sprintf("%s is %d now", ptrace.Key, *s.Runtime)
	}
	boot := "no file sets it at boot"
	switch p := s.Persistent; {
	case p.Boot != nil:
		boot = fmt.Sprintf("the next boot sets %d by %s", *p.Boot, *p.BootSource)
	case s.unknown:
		boot = bootUnknown
	}
	tools := "no debugger needs 0"
	if names := s.Breaks[0].Tools; len(names) > 0 {
		tools = strings.Join(names, ", ") + map[bool]string{true: " needs 0", false: " need 0"}[len(names) == 1]
	}
	return fmt.Sprintf("%s, %s, and %s", now, boot, tools)
}

// finish closes the answer.
func (i *Info) finish(request ansible.Request, err error) {
	defer i.bound()
	if request.Invocation {
		i.Invocation = map[string]any{"module_args": request.Arguments}
	}
	switch {
	case err != nil:
		i.Failed, i.Msg = true, err.Error()
	case i.Situation != nil:
		i.Msg = i.sentence()
	}
}
