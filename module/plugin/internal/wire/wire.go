// SPDX-License-Identifier: GPL-3.0-or-later

// Package wire is what both sides of the boundary have in common: the handshake of go-plugin, and
// what a question and its answer look like on net/rpc.
package wire

import (
	"net/rpc"
	"time"

	"github.com/hashicorp/go-plugin"

	"hardening.yama/module/plugin/port"
)

// Protocol is the version of what is asked and answered. A change that an older plugin would not
// understand is a new one.
const Protocol = 1

// Handshake is what both sides must agree on before anything is asked. The cookie is no secret: it
// tells a plugin that a person started by hand from one that we did.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  Protocol,
	MagicCookieKey:   "HARDENING_YAMA_BACKEND",
	MagicCookieValue: "c1f6d5a0-5b1e-4c1a-9a53-packages",
}

// Grace is what a program of a package manager has to end in, once it was asked to: as long as the
// module gives those of the managers that it knows itself. The module waits longer than that for a
// plugin.
const Grace = 10 * time.Second

// Service is the name that a plugin's only service has.
const Service = "packages"

// Plugin is the service for go-plugin.
type Plugin struct {
	// Impl answers; only the plugin's side has one.
	Impl any
}

// Server implements plugin.Plugin.
func (p Plugin) Server(*plugin.MuxBroker) (any, error) { return p.Impl, nil }

// Client implements plugin.Plugin.
func (p Plugin) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) { return c, nil }

// Method is a question's name on net/rpc.
func Method(question string) string { return "Plugin." + question }

// Code says how an answer is meant. It crosses the boundary as it is, where an error would become
// text.
type Code string

// The codes.
const (
	Done       Code = "done"
	NotOffered Code = "not offered"
	Busy       Code = "busy"
	Failed     Code = "failed"
)

// Question is what is asked; each method looks at what it needs of it.
type Question struct {
	Protocol int
	Host     port.Host
	Names    []string
	// Patience is how long an answer may take.
	Patience time.Duration
}

// Answer is what is answered.
type Answer struct {
	Code Code
	// Cause says why there is no better answer.
	Cause string

	Protocol    int
	Description port.Description
	Packages    []port.Package
	Owners      []port.Owner
	Requirers   map[string][]string
	Offer       port.Offer
	Removal     port.Removal
}
