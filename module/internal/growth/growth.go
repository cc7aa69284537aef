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
	// times is how much more is tried: something linear takes that much longer, something quadratic
	// the square of it.
	times = 16
	// most is the factor from which the time grows too fast. A larger input also misses more of the
	// processor's caches.
	most = 80
	// rounds is how often it is tried: a busy machine may slow down any of them. What takes longer
	// than enough is not tried again.
	rounds = 8
	enough = 3 * time.Second
	// short is too short a time to be compared, on any machine.
	short = time.Millisecond / 2
)

// Linear fails where a quadratic step is in what prepare returns for an input of a size.
func Linear(t *testing.T, size int, prepare func(size int) func()) {
	t.Helper()
	less, more := prepare(size/times), prepare(size)
	var few, many time.Duration
	for range rounds {
		if many > enough {
			break
		}
		few, many = quicker(few, less), quicker(many, more)
		if many < max(few, short)*most {
			return
		}
	}
	t.Errorf("%d take %s, and %d take %s", size/times, few, size, many)
}

// quicker returns the shorter of a known time, if there is one, and the processor time of a
// function. Other busy processes do not count in it.
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
