// SPDX-License-Identifier: GPL-3.0-or-later

// Check holds a plugin for backend_plugin against what the module expects of one: go run
// ./module/plugin/check PLUGIN. With -package NAME, the package is installed and removed again, on
// this host.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/plugin/conformance"
)

func main() {
	name := flag.String("package", "",
		"a package that the plugin offers, to be installed and removed again on this host")
	verbose := flag.Bool("v", false, "show the plugin's log")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: check [-v] [-package NAME] PLUGIN")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	p := conformance.Plugin{File: flag.Arg(0), Package: *name}
	if *verbose {
		p.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug})
	}
	results, err := conformance.Check(context.Background(), p)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	broken := 0
	for _, v := range results {
		if v.Problem == "" {
			fmt.Println("ok     ", v.Rule)
			continue
		}
		broken++
		fmt.Printf("BROKEN  %s\n        %s\n", v.Rule, v.Problem)
	}
	fmt.Printf("%d rules, %d broken\n", len(results), broken)
	if broken > 0 {
		os.Exit(1)
	}
}
