// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/backend/internal/wire"
)

// lineLimit bounds a line of a plugin's log.
const lineLimit = 1000

// quiet is go-plugin's logger: what it has to say itself is for debugging. The plugin's own lines it logs by another name.
type quiet struct{ hclog.Logger }

func (q quiet) Trace(string, ...any)              {}
func (q quiet) Info(string, ...any)               {} // that the process exited, which comes behind everything
func (q quiet) Warn(message string, args ...any)  { q.Debug(message, args...) }
func (q quiet) Error(message string, args ...any) { q.Debug(message, args...) }
func (q quiet) Debug(message string, args ...any) { plain(q.Logger.Debug, message, args) }
func (q quiet) Named(name string) hclog.Logger    { return tame{q.Logger.Named(name)} }

// tame is the logger of a plugin's lines, which nobody has looked at.
type tame struct{ hclog.Logger }

func (t tame) Trace(message string, args ...any) { plain(t.Logger.Trace, message, args) }
func (t tame) Debug(message string, args ...any) { plain(t.Logger.Debug, message, args) }
func (t tame) Info(message string, args ...any)  { plain(t.Logger.Info, message, args) }
func (t tame) Warn(message string, args ...any)  { plain(t.Logger.Warn, message, args) }
func (t tame) Error(message string, args ...any) { plain(t.Logger.Error, message, args) }

// plain logs one line, without the time that the plugin's side took it: ours has one.
func plain(log func(string, ...any), message string, args []any) {
	tamed := make([]any, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] != "timestamp" {
			tamed = append(tamed, wire.Line(fmt.Sprint(args[i]), lineLimit), wire.Line(fmt.Sprint(args[i+1]), lineLimit))
		}
	}
	log(wire.Line(message, lineLimit), tamed...)
}

// writer takes what a plugin prints where it should not: to its stdout, or past its logger, once it serves.
type writer struct {
	log  func(string, ...any)
	left int
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.left > 0 {
		w.log("it printed", "text", wire.Line(string(p[:min(len(p), w.left)]), lineLimit))
	}
	w.left -= len(p)
	return len(p), nil
}
