// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

// BootWrites is everything that systemd-sysctl writes, in that order.
func (t Tree) BootWrites() []Setting { return settings(t.bootWrites()) }

// ReloadWrites is everything that `sysctl --system` writes, in that order.
func (t Tree) ReloadWrites() []Setting { return settings(t.reloadWrites()) }

func settings(writes []said) []Setting {
	all := make([]Setting, 0, len(writes))
	for _, w := range writes {
		all = append(all, w.setting())
	}
	return all
}

// Integer is what the kernel reads from a value.
var Integer = integer

// Braces writes out what BracesReach reads as it is; MatchPath matches one pattern.
var Braces, BracesReach, MatchPath = braces, bracesReach, matchPath
