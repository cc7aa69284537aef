// SPDX-License-Identifier: GPL-3.0-or-later

//go:build pluginhost

package main

import (
	"context"

	"hardening.yama/module/backend"
	"hardening.yama/module/backend/client"
	"hardening.yama/module/host"
	"hardening.yama/module/packages"
)

// start starts the plugin: where nothing may be written, in a copy of the host's trees that is thrown away.
func (e external) start(ctx context.Context, root string) (host.PackageManager, error) {
	c := client.Config{
		File: e.file, SHA256: e.sum, Host: backend.Host{Root: root, ReadOnly: e.readOnly}, LockTimeout: e.lockTimeout,
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
