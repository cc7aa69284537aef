// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

// BootWrites is everything that systemd-sysctl writes, in that order.
func (t Tree) BootWrites() []Setting { return t.bootWrites() }

// ReloadWrites is everything that `sysctl --system` writes, in that order.
func (t Tree) ReloadWrites() []Setting { return t.reloadWrites() }

// Integer is what the kernel reads from a value.
var Integer = integer
