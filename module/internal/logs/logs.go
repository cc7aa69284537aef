// SPDX-License-Identifier: GPL-3.0-or-later

// Package logs brings what a run tells to where somebody looks for it: the system's log, as
// Ansible's own modules do, the report when it is asked for, and the terminal of a person who
// starts the program by hand. Nothing else of ours knows of these places; all others have a
// hclog.Logger.
package logs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/printable"
)

// Places are where lines can go.
type Places struct {
	// Root is what the sockets of the system's log lie below.
	Root string
	// Terminal is where a person watches, nil where nobody does.
	Terminal io.Writer
}

// Here are the places of the running host.
func Here() Places {
	p := Places{Root: "/"}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		p.Terminal = os.Stderr
	}
	return p
}

// Config is what ansible-core wants logged.
type Config struct {
	// Identifier and Facility are what the system's log files lines under.
	Identifier, Facility string
	// Prefix stands before every line of the system's log.
	Prefix string
	// Debug: the system's log gets the lines for debugging, too.
	Debug bool
	// Lines: the report gets all lines.
	Lines bool
	// ByHand: no Ansible started the program. Over ssh, its stderr is often a terminal that nobody
	// watches, and whose lines would come back among those of stdout.
	ByHand bool
}

// New returns the logger of a run, and what will hold its lines for the report.
func New(p Places, c Config) (hclog.Logger, *Lines) {
	lines := &Lines{}
	var outputs []io.Writer
	if c.Lines {
		outputs = append(outputs, lines)
	}
	if c.ByHand && p.Terminal != nil {
		outputs = append(outputs, p.Terminal)
	}
	least := hclog.Info // of the system's log
	if c.Debug {
		least = hclog.Debug
	}
	options := hclog.LoggerOptions{Level: hclog.Off, Output: screen{io.MultiWriter(outputs...)}, DisableTime: true}
	switch {
	case c.Debug || c.Lines:
		options.Level = hclog.Debug
	case len(outputs) > 0:
		options.Level = hclog.Info
	}
	log := hclog.NewInterceptLogger(&options)
	log.RegisterSink(&systemLog{
		ways: []way{
			{filepath.Join(p.Root, "/run/systemd/journal/socket"), journalEntry},
			{filepath.Join(p.Root, "/dev/log"), syslogLine},
		},
		wait: patience, least: least,
		facility: facilityOf(c.Facility), identifier: word(c.Identifier), prefix: c.Prefix,
	})
	return log, lines
}

// screen makes what hclog writes printable. hclog escapes values, but neither the messages nor the
// keys, and those of a plugin are the plugin's.
type screen struct{ io.Writer }

// Write implements io.Writer for hclog, which writes an entry at once. It indents each further line
// of an entry (intLogger.logPlain): a line break before anything else came with a message or a key.
func (s screen) Write(p []byte) (int, error) {
	var entry strings.Builder
	for i, line := range strings.Split(printable.Text(strings.TrimSuffix(string(p), "\n")), "\n") {
		switch {
		case i == 0:
		case strings.HasPrefix(line, "  "):
			entry.WriteByte('\n')
		default:
			entry.WriteString(`\n`)
		}
		entry.WriteString(line)
	}
	entry.WriteByte('\n')
	if _, err := io.WriteString(s.Writer, entry.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// None is the logger of a run of which nothing may be logged.
func None() (hclog.Logger, *Lines) { return hclog.NewNullLogger(), &Lines{} }

// linesLimit bounds what a report is to carry.
const linesLimit = 64 << 10

// Lines holds lines for the report.
type Lines struct {
	sync.Mutex
	lines []string
	size  int
}

// Write implements io.Writer for hclog, which writes a line, or several that belong together, at
// once and one after the other.
func (l *Lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	switch l.size += len(p); {
	case l.size <= linesLimit:
		l.lines = append(l.lines, strings.TrimRight(string(p), "\n"))
	case l.size-len(p) <= linesLimit:
		l.lines = append(l.lines, "further lines are left out")
	}
	return len(p), nil
}

// All returns the lines so far.
func (l *Lines) All() []string {
	l.Lock()
	defer l.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}
