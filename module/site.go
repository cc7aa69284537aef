// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/packages"
	"hardening.yama/schema"
)

// readYAML reads a file of YAML. The everyday program has no parser: the action plugin reads the
// file on the controller.
var readYAML func(file string) (any, error)

// siteCatalog returns the site's own catalog, empty where there is none.
func siteCatalog(values ansible.Values, request ansible.Request) (schema.Site, error) {
	file, _ := values["catalog"].(string)
	if file == "" {
		return schema.Site{}, nil
	}
	content := request.Catalog
	if content == nil {
		if readYAML == nil {
			return schema.Site{},
				errors.New("read the catalog " + file +
					": that is the action plugin's, which did not run: call the module by its full name, hardening.yama.ptrace_scope")
		}
		var err error
		if content, err = readYAML(file); err != nil {
			return schema.Site{}, fmt.Errorf("read the catalog: %w", err)
		}
	}
	site, err := schema.ReadSite(content, packages.Names())
	if err != nil {
		return site, fmt.Errorf("read the catalog %s: %w", file, err)
	}
	return site, nil
}
