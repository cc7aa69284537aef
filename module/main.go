// SPDX-License-Identifier: GPL-3.0-or-later

// Ptrace_scope is the Ansible module hardening.yama.ptrace_scope. Run with the path of an arguments
// file, it reconciles how far processes of this host may look into each other with ptrace, and
// prints one line of JSON.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/cache"
	"hardening.yama/module/internal/logs"
)

func main() {
	attach.Serve(os.Args)
	ctx, stop := context.WithCancel(context.Background())
	os.Exit(run(ctx, ansible.CommandLine(), world{
		open: openHost, listen: func() { listen(stop) }, logs: logs.Here(), cache: hostCache{},
	}, os.Stdout))
}

// hostCache is the cache of the running host.
type hostCache struct{}

func (hostCache) CacheProgram(sum string) error { return cache.Program(sum) }
func (hostCache) Tidy()                         { cache.Tidy() }

// listen calls stop when the program is asked to stop.
func listen(stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		stop()
	}()
}
