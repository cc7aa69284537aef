// SPDX-License-Identifier: GPL-3.0-or-later

// Package growth tests that the time something takes grows as its input does, and no faster.
package growth

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	// times is how much more is tried: something linear takes that much longer, something quadratic
	// the square of it.
	times = 16
	// most is the factor from which the time grows too fast, where the smaller input is taken as
	// often as it is smaller: something linear takes the same time then, something quadratic that
	// many times more. A larger input also misses more of the processor's caches.
	most = 5
	// rounds is how often it is tried: a busy machine may slow down any of them. A function that
	// takes longer than enough is not tried again.
	rounds = 8
	enough = 3 * time.Second
	// short is too short a time to be compared, on any machine.
	short = 8 * time.Millisecond
)

// Linear fails where a quadratic step is in what prepare returns for an input of a size.
func Linear(t *testing.T, size int, prepare func(size int) func()) {
	t.Helper()
	if how := linear(size, prepare); how != "" {
		t.Error(how)
	}
}

// linear returns how a time grows too fast, "" if it does not.
func linear(size int, prepare func(size int) func()) string {
	less, more := prepare(size/times), prepare(size)
	var few, many time.Duration
	for range rounds {
		if many > enough {
			break
		}
		few, many = quicker(few, func() {
			// One run can be too short for the kernel to account for.
			for range times {
				less()
			}
		}), quicker(many, more)
		if many < max(few, short)*most {
			return ""
		}
	}
	return fmt.Sprintf("%d times %d take %s, and %d take %s", times, size/times, few, size, many)
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
