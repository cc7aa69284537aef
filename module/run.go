// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/logs"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

// machine is what a run needs of a host.
type machine interface {
	Lock(ctx context.Context, wait time.Duration) (release func(), err error)
	Observe(ctx context.Context) (ptrace.Observed, error)
	Answer(ctx context.Context, q ptrace.Question, o *ptrace.Observed) error
	Prove(ctx context.Context) (attach.Matrix, attach.Facts, error)
	Explain(o ptrace.Observed) (ptrace.Explanation, error)
	Do(ctx context.Context, a ptrace.Action) error
	Permits(a ptrace.Action) error
	Close() error
}

// world is what a run finds around itself.
type world struct {
	// open makes the machine that the run is about.
	open func(host.Config) (machine, error)
	// listen installs the signal handler, which cancels the run's context. From then on a run that
	// is asked to stop takes back what it changed. Before that the default action is right: nothing
	// has been changed.
	listen func()
	logs   logs.Places
	// cache keeps the program on the host, nil where that is not wanted.
	cache programs
}

// programs is the cache of programs on the host.
type programs interface {
	// CacheProgram leaves this program there, under its checksum.
	CacheProgram(sum string) error
	// Tidy removes what a killed run left there.
	Tidy()
}

func openHost(c host.Config) (machine, error) {
	if c.Root == "" || c.Root == "/" {
		return host.New("/", c)
	}
	return host.NewImage(c)
}

// passes bounds how often a run observes and decides again after it did something: once to verify,
// and once more for each surprise a package can bring, since only its files tell what it really
// sets.
const passes = 4

// answer is what a run prints: a Report, or an Info.
type answer interface {
	finish(request ansible.Request, err error)
	// conclude logs how the run ended, and takes what the report is to have of the log.
	conclude(log hclog.Logger, lines *logs.Lines)
}

// run is the program: args → desired → observe → decide → apply → verify → report. It returns the
// exit code.
func run(ctx context.Context, args []string, w world, stdout io.Writer) (code int) {
	if w.listen == nil {
		w.listen = func() {}
	}
	request, err := ansible.ReadRequest(args)
	log, lines := openLog(request, w.logs)
	ctx = hclog.WithContext(ctx, log)
	informs := strings.HasSuffix(request.Module, "_info")
	report, info := &Report{}, &Info{}
	var answer answer = report
	if informs {
		answer = info
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v: please report it with this trace: %s", p, firstFrames(debug.Stack()))
		}
		answer.finish(request, err)
		answer.conclude(log, lines)
		if ansible.Reply(stdout, answer) != nil || err != nil {
			code = 1
		}
	}()
	switch {
	case err != nil:
	case informs:
		err = inform(ctx, request, w, info)
	default:
		err = reconcile(ctx, request, w, report)
	}
	return
}

// checked returns the arguments as the module's contract has them, and the catalog.
func checked(module schema.Module, request ansible.Request) (ansible.Values, schema.Catalog, error) {
	values, err := ansible.Check(request.Module, module.Options, request.Arguments)
	if err != nil {
		return nil, schema.Catalog{}, err
	}
	site, err := siteCatalog(values, request)
	return values, schema.Known().Add(site), err
}

// reconcile makes the host as desired and fills the report on the way.
func reconcile(ctx context.Context, request ansible.Request, w world, report *Report) error {
	values, catalog, err := checked(schema.Scope, request)
	if err != nil {
		return err
	}
	desired, err := desiredFrom(values)
	if err != nil {
		return err
	}
	external, err := externalFrom(ctx, values, request.Check)
	if err != nil {
		return err
	}
	desired.Runtime = desired.Runtime && desired.Root == "/"
	report.State, report.root = desired.State, desired.Root
	hclog.FromContext(ctx).Info("Invoked with", loggable(schema.Scope, values)...)
	w.listen()
	m, err := w.open(host.Config{
		Root:        desired.Root,
		Backend:     desired.Backend,
		External:    external,
		Catalog:     catalog.With(desired.Debuggers, desired.IgnoreDebuggers),
		ReadOnly:    request.Check,
		LockTimeout: desired.LockTimeout,
	})
	if err != nil {
		return err
	}
	defer func() { report.Warnings = append(report.Warnings, leave(m, w, request)...) }()
	if request.Check {
		return predict(ctx, m, desired, report)
	}
	release, err := m.Lock(ctx, desired.LockTimeout)
	if err != nil {
		return err
	}
	defer release()
	if err := settle(ctx, m, desired, report); err != nil {
		return rollBack(ctx, m, report, err)
	}
	if !desired.ProveByAttach {
		return nil
	}
	return report.proven(prove(ctx, m, report.last.Runtime))
}

// predict is check mode: the plan, which is not applied.
func predict(ctx context.Context, m machine, desired ptrace.Desired, report *Report) error {
	observed, err := observe(ctx, m)
	if err != nil {
		return err
	}
	report.observed(observed)
	plan, err := decide(ctx, m, desired, &observed)
	if err != nil {
		return err
	}
	logPlan(hclog.FromContext(ctx), "decide", plan, true)
	report.planned(plan, observed)
	if err := permitted(m, plan); err != nil {
		return err
	}
	report.predicted(plan)
	return nil
}

// permitted returns an error where an action of a plan is not to be done, before any is.
func permitted(m machine, plan ptrace.Plan) error {
	for _, a := range plan.Actions {
		if err := m.Permits(a); err != nil {
			return failure(a, err)
		}
	}
	return nil
}

// settle observes, decides and applies until nothing is left to do.
func settle(ctx context.Context, m machine, desired ptrace.Desired, report *Report) error {
	observed, err := observe(ctx, m)
	if err != nil {
		return err
	}
	report.observed(observed)
	for stage := range passes {
		plan, err := decide(ctx, m, desired, &observed)
		if err != nil {
			return err
		}
		logPlan(hclog.FromContext(ctx), map[bool]string{true: "decide", false: "verify"}[stage == 0], plan, false)
		report.planned(plan, observed)
		if len(plan.Actions) == 0 {
			report.verified()
			return nil
		}
		if err := permitted(m, plan); err != nil {
			return err
		}
		if err := apply(ctx, m, desired, plan.Actions, &observed, report); err != nil {
			return err
		}
		if observed, err = observeAgain(ctx, m, observed); err != nil {
			return err
		}
		report.observed(observed)
	}
	return fmt.Errorf("verify: the host still needs changes after %d passes: something keeps undoing them", passes)
}

// leave ends what was started on the host, and keeps the program there for the next task, where the
// action plugin asks for it. Check mode writes nothing.
func leave(m machine, w world, request ansible.Request) (warnings []string) {
	if err := m.Close(); err != nil {
		warnings = append(warnings, err.Error())
	}
	if request.Check || w.cache == nil {
		return warnings
	}
	if request.CacheAs == "" {
		w.cache.Tidy()
		return warnings
	}
	if err := w.cache.CacheProgram(request.CacheAs); err != nil {
		warnings = append(warnings, err.Error()+" (until then each task sends the program again)")
	}
	return warnings
}

// decide calls ptrace.Decide until no question is left, and asks the package manager in between.
func decide(ctx context.Context, m machine, d ptrace.Desired, o *ptrace.Observed) (ptrace.Plan, error) {
	for {
		plan, question, err := ptrace.Decide(d, *o)
		if err != nil || question == ptrace.NoQuestion {
			return plan, err
		}
		began := time.Now()
		if err := m.Answer(ctx, question, o); err != nil {
			return plan, err
		}
		logAnswer(hclog.FromContext(ctx), question, o.Enabler, time.Since(began))
	}
}

// apply does the actions in their order. A package manager that fails is an answer where the policy
// has a way around it: the rest of the plan is left, and the next pass decides with what is known
// now.
func apply(
	ctx context.Context, m machine, d ptrace.Desired, actions []ptrace.Action, o *ptrace.Observed, report *Report,
) error {
	for _, a := range actions {
		if err := ctx.Err(); err != nil {
			return errors.New("a signal asked the run to stop")
		}
		logAction(hclog.FromContext(ctx), "", a)
		err := m.Do(ctx, a)
		var nevertheless *ptrace.DoneNevertheless
		done := err == nil || errors.As(err, &nevertheless)
		if done {
			report.did(a)
		}
		switch {
		case err == nil:
		case done && a.Kind == ptrace.Package:
			warning := fmt.Sprintf("%s %s took effect, but: %v", a.Verb(), a.Object, err)
			report.Warnings = append(report.Warnings, warning)
		case a.Kind == ptrace.Package && d.Packages == ptrace.PackagesAuto && ctx.Err() == nil:
			o.Enabler.Failed(a, err)
			report.failures = append(report.failures, fmt.Sprintf("%s %s: %v", a.Verb(), a.Object, err))
			return nil
		default:
			return failure(a, err)
		}
	}
	return nil
}

// failure returns why an action failed. The object is named once.
func failure(a ptrace.Action, err error) error {
	var nevertheless *ptrace.DoneNevertheless
	var at *fs.PathError
	switch {
	case errors.As(err, &nevertheless):
		return fmt.Errorf("%s %s: it took effect, but then: %w", a.Verb(), a.Object, err)
	case errors.As(err, &at) && err.Error() == at.Error() && at.Path == a.Object:
		err = at.Err
	}
	return fmt.Errorf("%s %s: %w", a.Verb(), a.Object, err)
}

// observe observes, and logs what counts.
func observe(ctx context.Context, m machine) (ptrace.Observed, error) {
	began := time.Now()
	o, err := m.Observe(ctx)
	logObserved(hclog.FromContext(ctx), o, err, time.Since(began))
	return o, err
}

// observeAgain observes, and keeps the package manager's answers that are still true.
func observeAgain(ctx context.Context, m machine, last ptrace.Observed) (ptrace.Observed, error) {
	o, err := observe(ctx, m)
	o.Enabler.Keep(last.Enabler)
	return o, err
}

// firstFrames shortens a stack to what tells where it broke.
func firstFrames(stack []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stack)), "\n")
	return strings.Join(lines[:min(len(lines), 16)], " ")
}
