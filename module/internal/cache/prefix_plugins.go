// SPDX-License-Identifier: GPL-3.0-or-later

//go:build plugins

package cache

// prefix is what the names of the build that can run plugins begin with. Each build removes the
// older ones of its own kind alone.
const prefix = "ptrace_scope_plugins-"
