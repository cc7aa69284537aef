// SPDX-License-Identifier: GPL-3.0-or-later

package growth

import "testing"

// steps is how many additions a test of a size makes, so that each run takes some milliseconds.
func steps(n int) {
	sum := 0
	for i := range n {
		sum += i ^ sum
	}
	if sum == 1 {
		panic("unreachable, but the compiler does not know")
	}
}

// TestLinear: something linear passes, and something quadratic does not.
func TestLinear(t *testing.T) {
	Linear(t, 16_000, func(n int) func() { return func() { steps(n * 4_000) } })
	if linear(16_000, func(n int) func() { return func() { steps(n * n) } }) == "" {
		t.Error("something quadratic passes")
	}
}
