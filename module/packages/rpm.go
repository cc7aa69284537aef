// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Installed is an installed package.
type Installed struct{ Name, Version string }

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

// rpmOwner returns the package that owns a file whose content nobody changed, and "" for any other file.
func (m Manager) rpmOwner(ctx context.Context, file string) (string, error) {
	r, err := execute(ctx, m.ReadOnly, queryDeadline, m.rpm, "-qf", "--qf", `%{NAME}\n`, "--", file)
	if err != nil {
		return "", err
	}
	if strings.Contains(r.stdout+r.stderr, "is not owned by any package") {
		return "", nil
	}
	owner, _, _ := strings.Cut(r.stdout, "\n")
	if r.code != 0 || owner == "" {
		return "", fmt.Errorf("ask the rpm database who owns %s: %s", file, r.lastLines())
	}
	// One line for each file that differs: nine marks, of which the third is 5 for other content, and the path last.
	r, err = execute(ctx, m.ReadOnly, queryDeadline, m.rpm, "-V", "--nodeps", "--noscripts", "--", owner)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(r.stdout) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, " "+file) && strings.HasPrefix(line[min(2, len(line)):], "5") {
			return "", nil
		}
	}
	return owner, nil
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
