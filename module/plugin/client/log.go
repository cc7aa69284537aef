// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/plugin/port"
)

const (
	// lineLimit bounds a line of a plugin's log.
	lineLimit = 1000
	// talkLimit bounds all of them together: they go to the system's log, and leave the lines of
	// ours room in the report.
	talkLimit = 24 << 10
	// lineCost is what a line takes beside its text: its level, its logger's name.
	lineCost = 60
)

// quiet is go-plugin's logger: what it has to say itself is for debugging.
type quiet struct{ hclog.Logger }

func (q quiet) Trace(string, ...any)              {}
func (q quiet) Info(string, ...any)               {} // that the process exited, which comes behind everything
func (q quiet) Warn(message string, args ...any)  { q.Debug(message, args...) }
func (q quiet) Error(message string, args ...any) { q.Debug(message, args...) }
func (q quiet) Debug(message string, args ...any) {
	q.Logger.Debug(port.Line(message, lineLimit), tamed(args)...)
}

// tamed returns keys and values as plain text, in one line each.
func tamed(args []any) []any {
	for i := range args {
		args[i] = port.Line(fmt.Sprint(args[i]), lineLimit)
	}
	return args
}

// talk takes what a plugin says, on whatever way, for as long as there is room.
type talk struct {
	log hclog.Logger

	sync.Mutex
	left int
}

// say logs a line, which nobody has looked at.
func (t *talk) say(level hclog.Level, message string, args ...any) {
	t.Lock()
	defer t.Unlock()
	if t.left <= 0 {
		return
	}
	message, args = port.Line(message, lineLimit), tamed(args)
	t.left -= lineCost + len(message)
	for _, a := range args {
		t.left -= len(a.(string)) // as tamed makes them
	}
	if t.left <= 0 {
		level, message, args = hclog.Warn, "it says too much: further lines are left out", nil
	}
	t.log.Log(level, message, args...)
}

// Write implements io.Writer for what a plugin prints where it should not: to its stdout, or past
// its logger, once it serves.
func (t *talk) Write(p []byte) (int, error) {
	t.say(hclog.Debug, "it printed", "text", string(p))
	return len(p), nil
}

// line logs a line of a plugin's stderr: one of hclog's is JSON and has a level, all others are for
// debugging. Go-plugin would read them, too, but ends the program that it is in where a value is
// not what it expects.
func (t *talk) line(line []byte) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(line, &fields) != nil {
		t.say(hclog.Debug, string(line))
		return
	}
	level := hclog.LevelFromString(textOf(fields["@level"]))
	if level < hclog.Trace || hclog.Error < level {
		t.say(hclog.Debug, string(line))
		return
	}
	message := textOf(fields["@message"])
	for _, ours := range []string{"@level", "@message", "@timestamp"} { // our line has a time of its own
		delete(fields, ours)
	}
	args := make([]any, 0, 2*len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		args = append(args, key, textOf(fields[key]))
	}
	t.say(level, message, args...)
}

// textOf returns a value's text: a string's content, all else as it was written.
func textOf(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return string(value)
	}
	return text
}
