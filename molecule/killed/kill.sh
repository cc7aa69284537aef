#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes a machine from one state to the other COUNT times, kills the program ever later, looks at what it left, and lets
# the next run repair it. Ends at the first that it does not. Usage: kill.sh COUNT
set -euo pipefail

count=$1
program=/root/ptrace_scope

die() { echo "after a kill at $delay s on the way to $state: $*"; exit 1; }

# run prints the report of a whole run.
run() { "$program" /root/args.json 2>/root/errors | tail -n 1; }

# Whatever ends in .conf is whole: a mask, or a file of ours with its one setting, ended by a line break.
look_at_files() {
	local file
	for file in /etc/sysctl.d/*.conf; do
		case $file in /etc/sysctl.d/99-sysctl.conf) continue ;; esac
		[ "$(readlink "$file")" != /dev/null ] || continue
		[ "$(head -c 37 "$file")" = '# Written by hardening.yama.ptrace_sc' ] || die "$file has no header"
		[ "$(grep -c '^kernel.yama.ptrace_scope = [0-3]$' "$file")" = 1 ] || die "$file has no setting"
		[ -z "$(tail -c 1 "$file")" ] || die "$file has no end"
	done
}

for i in $(seq 0 $((count - 1))); do
	# The way to permissive is the longer one: it asks the repositories.
	if ((i % 2)); then state=restricted scope=1 step=220; else state=permissive scope=0 step=420; fi
	delay=$(printf '%d.%03d' $((i * step / 1000)) $((i * step % 1000)))
	echo "{\"state\": \"$state\"}" >/root/args.json
	"$program" /root/args.json >/root/report 2>&1 &
	sleep "$delay"
	if kill -9 $! 2>/dev/null; then what=killed; else what='had ended'; fi
	wait $! 2>/dev/null || true
	look_at_files

	report=$(run)
	[[ $report == *'"failed":false'* ]] || die "the next run failed: $report"
	repaired=$(grep -o '"action":"[a-z]*","object":"[^"]*"' <<<"$report" | cut -d '"' -f 4,8 | tr '"\n' ' ;' || true)
	[ "$(sysctl -n kernel.yama.ptrace_scope)" = $scope ] || die "the value is $(sysctl -n kernel.yama.ptrace_scope)"
	echo $((1 - scope)) >/proc/sys/kernel/yama/ptrace_scope
	/usr/lib/systemd/systemd-sysctl --prefix=kernel/yama
	[ "$(sysctl -n kernel.yama.ptrace_scope)" = $scope ] || die "the boot would set $(sysctl -n kernel.yama.ptrace_scope)"
	look_at_files
	rpm -Va --nofiles >/dev/null || die "the package database is not whole"
	[ "$(rpm -q yama-ptrace-enable >/dev/null && echo 0 || echo 1)" = $scope ] || die "the enabler is not as it should be"
	report=$(run)
	[[ $report == *'"changed":false'* ]] || die "the run after the next still changed something: $report"
	left=$(find /etc/sysctl.d /run -xdev -name '.*.tmp*' -o -name '*ptrace_scope*' ! -name '*.conf' | tr '\n' ' ')
	[ -z "$left" ] || die "left behind: $left"
	echo "$state, $what at $delay s; repaired by: ${repaired:-nothing}"
done
