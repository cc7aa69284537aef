// SPDX-License-Identifier: GPL-3.0-or-later

// Names prints the names of packages that the module asks a host's package database for: names ID
// VERSION_ID. Without arguments it reads hosts, a line of ID and VERSION_ID each, and prints those
// of the catalog's distributions that none of them is of.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"hardening.yama/schema"
)

func main() {
	catalog := schema.Known()
	switch len(os.Args) {
	case 1:
		represented := map[string]bool{}
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			id, version, _ := strings.Cut(lines.Text(), " ")
			represented[catalog.Distribution(id, version).Name] = true
		}
		for _, d := range catalog.Distributions {
			if !represented[d.Name] {
				fmt.Println(d.Name + " (" + strings.Join(d.IDs, ", ") + ")")
			}
		}
		if !represented[catalog.Unknown.Name] {
			fmt.Println("one that nobody described")
		}
	case 3:
		packages, _ := catalog.Names()
		fmt.Println(strings.Join(append(catalog.Distribution(os.Args[1], os.Args[2]).Enablers, packages...), " "))
	default:
		fmt.Fprintln(os.Stderr, "usage: names ID VERSION_ID, or names <HOSTS")
		os.Exit(2)
	}
}
