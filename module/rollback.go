// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/ptrace"
)

// rollBack takes back what a run did, last first, and returns why it failed with what could not be
// taken back. It stops at the first step that cannot be: what is left then is the beginning of a
// plan, which the next run repairs (see planFor).
func rollBack(ctx context.Context, m machine, r *Report, cause error) error {
	if len(r.standing) == 0 {
		return cause
	}
	ctx = context.WithoutCancel(ctx) // a run that is asked to stop still cleans up
	problem := r.takeBack(ctx, m)
	o, err := m.Observe(ctx)
	if err != nil {
		if errors.Is(cause, err) || errors.Is(problem, err) {
			return withProblem(cause, problem, errors.New("could not look at the host afterwards for the same reason"))
		}
		return withProblem(cause, problem, fmt.Errorf("could not look at the host afterwards: %w", err))
	}
	// A package's scriptlet may have set the value on its own.
	if now, before := o.Runtime, r.first.Runtime; now != nil && before != nil && *now != *before {
		from, to := now.String(), before.String()
		back := ptrace.Action{Kind: ptrace.Value, Object: ptrace.Key, Before: &from, After: &to}
		if err := r.putBack(ctx, m, back); err != nil {
			problem = errors.Join(problem, err)
		} else {
			o.Runtime = before
		}
	}
	r.observed(o)
	return withProblem(cause, problem, nil)
}

// withProblem returns why a run failed, and what went wrong while it was taken back.
func withProblem(cause error, problems ...error) error {
	for _, problem := range problems {
		if problem != nil {
			cause = fmt.Errorf("%w; and %v", cause, problem) //nolint:errorlint // the cause is the one to test for
		}
	}
	return cause
}

// takeBack takes back the standing actions. What a killed run had left does not come back.
func (r *Report) takeBack(ctx context.Context, m machine) error {
	var litter []ptrace.Action
	for len(r.standing) > 0 {
		last := r.standing[len(r.standing)-1]
		if last.Kind == ptrace.Litter && last.After == nil {
			litter = append(litter, last)
		} else if err := r.putBack(ctx, m, last.Inverse()); err != nil {
			objects := make([]string, 0, len(r.standing))
			for _, a := range r.standing {
				objects = append(objects, a.Object)
			}
			r.standing = append(r.standing, litter...)
			return fmt.Errorf("%w: run the module again, it repairs this (still changed: %s)", err,
				strings.Join(objects, ", "))
		}
		r.standing = r.standing[:len(r.standing)-1]
	}
	r.standing = litter
	return nil
}

// putBack does one step back and lists it.
func (r *Report) putBack(ctx context.Context, m machine, back ptrace.Action) error {
	back.Because = "the run failed"
	logAction(hclog.FromContext(ctx), "put back: ", back)
	err := m.Do(ctx, back)
	var nevertheless *ptrace.DoneNevertheless
	if err != nil && !errors.As(err, &nevertheless) {
		return fmt.Errorf("could not put back %s: %w", back.Object, err)
	}
	if err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("put back %s: it took effect, but then: %v", back.Object, err))
	}
	r.RolledBack = append(r.RolledBack, actionOf(back))
	return nil
}
