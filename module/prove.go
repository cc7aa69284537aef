// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"

	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/ptrace"
)

// Proof is the outcome of each way in which test processes tried to trace each other, in words.
type Proof map[string]string

// prove makes the attempt and compares its outcome with the running scope. It is an error if more
// is possible than the scope allows. If less is possible, or if the attempt could not be made, the
// setting is not at fault, and prove returns a caution. The proof is nil if the attempt could not
// be made.
func prove(ctx context.Context, m machine, runtime *ptrace.Scope) (proof Proof, caution string, err error) {
	matrix, facts, err := m.Prove(ctx)
	if err != nil {
		caution = ptrace.Key + " was not tested by an attempt, and stays as it is: " + err.Error()
		return nil, caution, nil //nolint:nilerr // the caution says it
	}
	proof = Proof{}
	for _, way := range matrix.Ways() {
		proof[way.Name] = attach.Word(way.Outcome)
	}
	scope := -1
	if runtime != nil {
		scope = int(*runtime)
	}
	loose, strict := matrix.Expect(scope, facts)
	if loose != "" {
		err = errors.New("verify by an attempt: " + loose +
			": check that nothing else sets " + ptrace.Key + ", and run the task again")
	}
	return proof, strict, err
}

// proven notes the outcome of an attempt. It puts nothing back, since that would loosen the host
// because of a failed test.
func (r *Report) proven(proof Proof, caution string, err error) error {
	r.Proof = &proof
	if caution != "" {
		r.Warnings = append(r.Warnings, caution)
	}
	if r.Verified = nil; proof != nil {
		agrees := err == nil && caution == ""
		r.Verified = &agrees
	}
	if err != nil && len(r.standing) > 0 {
		err = fmt.Errorf("%w (the changes stay in place)", err)
	}
	return err
}
