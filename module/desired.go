// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"hardening.yama/module/internal/ansible"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

// desiredFrom turns checked arguments into what is desired, and refuses what the options cannot say
// alone.
func desiredFrom(v ansible.Values) (ptrace.Desired, error) {
	var err error
	str := func(name string) string { s, _ := v[name].(string); return s }
	yes := func(name string) bool { b, _ := v[name].(bool); return b }
	number := func(name string) int64 { n, _ := v[name].(int64); return n }
	names := func(name string) []string {
		list, problem := namesIn(v, name)
		if err == nil { // like ansible-core, tell the first error alone
			err = problem
		}
		return list
	}
	d := ptrace.Desired{
		State:             ptrace.State(str("state")),
		RestrictedScope:   ptrace.Scope(number("restricted_scope")),
		Exact:             yes("exact"),
		Packages:          ptrace.Packages(str("packages")),
		Debuggers:         names("debuggers"),
		IgnoreDebuggers:   names("ignore_debuggers"),
		Conflicts:         ptrace.Conflicts(str("conflicts")),
		Persistent:        yes("persistent"),
		Runtime:           yes("runtime"),
		Reason:            str("reason"),
		ProveByAttach:     str("verify") == "attach",
		IgnoreMissingYama: str("yama_missing") == "ignore",
		LockTimeout:       time.Duration(number("lock_timeout")) * time.Second,
		Root:              path.Clean(str("root")),
		Backend:           str("backend"),
	}
	switch {
	case err != nil:
		return d, err
	case !d.Persistent && !d.Runtime:
		return d, errors.New("persistent and runtime are both false, so there is nothing to do: set one of them to true")
	case number("lock_timeout") < 0 || number("lock_timeout") > 86400:
		return d, fmt.Errorf("value of lock_timeout must be between 0 and 86400 seconds, got: %d",
			number("lock_timeout"))
	case !strings.HasPrefix(d.Root, "/"):
		return d, fmt.Errorf("value of root must be an absolute path, got: %s", d.Root)
	case d.Root != "/" && d.ProveByAttach:
		return d, errors.New("parameters are mutually exclusive: root|verify=attach")
	case d.Root != "/" && !d.Persistent:
		return d, errors.New("persistent is false, and nothing else counts below another root: leave persistent out")
	case len(d.Reason) > 1000:
		return d, fmt.Errorf("value of reason must be at most 1000 bytes, got: %d", len(d.Reason))
	}
	return d, nil
}

// namesIn returns the names and patterns of packages or programs that an option lists.
func namesIn(v ansible.Values, option string) (names []string, err error) {
	given, _ := v[option].([]string)
	for _, name := range given {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !schema.IsPackagePattern(name) {
			return nil, fmt.Errorf("value of %s must be names or patterns of packages or programs, got: %q",
				option, name)
		}
		names = append(names, name)
	}
	return names, nil
}
