// SPDX-License-Identifier: GPL-3.0-or-later

// Ptrace_scope is the Ansible module hardening.yama.ptrace_scope. Run with the path of an arguments file, it reconciles
// how far processes of this host may look into each other with ptrace, and prints one line of JSON.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"hardening.yama/module/ansible"
	"hardening.yama/module/attach"
	"hardening.yama/module/logs"
)

func main() {
	attach.Serve(os.Args)
	// A run that is asked to stop puts back what it changed.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, ansible.CommandLine(), openHost, logs.Here(), os.Stdout)
	stop()
	os.Exit(code)
}
