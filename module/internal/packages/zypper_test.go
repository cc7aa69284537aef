// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestZypperUserInstalled: the history says who asked, as long as it goes back that far; then the
// list of those that nobody asked for.
func TestZypperUserInstalled(t *testing.T) {
	const (
		person  = "2026-11-24 15:23:05|install|enabler|1-1|noarch|root@vm|lab|0bbb|\n"
		ours    = "2026-11-24 15:23:05|install|enabler|1-1|noarch|root@vm|lab|0bbb|hardening.yama\n"
		upgrade = "2026-11-25 15:23:05|install|enabler|2-1|noarch||lab|bb1e|\n"
		other   = "2026-11-25 15:23:05|install|gdb|2-1|noarch|root@vm|lab|4a03|\n"
	)
	for name, c := range map[string]struct {
		history, auto string // "" where there is no such file
		asked         bool
		untold        bool
	}{
		"a person asked":                      {history: person, asked: true},
		"and upgraded everything since":       {history: person + upgrade, asked: true},
		"we did":                              {history: ours},
		"and a person upgraded everything":    {history: ours + upgrade},
		"it came with another":                {history: upgrade, auto: "# AutoInstalled\nenabler\n"},
		"the history begins later":            {history: upgrade, auto: "# AutoInstalled\nltrace\n", untold: true},
		"the history is silent":               {history: other, auto: "# AutoInstalled\nltrace\n", untold: true},
		"silent, and it came with another":    {history: other, auto: "enabler\n"},
		"no history":                          {auto: "ltrace\n", untold: true},
		"no history, it came with another":    {auto: "ltrace\nenabler\n"},
		"neither history nor list":            {untold: true},
		"we did, though it is not listed":     {history: ours, auto: "ltrace\n"},
		"a person asked, though it is listed": {history: person, auto: "enabler\n", asked: true},
	} {
		root := t.TempDir()
		m := Manager{files: filesOf(t, root), root: root}
		for file, content := range map[string]string{zyppHistory: c.history, zyppAuto: c.auto} {
			if content != "" {
				check(t, os.MkdirAll(filepath.Dir(m.under(file)), 0o700))
				write(t, m.under(file), content)
			}
		}
		if asked, err := m.zypperUserInstalled(t.Context(), "enabler"); asked != c.asked ||
			errors.Is(err, errNotRecorded) != c.untold || (err != nil) != c.untold {
			t.Errorf("%s: %v, %v", name, asked, err)
		}
	}
	root := t.TempDir()
	m := Manager{files: filesOf(t, root), root: root}
	check(t, os.MkdirAll(m.under(zyppHistory), 0o700))
	if _, err := m.zypperUserInstalled(t.Context(), "enabler"); err == nil || errors.Is(err, errNotRecorded) {
		t.Error("a history that cannot be read is an answer")
	}
}
