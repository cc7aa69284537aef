// SPDX-License-Identifier: GPL-3.0-or-later

// Names prints the names of packages that the module asks a host's package database for: names ID VERSION_ID.
package main

import (
	"fmt"
	"os"
	"strings"

	"hardening.yama/schema"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: names ID VERSION_ID")
		os.Exit(2)
	}
	catalog := schema.Known()
	packages, _ := catalog.Names()
	fmt.Println(strings.Join(append(catalog.Distribution(os.Args[1], os.Args[2]).Enablers, packages...), " "))
}
