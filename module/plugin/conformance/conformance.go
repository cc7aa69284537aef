// SPDX-License-Identifier: GPL-3.0-or-later

// Package conformance holds a plugin against what the module expects of one. An author runs it as a program
// (go run hardening.yama/module/plugin/check PLUGIN) or calls Run in a test of their own.
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

	"hardening.yama/module/internal/packages"
	"hardening.yama/module/plugin/client"
	"hardening.yama/module/plugin/internal/wire"
)

// Plugin is what is looked at.
type Plugin struct {
	// File is the absolute path of its program.
	File string
	// Package is one that it offers, and that may be installed and removed here. Without it nothing is changed, and what an
	// installation does is not looked at.
	Package string
	// Log gets its lines, none if nil.
	Log hclog.Logger
}

// Verdict is what one rule says.
type Verdict struct {
	Rule string
	// Problem says how the plugin breaks the rule, "" where it does not.
	Problem string
}

// absent is a package that nobody has.
const absent = "hardening.yama-no-such-package"

// hostile are names that no package has, and that could harm who does not look at them.
var hostile = []string{"--root=/nonexistent", "a b", "a\nb", "../../etc/passwd", "$(id)", "*", "", strings.Repeat("x", 100000)}

// rule is what a plugin is held against: read-only or not, with the package or without.
type rule struct {
	rule     string
	readOnly bool
	changes  bool
	check    func(context.Context, *client.Manager, string) string
}

// rules are looked at one after the other, each with a plugin that was started for it: the read-only ones as in check mode, until
// something was changed. One that does not start, or does not end, is
// looked at no further.
var rules = []rule{
	{"it starts, shakes hands and says what it manages", true, false, func(context.Context, *client.Manager, string) string { return "" }},
	{"a package that nobody has is not installed", true, false, func(ctx context.Context, m *client.Manager, _ string) string {
		found, err := m.Installed(ctx, []string{absent})
		return unless(err == nil && len(found) == 0, "it answers %v, %v", found, err)
	}},
	{"a package that nobody has is not offered, and that is no failure", true, false, func(ctx context.Context, m *client.Manager, _ string) string {
		if m.Sealed() != "" {
			return ""
		}
		o := m.Offer(ctx, []string{absent})
		return unless(o.Package == "" && o.Cause == "", "it answers %+v: ErrNotOffered was meant", o)
	}},
	{"removing what is not installed is a failure, and not an answer", true, false, func(ctx context.Context, m *client.Manager, _ string) string {
		return unless(m.Removal(ctx, absent).Cause != "", "it says what would go along with a package that is not there")
	}},
	{"a file of nobody's has no owner", true, false, func(ctx context.Context, m *client.Manager, _ string) string {
		found, err := m.Owners(ctx, []string{"/nonexistent/hardening.yama", "/proc/version"})
		return unless(err == nil && len(found) == 0, "it answers %v, %v", found, err)
	}},
	{"nobody requires a package that nobody has", true, false, func(ctx context.Context, m *client.Manager, _ string) string {
		found, err := m.Requirers(ctx, []string{absent})
		return unless(err == nil && len(found) == 0, "it answers %v, %v", found, err)
	}},
	{"names that no package has are survived", true, false, func(ctx context.Context, m *client.Manager, _ string) string {
		for _, name := range hostile {
			if found, err := m.Installed(ctx, []string{name}); err == nil && len(found) > 0 {
				return fmt.Sprintf("it says that %.40q is installed", name)
			}
			if o := m.Offer(ctx, []string{name}); o.Package != "" {
				return fmt.Sprintf("it offers %.40q", name)
			}
		}
		return survived(m)
	}},
	{"several questions at once are answered", true, false, func(ctx context.Context, m *client.Manager, name string) string {
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
	{"the same question has the same answer", true, false, func(ctx context.Context, m *client.Manager, name string) string {
		first, _ := m.Installed(ctx, []string{absent, name})
		second, err := m.Installed(ctx, []string{name, absent})
		return unless(err == nil && slices.Equal(first, second), "it answers %v, and then %v, %v", first, second, err)
	}},
	{"a run that is asked to stop does not lose it", true, false, func(ctx context.Context, m *client.Manager, name string) string {
		stopping, stop := context.WithTimeout(ctx, 5*time.Millisecond)
		defer stop()
		_ = m.Offer(stopping, []string{name})
		_, err := m.Installed(ctx, []string{absent}) // as when what was done is put back
		return unless(err == nil, "asked once more: %v", err)
	}},
	{"in check mode nothing is installed", true, true, func(ctx context.Context, m *client.Manager, name string) string {
		return unless(m.Install(ctx, name) != nil, "it installed %s", name)
	}},
	{"it ends when it is told to, and leaves nothing behind", true, false, func(_ context.Context, m *client.Manager, _ string) string {
		began := time.Now()
		if err := m.Close(); err != nil {
			return err.Error()
		}
		return unless(time.Since(began) < 2*time.Second, "it took %s", time.Since(began))
	}},
	{"it offers the package", true, true, func(ctx context.Context, m *client.Manager, name string) string {
		if found, err := m.Installed(ctx, []string{name}); err != nil || len(found) > 0 {
			return fmt.Sprintf("%s must not be installed at first: %v, %v", name, found, err)
		}
		o := m.Offer(ctx, []string{absent, name})
		return unless(o.Package == name, "it answers %+v", o)
	}},
	{"an installation installs the package, and one more changes nothing", false, true, func(ctx context.Context, m *client.Manager, name string) string {
		for range 2 {
			if err := m.Install(ctx, name); err != nil {
				return err.Error()
			}
		}
		return ""
	}},
	{"what is installed is so for the next run", true, true, func(ctx context.Context, m *client.Manager, name string) string {
		found, err := m.Installed(ctx, []string{absent, name})
		return unless(err == nil && len(found) == 1 && found[0].Name == name, "it answers %v, %v", found, err)
	}},
	{"it tells what a removal takes along", true, true, func(ctx context.Context, m *client.Manager, name string) string {
		r := m.Removal(ctx, name)
		return unless(r.Cause == "", "it answers %+v", r)
	}},
	{"a removal removes the package, and one more changes nothing", false, true, func(ctx context.Context, m *client.Manager, name string) string {
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

func survived(m *client.Manager) string {
	if err := m.Err(); err != nil {
		return err.Error()
	}
	return ""
}

// Check looks at a plugin, and returns what each rule says.
func Check(ctx context.Context, p Plugin) ([]Verdict, error) {
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
	ctx = hclog.WithContext(ctx, p.Log)
	name := p.Package
	if name == "" {
		name = absent
	}
	readOnly := readOnlyStart()
	verdicts := make([]Verdict, 0, len(rules))
	for _, r := range rules {
		if r.changes && p.Package == "" {
			continue
		}
		c := client.Config{File: file, SHA256: hex.EncodeToString(sum[:]), Host: wire.Host{Root: "/", ReadOnly: r.readOnly}}
		if !r.readOnly {
			readOnly = nil // what is done to the host from now on, the copy may not show
		}
		if r.readOnly {
			c.Starting = readOnly
		}
		problem, further := r.look(ctx, c, name)
		if verdicts = append(verdicts, Verdict{r.rule, problem}); !further {
			break
		}
	}
	return verdicts, nil
}

// readOnlyStart returns what starts a plugin as check mode does, in a copy of the host's trees that is thrown away. Where that cannot be
// had it is nil, and the plugin is started on the host.
func readOnlyStart() func(start func() error) error {
	starting := func(start func() error) error { return packages.InThrowawayView("/", start) }
	if os.Geteuid() != 0 || starting(func() error { return nil }) != nil {
		return nil
	}
	return starting
}

// look starts a plugin and looks at it, and tells whether it is worth to start it again.
func (r rule) look(ctx context.Context, c client.Config, name string) (problem string, further bool) {
	m, err := client.Open(ctx, c)
	if err != nil {
		return err.Error(), false
	}
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
	verdicts, err := Check(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		t.Run(v.Rule, func(t *testing.T) {
			if v.Problem != "" {
				t.Error(v.Problem)
			}
		})
	}
}
