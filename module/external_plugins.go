// SPDX-License-Identifier: GPL-3.0-or-later

//go:build plugins

package main

import (
	"context"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/packages"
	"hardening.yama/module/plugin"
	"hardening.yama/module/plugin/client"
)

// start starts the plugin: where nothing may be written, in a copy of the host's trees that is thrown away.
func (e external) start(ctx context.Context, root string) (host.PackageManager, error) {
	c := client.Config{
		File: e.file, SHA256: e.sum, Host: plugin.Host{Root: root, ReadOnly: e.readOnly}, LockTimeout: e.lockTimeout,
	}
	if e.readOnly {
		c.Starting = func(start func() error) error { return packages.InThrowawayView(root, start) }
	}
	manager, err := client.Open(ctx, c)
	if err != nil {
		return nil, err // and no manager that is one without being one
	}
	return manager, nil
}
