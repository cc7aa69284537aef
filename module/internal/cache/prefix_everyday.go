// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !plugins

package cache

// prefix is what the names of the everyday build begin with. Each build removes the older ones of
// its own kind alone.
const prefix = "ptrace_scope-"
