// SPDX-License-Identifier: GPL-3.0-or-later

// Package conformance checks what the module expects of a package manager, built in or a plugin.
// The author of a plugin runs it as a program (go run hardening.yama/module/plugin/check PLUGIN) or
// calls Run in a test.
package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/view"
	"hardening.yama/module/plugin/client"
	"hardening.yama/module/plugin/port"
)

// Plugin is a plugin to check.
type Plugin struct {
	// File is the absolute path of its program.
	File string
	// Package is one that it offers, and that may be installed and removed here. Without it nothing
	// is changed, and what an installation does is not looked at.
	Package string
	// Log gets its lines, none if nil.
	Log hclog.Logger
}

// Subject is a package manager to check.
type Subject struct {
	// Open makes it anew for a rule, in check mode or not. If it is an io.Closer, it is closed
	// afterwards.
	Open func(ctx context.Context, checkMode bool) (port.Manager, error)
	// Serial: it answers one call at a time.
	Serial bool
	// Package is one that it offers, and that may be installed and removed here. Without it nothing
	// is changed, and what an installation does is not checked.
	Package string
}

// Result is what one rule says.
type Result struct {
	Rule string
	// Problem says how the manager breaks the rule, "" where it does not.
	Problem string
}

// absent is a package that nobody has.
const absent = "hardening.yama-no-such-package"

// hostile are names that no package has, and that could harm who does not look at them.
var hostile = []string{"--root=/nonexistent", "a b", "a\nb", "../../etc/passwd", "$(id)", "*", "",
	strings.Repeat("x", 100000)}

// subject is the manager that a rule checks: the driver asks it as the module does.
type subject struct {
	*driver.Driver
	manager port.Manager
}

// rule is one that a manager has to follow: in check mode or not, with the package or without.
type rule struct {
	rule      string
	checkMode bool
	changes   bool
	check     func(context.Context, subject, string) string
}

// rules are checked one after the other, each with a manager that was opened for it. If a plugin
// does not start, or does not end, the rules after it are not checked.
var rules = []rule{
	{"it starts, shakes hands and says what it manages", true, false,
		func(context.Context, subject, string) string { return "" }},
	{"a package that nobody has is not installed", true, false, func(ctx context.Context, m subject, _ string) string {
		found, err := m.Installed(ctx, []string{absent})
		return unless(err == nil && len(found) == 0, "it answers %v, %v", found, err)
	}},
	{"a package that nobody has is not offered, and that is no failure", true, false,
		func(ctx context.Context, m subject, _ string) string {
			if m.ReadOnly() != "" {
				return ""
			}
			o := m.Offer(ctx, []string{absent})
			return unless(o.Package == "" && o.Cause == "", "it answers %+v: ErrNotOffered was meant", o)
		}},
	{"removing what is not installed is a failure, and not an answer", true, false,
		func(ctx context.Context, m subject, _ string) string {
			return unless(m.Removal(ctx, absent).Cause != "",
				"it says what would go along with a package that is not there")
		}},
	{"a file of nobody's has no owner", true, false, func(ctx context.Context, m subject, _ string) string {
		found, err := m.Owners(ctx, []string{"/nonexistent/hardening.yama", "/proc/version"})
		return unless(err == nil && len(found) == 0, "it answers %v, %v", found, err)
	}},
	{"nobody requires a package that nobody has", true, false, func(ctx context.Context, m subject, _ string) string {
		found, err := m.Requirers(ctx, []string{absent})
		return unless(err == nil && len(found) == 0, "it answers %v, %v", found, err)
	}},
	{"names that no package has are survived", true, false, func(ctx context.Context, m subject, _ string) string {
		for _, name := range hostile {
			if found, err := m.Installed(ctx, []string{name}); err == nil && len(found) > 0 {
				return fmt.Sprintf("it says that %.40q is installed", name)
			}
			if o, err := m.manager.Offer(ctx, name); err == nil { // also where the driver would not ask
				return fmt.Sprintf("it offers %.40q as %q", name, o.Package)
			}
		}
		if err := m.Err(); err != nil {
			return err.Error()
		}
		return ""
	}},
	{"several questions at once are answered", true, false, func(ctx context.Context, m subject, name string) string {
		failures := make(chan error)
		for range 8 {
			go func() {
				_, err := m.Installed(ctx, []string{absent, name})
				failures <- err
			}()
		}
		for range 8 {
			if err := <-failures; err != nil {
				return err.Error()
			}
		}
		return ""
	}},
	{"the same question has the same answer", true, false, func(ctx context.Context, m subject, name string) string {
		first, _ := m.Installed(ctx, []string{absent, name})
		second, err := m.Installed(ctx, []string{name, absent})
		return unless(err == nil && slices.Equal(first, second), "it answers %v, and then %v, %v", first, second, err)
	}},
	{"a run that is asked to stop does not lose it", true, false,
		func(ctx context.Context, m subject, name string) string {
			stopping, stop := context.WithTimeout(ctx, 5*time.Millisecond)
			defer stop()
			_ = m.Offer(stopping, []string{name})
			_, err := m.Installed(ctx, []string{absent}) // as when what was done is put back
			return unless(err == nil, "asked once more: %v", err)
		}},
	{"in check mode nothing is installed", true, true, func(ctx context.Context, m subject, name string) string {
		return unless(m.Install(ctx, name) != nil, "it installed %s", name)
	}},
	{"it ends when it is told to, and leaves nothing behind", true, false,
		func(_ context.Context, m subject, _ string) string {
			began := time.Now()
			if err := m.Close(); err != nil {
				return err.Error()
			}
			return unless(time.Since(began) < 2*time.Second, "it took %s", time.Since(began))
		}},
	{"it offers the package", true, true, func(ctx context.Context, m subject, name string) string {
		if found, err := m.Installed(ctx, []string{name}); err != nil || len(found) > 0 {
			return fmt.Sprintf("%s must not be installed at first: %v, %v", name, found, err)
		}
		o := m.Offer(ctx, []string{absent, name})
		return unless(o.Package == name, "it answers %+v", o)
	}},
	{"an installation installs the package, and one more changes nothing", false, true,
		func(ctx context.Context, m subject, name string) string {
			for range 2 {
				if err := m.Install(ctx, name); err != nil {
					return err.Error()
				}
			}
			return ""
		}},
	{"what is installed is so for the next run", true, true, func(ctx context.Context, m subject, name string) string {
		found, err := m.Installed(ctx, []string{absent, name})
		return unless(err == nil && len(found) == 1 && found[0].Name == name, "it answers %v, %v", found, err)
	}},
	{"it tells what a removal takes along", true, true, func(ctx context.Context, m subject, name string) string {
		r := m.Removal(ctx, name)
		return unless(r.Cause == "", "it answers %+v", r)
	}},
	{"a removal removes the package, and one more changes nothing", false, true,
		func(ctx context.Context, m subject, name string) string {
			for range 2 {
				if err := m.Remove(ctx, name); err != nil {
					return err.Error()
				}
			}
			return ""
		}},
}

func unless(fine bool, format string, args ...any) string {
	if fine {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// Check checks a plugin, and returns what each rule says.
func Check(ctx context.Context, p Plugin) ([]Result, error) {
	file, err := filepath.Abs(p.File)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file) // #nosec G304 -- the program that the author names
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	if p.Log == nil {
		p.Log = hclog.NewNullLogger()
	}
	copied := throwaway()
	defer copied.Close()
	changed := false
	open := func(ctx context.Context, checkMode bool) (port.Manager, error) {
		c := client.Config{File: file, SHA256: hex.EncodeToString(sum[:]),
			Host: port.Host{Root: "/", CheckMode: checkMode}}
		changed = changed || !checkMode
		if !changed { // what is done to the host from then on, the copy may not show
			c.Starting = copied.Do
		}
		return client.Open(ctx, c)
	}
	return CheckManager(hclog.WithContext(ctx, p.Log), Subject{Open: open, Serial: true, Package: p.Package}), nil
}

// throwaway returns the view in which check mode starts a plugin, nil where there can be none; the
// plugin is started on the host then.
func throwaway() *view.Mounts {
	mounts := view.Throwaway("/", nil)
	if mounts.Do(func() error { return nil }) != nil {
		return nil
	}
	return mounts
}

// CheckManager checks a package manager, and returns what each rule says.
func CheckManager(ctx context.Context, s Subject) []Result {
	name := s.Package
	if name == "" {
		name = absent
	}
	results := make([]Result, 0, len(rules))
	for _, r := range rules {
		if r.changes && s.Package == "" {
			continue
		}
		problem, further := r.result(ctx, s, name)
		if results = append(results, Result{r.rule, problem}); !further {
			break
		}
	}
	return results
}

// result opens a manager and checks it, and reports whether it is worth opening it again.
func (r rule) result(ctx context.Context, s Subject, name string) (problem string, further bool) {
	manager, err := s.Open(ctx, r.checkMode)
	if err != nil {
		return err.Error(), false
	}
	m := subject{driver.New(manager, driver.Config{CheckMode: r.checkMode, Serial: s.Serial}), manager}
	problem = r.check(ctx, m, name)
	err = m.Close()
	if err != nil && problem == "" {
		problem = err.Error()
	}
	return problem, err == nil
}

// Run is Check for a test.
func Run(t *testing.T, p Plugin) {
	t.Helper()
	results, err := Check(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	report(t, results)
}

// RunManager is CheckManager for a test.
func RunManager(t *testing.T, s Subject) {
	t.Helper()
	report(t, CheckManager(t.Context(), s))
}

func report(t *testing.T, results []Result) {
	t.Helper()
	for _, v := range results {
		t.Run(v.Rule, func(t *testing.T) {
			if v.Problem != "" {
				t.Error(v.Problem)
			}
		})
	}
}
