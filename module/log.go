// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/logs"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

// verbose is the number of v's from which on the report has the log.
const verbose = 3

// openLog makes the logger of a run.
func openLog(request ansible.Request, places logs.Places) (hclog.Logger, *logs.Lines) {
	wanted := request.Log
	if !wanted.Allowed {
		return logs.None()
	}
	log, lines := logs.New(places, logs.Config{
		Identifier: "ansible-" + request.Module,
		Facility:   wanted.Facility,
		Prefix:     wanted.Prefix,
		Debug:      wanted.Debug,
		Lines:      wanted.Verbosity >= verbose,
		ByHand:     wanted.ByHand,
	})
	if request.Check {
		log = log.With("check_mode", true)
	}
	return log, lines
}

// loggable returns the arguments that a log may show: numbers, truths, words of ours, and the tree
// that is meant. What is free text, or a name, may be a secret of the user's.
func loggable(module schema.Module, values ansible.Values) []any {
	shown := make([]any, 0, 2*len(module.Options))
	for _, o := range module.Options {
		harmless := o.Type == "int" || o.Type == "bool" || o.Type == "path" || len(o.Choices) > 0
		if harmless && values[o.Name] != nil {
			shown = append(shown, o.Name, values[o.Name])
		}
	}
	return shown
}

func logObserved(log hclog.Logger, o ptrace.Observed, err error, took time.Duration) {
	if !log.IsDebug() {
		return
	}
	if err != nil {
		log.Debug("observe", "failure", err, "took", took)
		return
	}
	debuggers := make([]string, 0, len(o.Debuggers))
	for _, d := range o.Debuggers {
		debuggers = append(debuggers, d.Name)
	}
	_, boot := settingOf(o.Tree.Boot())
	log.Debug("observe", "runtime", valueOrNone(o.Runtime), "boot_source", valueOrNone(boot), "manager",
		o.Enabler.Manager,
		"enabler", o.Enabler.Installed, "debuggers", debuggers, "took", took)
}

func logAnswer(log hclog.Logger, q ptrace.Question, e ptrace.Enabler, took time.Duration) {
	switch {
	case q == ptrace.AskRequirers:
		log.Debug("ask which debuggers count", "took", took)
	case q == ptrace.AskOffer && e.Offer != nil:
		log.Debug("ask for an offer", "package", e.Offer.Package, "with", e.Offer.With, "cause", e.Offer.Cause, "took",
			took)
	case q == ptrace.AskRemoval && e.Removal != nil:
		log.Debug("ask for a removal", "package", e.Installed, "with", e.Removal.With, "cause", e.Removal.Cause, "took",
			took)
	}
}

// logPlan logs a plan, and of check mode what would be done.
func logPlan(log hclog.Logger, stage string, p ptrace.Plan, check bool) {
	log.Debug(stage, "scope", p.Decision.Scope, "because", p.Decision.Because, "actions", len(p.Actions))
	if check {
		for _, a := range p.Actions {
			logAction(log, "would ", a)
		}
	}
}

func logAction(log hclog.Logger, how string, a ptrace.Action) {
	log.Info(how+a.Verb(), "kind", a.Kind, "object", a.Object, "because", a.Because)
}

// conclude implements answer.
func (r *Report) conclude(log hclog.Logger, lines *logs.Lines) {
	fields := []any{"changed", r.Changed}
	if r.State != "" {
		fields = append(fields, "state", r.State)
	}
	if r.Findings != nil {
		fields = append(fields, "scope", valueOrNone(r.Decision.Scope), "because", r.Decision.Because,
			"runtime_before", valueOrNone(r.Runtime.Before), "runtime_after", valueOrNone(r.Runtime.After),
			"boot_before", valueOrNone(r.Persistent.Before.Boot), "boot_after", valueOrNone(r.Persistent.After.Boot),
			"verified", valueOrNone(r.Verified))
	}
	if len(r.Warnings) > 0 {
		fields = append(fields, "warnings", r.Warnings)
	}
	logEnd(log, r.Failed, r.State != "", r.Msg, fields)
	r.Log = lines.All()
}

// conclude implements answer. What was asked is the whole story of a run that changes nothing,
// unless it failed.
func (i *Info) conclude(log hclog.Logger, lines *logs.Lines) {
	if i.Failed {
		logEnd(log, true, i.accepted, i.Msg, nil)
	}
	i.Log = lines.All()
}

// logEnd logs how a run ended. The message about arguments that were refused has them in it, so it
// is only in the report.
func logEnd(log hclog.Logger, failed, accepted bool, msg string, fields []any) {
	switch {
	case !failed:
		log.Info("done", fields...)
	case !accepted:
		log.Error("failed", append(fields, "failure", "the arguments were refused: the report says why")...)
	default:
		log.Error("failed", append(fields, "failure", msg)...)
	}
}

// inWords returns what a pointer leads to.
func valueOrNone[T any](value *T) any {
	if value == nil {
		return "none"
	}
	return *value
}
