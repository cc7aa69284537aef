// SPDX-License-Identifier: GPL-3.0-or-later

//go:build plugins

package main

import (
	"context"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/view"
	"hardening.yama/module/plugin/client"
	"hardening.yama/module/plugin/port"
)

// start starts the plugin: where nothing may be written, in a copy of the host's trees that is
// thrown away.
func (e external) start(ctx context.Context, root string) (host.PackageManager, error) {
	c := client.Config{File: e.file, SHA256: e.sum, Host: port.Host{Root: root, CheckMode: e.checkMode}}
	if e.checkMode {
		c.Starting = view.Throwaway(root, nil).Do
	}
	manager, err := client.Open(ctx, c)
	if err != nil {
		return nil, err // a nil *client.Manager in a driver would not be nil
	}
	return driver.New(manager,
		driver.Config{Detail: " (the plugin " + e.file + ")", CheckMode: e.checkMode, LockTimeout: e.lockTimeout,
			Serial: true}), nil
}
