// SPDX-License-Identifier: GPL-3.0-or-later

// Package growth tests that the time something takes grows as its input does, and no faster.
package growth

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	// times is how much more is tried: something linear takes that much longer, something quadratic the square of it.
	times = 4
	// most is the factor from which the time grows too fast.
	most = 12
	// rounds is how often it is tried: a busy machine may slow down any of them.
	rounds = 12
	// short is too short a time to be compared, on any machine.
	short = 2 * time.Millisecond
)

// Linear fails where a quadratic step is in what prepare returns for an input of a size.
func Linear(t *testing.T, size int, prepare func(size int) func()) {
	t.Helper()
	less, more := prepare(size), prepare(times*size)
	var one, four time.Duration
	for range rounds {
		one, four = quicker(one, less), quicker(four, more)
		if four < max(one, short)*most {
			return
		}
	}
	t.Errorf("%d take %s, and %d take %s", size, one, times*size, four)
}

// quicker returns the shorter of a time, if there is one, and the time that something takes of a processor, in which others that
// are busy do not count.
func quicker(known time.Duration, do func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := used()
	do()
	if took := used() - start; known == 0 || took < known {
		return took
	}
	return known
}

// used returns the time that this thread has had of a processor: getrusage(2).
func used() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	if err := syscall.Getrusage(thread, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
