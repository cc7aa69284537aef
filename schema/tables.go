// SPDX-License-Identifier: GPL-3.0-or-later

// Code generated from schema/*.yml by "make generate". DO NOT EDIT.

package schema

// scopes are for what points to one.
var scopes = [...]int{0, 1, 2, 3}

var scopeOptions = []Option{
	{Name: "state", Type: "str", Required: true, Choices: []any{"auto", "permissive", "restricted"}},
	{Name: "restricted_scope", Type: "int", Default: 1, Choices: []any{1, 2, 3}},
	{Name: "exact", Type: "bool", Default: false},
	{Name: "packages", Type: "str", Default: "auto", Choices: []any{"auto", "manage", "ignore"}},
	{Name: "debuggers", Type: "list", Elements: "str", Default: []any{}},
	{Name: "ignore_debuggers", Type: "list", Elements: "str", Default: []any{}},
	{Name: "catalog", Type: "path"},
	{Name: "conflicts", Type: "str", Default: "resolve", Choices: []any{"resolve", "report", "fail"}},
	{Name: "persistent", Type: "bool", Default: true},
	{Name: "runtime", Type: "bool", Default: true},
	{Name: "reason", Type: "str"},
	{Name: "verify", Type: "str", Default: "value", Choices: []any{"value", "attach"}},
	{Name: "yama_missing", Type: "str", Default: "fail", Choices: []any{"fail", "ignore"}},
	{Name: "lock_timeout", Type: "int", Default: 60},
	{Name: "root", Type: "path", Default: "/"},
	{Name: "backend", Type: "str", Choices: []any{"dnf5", "dnf", "zypper", "apt", "pacman", "apk", "none"}},
	{Name: "backend_plugin", Type: "dict", Suboptions: []Option{
		{Name: "path", Type: "path", Required: true},
		{Name: "sha256", Type: "str", Required: true},
	}},
}

var infoOptions = []Option{
	{Name: "debuggers", Type: "list", Elements: "str", Default: []any{}},
	{Name: "ignore_debuggers", Type: "list", Elements: "str", Default: []any{}},
	{Name: "catalog", Type: "path"},
	{Name: "proof", Type: "bool", Default: false},
	{Name: "backend_plugin", Type: "dict", Suboptions: []Option{
		{Name: "path", Type: "path", Required: true},
		{Name: "sha256", Type: "str", Required: true},
	}},
}

var catalog = Catalog{Distributions: []Distribution{
	{Name: "Fedora 44 and older", IDs: []string{"fedora"}, Below: 45, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{"elfutils-default-yama-scope"}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "Fedora", IDs: []string{"fedora"}, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{"yama-ptrace-enable", "elfutils-default-yama-scope"}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "RHEL 10 and older, and rebuilds", IDs: []string{"rhel", "centos", "rocky", "almalinux", "ol"}, Below: 11, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{"elfutils-default-yama-scope"}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "RHEL, and rebuilds", IDs: []string{"rhel", "centos", "rocky", "almalinux", "ol"}, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{"yama-ptrace-enable", "elfutils-default-yama-scope"}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "Amazon Linux 2023 and older", IDs: []string{"amzn"}, Below: 2027, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{"elfutils-default-yama-scope"}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "Amazon Linux", IDs: []string{"amzn"}, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{"elfutils-yama-ptrace-enable"}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "Azure Linux", IDs: []string{"azurelinux"}, KernelDefault: &scopes[1], Managers: []string{"dnf5", "dnf"}, Enablers: []string{}, DropIns: []string{"10-default-yama-scope.conf"}},
	{Name: "openSUSE and SUSE Linux Enterprise", IDs: []string{"opensuse-tumbleweed", "opensuse-slowroll", "opensuse-leap", "opensuse-microos", "opensuse", "suse", "sles", "sled", "sl-micro"}, KernelDefault: &scopes[1], Managers: []string{"zypper"}, Enablers: []string{"aaa_base-yama-enable-ptrace"}, DropIns: []string{"52-yama.conf"}},
	{Name: "Debian", IDs: []string{"debian"}, Managers: []string{"apt"}, Enablers: []string{}, DropIns: []string{}},
	{Name: "Ubuntu", IDs: []string{"ubuntu"}, KernelDefault: &scopes[1], Managers: []string{"apt"}, Enablers: []string{}, DropIns: []string{}},
	{Name: "Arch Linux", IDs: []string{"arch"}, KernelDefault: &scopes[1], Managers: []string{"pacman"}, Enablers: []string{}, DropIns: []string{}},
	{Name: "Alpine Linux", IDs: []string{"alpine"}, Managers: []string{"apk"}, Enablers: []string{}, DropIns: []string{}},
}, Unknown: Distribution{Managers: []string{"dnf5", "dnf", "zypper", "apt", "pacman", "apk"}, Enablers: []string{"yama-ptrace-enable", "elfutils-yama-ptrace-enable", "aaa_base-yama-enable-ptrace", "elfutils-default-yama-scope"}, DropIns: []string{"10-default-yama-scope.conf", "52-yama.conf"}}, Kernels: []Kernel{
	{Version: "debian-kernel@lists.debian.org"},
}, EnablerCapability: "default-yama-scope", Debuggers: []Debugger{
	{Name: "gdb", Packages: []string{"gdb", "gdb-headless", "gdb-minimal", "gdb-multiarch", "gdb-gdbserver", "gdbserver", "gcc-toolset-9-gdb", "gcc-toolset-1[0-9]-gdb", "gcc-toolset-1[0-9]-gdb-gdbserver", "devtoolset-[2-46-9]-gdb", "devtoolset-1[0-2]-gdb", "devtoolset-[2-46-9]-gdb-gdbserver", "devtoolset-1[0-2]-gdb-gdbserver", "cuda-gdb-1[1-3]-[0-9]"}, Programs: []string{"gdb", "gdb-multiarch", "gdbserver", "cuda-gdb"}},
	{Name: "lldb", Packages: []string{"lldb", "lldb[4-9]", "lldb[12][0-9]", "lldb-[7-9]", "lldb-[12][0-9]", "lldb-3.[4-9]", "lldb-[4-6].0", "llvm-toolset-7-lldb"}, Programs: []string{"lldb", "lldb-[7-9]", "lldb-[12][0-9]", "lldb-server", "lldb-server-[7-9]", "lldb-server-[12][0-9]"}},
	{Name: "strace", Packages: []string{"strace", "gcc-toolset-9-strace", "gcc-toolset-1[0-4]-strace", "devtoolset-[2-46-9]-strace", "devtoolset-1[0-2]-strace"}, Programs: []string{"strace"}},
	{Name: "ltrace", Packages: []string{"ltrace", "gcc-toolset-9-ltrace", "gcc-toolset-1[0-4]-ltrace", "devtoolset-[2-46-9]-ltrace", "devtoolset-1[0-2]-ltrace"}, Programs: []string{"ltrace"}},
	{Name: "delve", Packages: []string{"delve"}, Programs: []string{"dlv"}},
	{Name: "elfutils", Packages: []string{"elfutils", "gcc-toolset-9-elfutils", "gcc-toolset-1[0-4]-elfutils", "devtoolset-[2-46-9]-elfutils", "devtoolset-1[0-2]-elfutils"}, Programs: []string{"eu-stack"}},
	{Name: "systemtap-runtime", Packages: []string{"systemtap-runtime", "gcc-toolset-9-systemtap-runtime", "gcc-toolset-1[0-4]-systemtap-runtime", "devtoolset-[2-46-9]-systemtap-runtime", "devtoolset-1[0-2]-systemtap-runtime"}, Programs: []string{"staprun"}},
	{Name: "reptyr", Packages: []string{"reptyr"}, Programs: []string{"reptyr"}},
	{Name: "scanmem", Packages: []string{"scanmem"}, Programs: []string{"scanmem"}},
	{Name: "heaptrack", Packages: []string{"heaptrack"}, Programs: []string{"heaptrack"}},
	{Name: "radare2", Packages: []string{"radare2"}, Programs: []string{"r2", "radare2"}},
	{Name: "rizin", Packages: []string{"rizin"}, Programs: []string{"rizin"}},
	{Name: "edb-debugger", Packages: []string{"edb-debugger", "edb"}, Programs: []string{"edb"}},
	{Name: "drgn", Packages: []string{"drgn", "python3-drgn"}, Programs: []string{"drgn"}},
	{Name: "procdump", Packages: []string{"procdump"}, Programs: []string{"procdump"}},
	{Name: "memray", Packages: []string{"memray", "python3-memray"}, Programs: []string{"memray"}},
	{Name: "py-spy", Packages: []string{"py-spy"}, Programs: []string{"py-spy"}},
	{Name: "rbspy", Packages: []string{"rbspy"}, Programs: []string{"rbspy"}},
	{Name: "pystack", Packages: []string{"pystack", "python3-pystack"}, Programs: []string{"pystack"}},
	{Name: "frida", Packages: []string{"frida", "frida-tools"}, Programs: []string{"frida", "frida-server", "frida-trace"}},
	{Name: "austin", Packages: []string{"austin"}, Programs: []string{"austin", "austinp"}},
	{Name: "pwndbg", Packages: []string{"pwndbg", "pwndbg-lldb"}, Programs: []string{"pwndbg", "pwndbg-lldb"}},
}, ProgramDirs: []string{"/usr/local/bin", "/usr/local/sbin", "/opt/rh/*/root/usr/bin", "/run/current-system/sw/bin", "/run/current-system/profile/bin", "/nix/var/nix/profiles/default/bin"}, Companions: []string{"lib*", "fonts-*", "python3-*", "*-common", "*-dbg", "*-dbgsym", "*-debuginfo", "*-debugsource", "*-dev", "*-devel", "*-doc", "*-docs", "*-fonts", "*-headers", "*-l10n", "*-lang", "*-libs", "*-man", "*-source", "*-src"}, IncidentalRequirers: []string{"anaconda-install-env-deps"}, Tracers: []string{"rr", "valgrind", "gcc-toolset-9-valgrind", "gcc-toolset-1[0-4]-valgrind", "devtoolset-[2-46-9]-valgrind", "devtoolset-1[0-2]-valgrind", "wine", "wine64", "wine-core", "wine-stable", "wine-staging", "wine-devel", "proot"}, Auditors: []Auditor{
	{Name: "CIS", Accepts: []int{1}, Explicit: true},
	{Name: "STIG", Accepts: []int{1}, Explicit: true},
	{Name: "ComplianceAsCode", Accepts: []int{1}, Explicit: true},
	{Name: "Lynis", Accepts: []int{1, 2, 3}},
	{Name: "dev-sec", Accepts: []int{2, 3}},
	{Name: "Mondoo", Accepts: []int{2, 3}},
	{Name: "kernel-hardening-checker", Accepts: []int{3}},
}}
