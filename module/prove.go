// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"

	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/ptrace"
)

// Proof is what processes of ours met when they tried to trace each other, in words.
type Proof map[string]string

// prove tries, and holds the outcome against the running scope. That more is possible than the scope lets is an error; what
// denies more than the scope is no fault of ours, and returned as a caution.
func prove(ctx context.Context, m machine, runtime *ptrace.Scope) (proof Proof, caution string, err error) {
	matrix, facts, err := m.Prove(ctx)
	if err != nil {
		return nil, "", err
	}
	proof = Proof{}
	for _, way := range matrix.Ways() {
		proof[way.Name] = attach.Word(way.Outcome)
	}
	scope := -1
	if runtime != nil {
		scope = int(*runtime)
	}
	loose, strict := matrix.Judge(scope, facts)
	if loose != "" {
		err = errors.New("verify by an attempt: " + loose)
	}
	return proof, strict, err
}
