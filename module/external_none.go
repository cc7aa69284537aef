// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !plugins

package main

import (
	"context"
	"fmt"

	"hardening.yama/module/internal/host"
)

// start says which build could: what it takes makes the program several times larger.
func (e external) start(context.Context, string) (host.PackageManager, error) {
	return nil,
		fmt.Errorf("use the plugin %s: this build of the program cannot run plugins: run the one called ptrace_scope_plugins, "+
			"which make build-plugins makes and the action plugin sends for such tasks", e.file)
}
