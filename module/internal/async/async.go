// SPDX-License-Identifier: GPL-3.0-or-later

// Package async starts a question whose answer is needed later.
package async

import "runtime"

// Start calls ask in a goroutine of its own, and returns a function that waits for its answer.
func Start[T any](ask func() (T, error)) (wait func() (T, error)) {
	var answer T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer, err = ask()
	}()
	// Let the question begin first: the caller has other work to do until the answer is there.
	runtime.Gosched()
	return func() (T, error) {
		<-done
		return answer, err
	}
}
