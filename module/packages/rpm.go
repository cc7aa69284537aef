// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Installed is an installed package.
type Installed struct{ Name, Version string }

// rpmOwners returns the package of each of the files that has one, changed or not.
func (m Manager) rpmOwners(ctx context.Context, files []string) (map[string]string, error) {
	owners := map[string]string{}
	if len(files) == 0 {
		return owners, nil
	}
	args := append([]string{"-qf", "--qf", `%{NAME}\n`, "--"}, files...)
	r, err := execute(ctx, m.ReadOnly, queryDeadline, m.rpm, args...)
	if err != nil {
		return nil, err
	}
	// A line for each file, in their order, as long as none has two owners.
	lines := strings.Split(strings.TrimSuffix(r.stdout+r.stderr, "\n"), "\n")
	if len(lines) != len(files) && len(files) > 1 {
		for _, file := range files {
			one, err := m.rpmOwners(ctx, []string{file})
			if err != nil {
				return nil, err
			}
			maps.Copy(owners, one)
		}
		return owners, nil
	}
	for i, file := range files {
		_, unowned := between(lines[i], "file ", " is not owned by any package")
		switch {
		case unowned:
		case strings.Contains(lines[i], " ") || lines[i] == "":
			return nil, fmt.Errorf("ask the rpm database who owns %s: %s", file, r.lastLines())
		default:
			owners[file] = lines[i]
		}
	}
	return owners, nil
}

// rpmUnchanged tells whether a package's file has the content that it came with. rpm prints one line for each file that
// differs: nine marks, of which the third is 5 for other content, and the path last.
func (m Manager) rpmUnchanged(ctx context.Context, owner, file string) (bool, error) {
	r, err := execute(ctx, m.ReadOnly, queryDeadline, m.rpm, "-V", "--nodeps", "--noscripts", "--", owner)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(r.stdout) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, " "+file) && strings.HasPrefix(line[min(2, len(line)):], "5") {
			return false, nil
		}
	}
	return true, nil
}

// isa is what rpm puts behind a package's name where the architecture matters.
var isa = map[string]string{
	"amd64": "(x86-64)", "arm64": "(aarch-64)", "ppc64le": "(ppc-64)", "s390x": "(s390-64)", "riscv64": "(riscv-64)",
}[runtime.GOARCH]

// requirersDepth bounds how far it is followed who requires a package. What comes behind is no longer a reason.
const requirersDepth = 3

// rpmRequirers returns for each of the packages the installed ones that require it, and those that require those.
func (m Manager) rpmRequirers(ctx context.Context, names []string) (map[string][]string, error) {
	requirers := map[string][]string{}
	provider := map[string]string{} // of a capability
	for _, name := range names {
		provider[name], provider[name+isa] = name, name
	}
	for level := 0; level < requirersDepth && len(provider) > 0; level++ {
		args := make([]string, 0, 5+len(provider))
		args = append(args, "-q", "--whatrequires", "--qf", `N\t%{NAME}\n[R\t%{REQUIRENAME}\n][P\t%{PROVIDENAME}\n]`, "--")
		for capability := range provider {
			args = append(args, capability)
		}
		r, err := execute(ctx, m.ReadOnly, queryDeadline, m.rpm, args...)
		if err != nil {
			return nil, err
		}
		next := map[string]string{}
		current := ""
		for line := range strings.Lines(r.stdout) {
			kind, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			switch required := provider[value]; kind {
			case "N":
				current = value
			case "R":
				if required != "" && required != current && !slices.Contains(requirers[required], current) {
					requirers[required] = append(requirers[required], current)
				}
			case "P":
				if _, asked := provider[value]; !asked && requirers[current] == nil {
					next[value] = current
				}
			}
		}
		provider = next
	}
	for _, who := range requirers {
		slices.Sort(who)
	}
	return requirers, nil
}

const queryDeadline = time.Minute

// rpmInstalled returns those of the names that are installed, in the order of the names. Every name must be accounted
// for, as installed or as not: any other answer is an error.
func (m Manager) rpmInstalled(ctx context.Context, names []string) ([]Installed, error) {
	args := append([]string{"-q", "--qf", `%{NAME}\t%{EVR}\n`, "--"}, names...)
	r, err := execute(ctx, m.ReadOnly, queryDeadline, m.rpm, args...)
	if err != nil {
		return nil, err
	}
	answered := map[string]bool{}
	var installed []Installed
	for line := range strings.Lines(r.stdout) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := between(line, "package ", " is not installed"); ok {
			answered[name] = true
			continue
		}
		if name, version, ok := strings.Cut(line, "\t"); ok && !answered[name] {
			answered[name] = true
			installed = append(installed, Installed{name, version})
		}
	}
	for _, name := range names {
		if !answered[name] {
			return nil, fmt.Errorf("ask the rpm database for %s: no answer (exit code %d): %s", name, r.code, r.lastLines())
		}
	}
	return installed, nil
}

// rpmRemoval returns the packages that cannot stay without the named one. The database's own test is asked rather than
// the package manager: it is exact, quick, and needs no repository.
func (m Manager) rpmRemoval(ctx context.Context, name string) ([]string, error) {
	r, err := execute(ctx, m.ReadOnly, queryDeadline, m.rpm, "-e", "--test", "--", name)
	if err != nil {
		return nil, err
	}
	if r.code == 0 {
		return nil, nil
	}
	var with []string
	for line := range strings.Lines(r.stdout + r.stderr) {
		if _, needer, ok := strings.Cut(strings.TrimSpace(line), " is needed by (installed) "); ok {
			with = append(with, needer)
		}
	}
	if with == nil {
		return nil, fmt.Errorf("ask the rpm database whether %s can be removed: %s", name, r.lastLines())
	}
	return with, nil
}

// waitForDatabase waits until no other process holds rpm's transaction lock. dnf5 would fail at once, without saying why.
func (m Manager) waitForDatabase(ctx context.Context) error {
	r, err := execute(ctx, false, queryDeadline, m.rpm, "--eval", "%{_rpmlock_path}")
	if err != nil {
		return err
	}
	f, err := os.Open(strings.TrimSpace(r.stdout))
	if err != nil {
		return nil // nobody has made the lock yet; if it is something else, the manager will say so
	}
	defer f.Close() //nolint:errcheck // only looked at
	for deadline := time.Now().Add(m.LockTimeout); ; time.Sleep(200 * time.Millisecond) {
		lock := syscall.Flock_t{Type: syscall.F_WRLCK}
		if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil || lock.Type == syscall.F_UNLCK {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for the package database: process %d has held %s for %s: wait for it to end, or raise lock_timeout",
				lock.Pid, f.Name(), m.LockTimeout)
		}
	}
}

// between returns what stands between a prefix and a suffix, if the text has both.
func between(text, prefix, suffix string) (string, bool) {
	text, begins := strings.CutPrefix(text, prefix)
	text, ends := strings.CutSuffix(text, suffix)
	return text, begins && ends
}
