// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package sandbox

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trace runs the program under strace. It returns, sorted, every path that a system call of the
// program names, and the path of every descriptor that it uses. Programs that it starts are not
// traced.
func (h *Host) Trace(r Run) ([]string, Outcome, error) {
	c, err := h.program(r)
	if err != nil {
		return nil, Outcome{}, err
	}
	const output = inHost + "/trace"
	tools := inHost + toolsDir
	// With -b execve strace does not follow other programs; -y prints the paths of descriptors.
	arguments := []string{"-f", "-b", "execve", "-y", "-s", "4096", "-o", output, "-e", "trace=%file,%desc"}
	program, before := tools+"/strace", []string{}
	if _, err := os.Stat(toolsDir + "/" + loaderName); err == nil {
		program, before = tools+"/"+loaderName, []string{"--library-path", tools, tools + "/strace"}
	}
	traced := h.Command(program, slices.Concat(before, arguments, c.Args)...)
	traced.Dir = c.Dir
	o := watch(traced, max(r.Limit, time.Minute))
	content, err := os.ReadFile(h.Root + output)
	if err != nil {
		return nil, o, fmt.Errorf("%w: %s", err, o.Stderr)
	}
	return pathsIn(string(content)), o, nil
}

// call matches a system call in the output of strace, or the rest of an interrupted one. token
// matches a descriptor with its path, or a text.
var (
	call  = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed>)(.*)$`)
	token = regexp.MustCompile(`(?:AT_FDCWD|\d+)<((?:[^<>\\]|\\.)*)>|"((?:[^"\\]|\\.)*)"`)
)

// texts are calls whose texts are not paths.
var texts = []string{
	"read", "write", "pread64", "pwrite64", "readv", "writev", "sendto", "recvfrom", "sendmsg", "recvmsg", "execve",
	"getdents64", "fgetxattr", "fsetxattr", "fremovexattr",
}

// pathsIn returns the paths in the output of strace.
func pathsIn(output string) []string {
	found := map[string]bool{}
	for line := range strings.Lines(output) {
		parts := call.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if parts == nil {
			continue
		}
		name, arguments := parts[2], parts[3]
		at := ""
		for _, t := range token.FindAllStringSubmatch(arguments, -1) {
			if strings.HasPrefix(t[0], `"`) {
				text := unescape(t[2])
				switch {
				case slices.Contains(texts, name) || text == "":
				case path.IsAbs(text):
					found[path.Clean(text)] = true
				case at != "":
					found[path.Join(at, text)] = true
				}
				continue
			}
			if place := unescape(t[1]); path.IsAbs(place) {
				at = strings.TrimSuffix(place, " (deleted)")
				found[path.Clean(at)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// unescape undoes the escapes of strace.
func unescape(text string) string {
	if plain, err := strconv.Unquote(`"` + text + `"`); err == nil {
		return plain
	}
	return text
}
