// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/host"
)

// external is a package manager of the site's own.
type external struct {
	// file is its program's absolute path, sum the SHA-256 that it must have.
	file, sum   string
	checkMode   bool
	lockTimeout time.Duration
}

// externalFrom returns what starts the package manager that backend_plugin names, nil where it
// names none.
func externalFrom(ctx context.Context, v ansible.Values, checkMode bool) (func(root string) (host.PackageManager, error), error) {
	given, ok := v["backend_plugin"].(ansible.Values)
	if !ok {
		return nil, nil //nolint:nilnil // none is an answer here, and not an error
	}
	e := external{checkMode: checkMode}
	e.file, _ = given["path"].(string)
	e.sum, _ = given["sha256"].(string)
	e.sum = strings.ToLower(e.sum)
	seconds, _ := v["lock_timeout"].(int64)
	e.lockTimeout = time.Duration(seconds) * time.Second
	switch {
	case v["backend"] != nil:
		return nil, errors.New("parameters are mutually exclusive: backend|backend_plugin")
	case !path.IsAbs(e.file) || path.Clean(e.file) != e.file || strings.ContainsAny(e.file, "\x00\n\r"):
		return nil,
			fmt.Errorf("value of backend_plugin.path must be an absolute path without . and .., got: %q", e.file)
	case len(e.sum) != 64 || strings.Trim(e.sum, "0123456789abcdef") != "":
		return nil,
			fmt.Errorf("value of backend_plugin.sha256 must be 64 hexadecimal digits (sha256sum prints them), got: %q",
				e.sum)
	}
	return func(root string) (host.PackageManager, error) { return e.start(ctx, root) }, nil
}
