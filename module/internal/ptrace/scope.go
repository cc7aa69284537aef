// SPDX-License-Identifier: GPL-3.0-or-later

// Package ptrace is the pure core: from what is desired and what was observed to a plan. It does no
// I/O and imports nothing of ours but the format of sysctl.d.
package ptrace

import "strconv"

// Key is the sysctl this module keeps.
const Key = "kernel.yama.ptrace_scope"

// KeyPath is its file below /proc/sys.
const KeyPath = "kernel/yama/ptrace_scope"

// Scope is a value of Key, as the kernel's admin-guide/LSM/Yama.rst defines it.
type Scope int

// The scopes, from the loosest to the strictest. A larger number is stricter.
const (
	// Classic lets a process attach to every other one of the same user.
	Classic Scope = iota
	// Restricted lets a process attach to its descendants, and to those that asked for it.
	Restricted
	// AdminOnly leaves ptrace to processes with CAP_SYS_PTRACE.
	AdminOnly
	// NoAttach forbids ptrace to everybody until the next boot.
	NoAttach
)

func (s Scope) String() string { return strconv.Itoa(int(s)) }

// Valid tells whether the kernel accepts the value.
func (s Scope) Valid() bool { return s >= Classic && s <= NoAttach }

// sameScope compares two values that may be absent.
func sameScope(a, b *Scope) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
