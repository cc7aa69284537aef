// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	for directory, want := range map[string][2]string{
		"gdb-14.2":           {"gdb", "14.2"},
		"gdb":                {"gdb", ""},
		"yama-ptrace-enable": {"yama-ptrace-enable", ""},
		"gtk-3-4.1-2":        {"gtk-3-4.1", "2"},
		"-1":                 {"-1", ""},
		"a-":                 {"a-", ""},
	} {
		if name, version := split(directory); name != want[0] || version != want[1] {
			t.Errorf("%s is %q %q, want %q", directory, name, version, want)
		}
	}
}

func TestByVersion(t *testing.T) {
	got := []string{"gdb-14.2", "gdb-9.2", "gdb-14.10", "gdb"}
	slices.SortFunc(got, byVersion)
	if want := []string{"gdb", "gdb-9.2", "gdb-14.2", "gdb-14.10"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
