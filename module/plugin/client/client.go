// SPDX-License-Identifier: GPL-3.0-or-later

// Package client runs a package manager of a site's own as a process, by go-plugin, and asks it.
// Nothing that it says or does is trusted more than that: it is the program with the given
// checksum, and it is ended when it does not behave.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os/exec"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/plugin/internal/wire"
	"hardening.yama/module/plugin/port"
)

// Config says which plugin it is, and what for.
type Config struct {
	// File is the absolute path of its program, SHA256 the checksum that it must have, in hex.
	File, SHA256 string
	Host         port.Host
	// Starting starts the process, for instance in a view where what it writes is thrown away; nil:
	// just start it.
	Starting func(start func() error) error
}

// How long it may take, besides the deadline of each call, which is the caller's. Strings, so that
// a test can build the program with less patience (-ldflags -X).
var (
	startPatience = "15s"
	// extraPatience is for those who notice themselves that their time is over, and say what took
	// so long.
	extraPatience = "15s"
	// quitGrace is for those who are told to go, stopGrace for those who are told to let go of what
	// they do, killGrace for those who are being ended. All but the first are longer than a program
	// gets that backend.Run ends.
	quitGrace = "3s"
	stopGrace = "15s"
	killGrace = "12s"
)

// answerLimit bounds what a plugin may send until the next question. A real answer has some
// kilobytes; in memory, it can become a hundred times as large.
const answerLimit = 1 << 20

func patience(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Manager is a plugin that runs: a port.Manager, which is asked one call after the other.
type Manager struct {
	config      Config
	log         hclog.Logger
	description port.Description

	process    *process
	removeDir  func()
	connection *metered
	control    *rpc.Client // go-plugin's own
	rpc        *rpc.Client

	sync.Mutex
	failure error // why it is asked nothing more
}

// Open starts a plugin. The context's logger gets its lines.
func Open(ctx context.Context, c Config) (*Manager, error) {
	m := &Manager{config: c, log: hclog.FromContext(ctx).Named("backend_plugin")}
	program, err := memfd(c.File, c.SHA256)
	if err != nil {
		return nil, fmt.Errorf("use the plugin %s: %w", c.File, err)
	}
	dir, detached, remove, err := socketDir()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("use the plugin %s: %w", c.File, err), program.Close())
	}
	m.removeDir = remove
	m.process = &process{
		file: c.File, program: program, detached: detached, started: c.Starting,
		talk:   &talk{log: m.log.Named(path.Base(c.File)), left: talkLimit},
		exited: make(chan struct{}), gone: make(chan struct{}), heard: make(chan struct{}),
	}
	if m.process.started == nil {
		m.process.started = func(start func() error) error { return start() }
	}
	if err := m.begin(ctx, dir); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// begin shakes hands and asks the first question.
func (m *Manager) begin(ctx context.Context, dir string) error {
	address, err := m.shakeHands(dir)
	if err != nil {
		return m.fail("started", m.startFailure(err))
	}
	connected := make(chan error, 1)
	go func() { connected <- m.connect(address) }()
	select {
	case err = <-connected:
		if err != nil {
			return m.fail("started", m.broken(err))
		}
	case <-time.After(patience(startPatience)):
		return m.fail("started", "it took no connection within "+startPatience+" and was ended")
	}
	start := patience(startPatience)
	ctx, cancel := context.WithTimeoutCause(ctx, start, driver.Overdue{After: start})
	defer cancel()
	a, err := m.ask(ctx, opening, nil)
	if err != nil {
		return err
	}
	if a.Protocol != wire.Protocol {
		return m.fail(opening.Words,
			fmt.Sprintf("it said in the handshake that it speaks protocol %d, and now %d: build it anew", wire.Protocol,
				a.Protocol))
	}
	if problem := describes(a.Description); problem != "" {
		return m.fail(opening.Words, problem)
	}
	m.description = a.Description
	return nil
}

// shakeHands starts the process and has go-plugin agree with it on the version.
func (m *Manager) shakeHands(dir string) (address net.Addr, err error) {
	defer func() {
		if p := recover(); p != nil { // of go-plugin's, at a handshake that nobody thought of
			err = fmt.Errorf("its handshake makes no sense: %v", p)
		}
	}()
	log := quiet{m.log}
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		Plugins:          plugin.PluginSet{wire.Service: wire.Plugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC},
		StartTimeout:     patience(startPatience),
		SkipHostEnv:      true,
		Logger:           log,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socketDir string) (runner.Runner, error) {
			m.process.cmd, m.process.dir = cmd, socketDir
			cmd.Env = append(cmd.Env, environment...)
			return m.process, nil
		},
	})
	return c.Start()
}

// startFailure says why a plugin did not start, in fewer words than go-plugin.
func (m *Manager) startFailure(err error) string {
	said := port.Line(err.Error(), 300)
	switch {
	case m.process.cmd == nil || m.process.cmd.Process == nil:
		return said
	case said == "timeout while waiting for plugin to start":
		return "it did not shake hands within " + startPatience + " and was ended"
	case said == "plugin exited before we could connect":
		said = "it did not shake hands"
	}
	if m.ended(0) {
		said += ": " + m.process.state + m.lastWords()
	}
	return said
}

// ended tells whether the process has ended by itself, or does so soon.
func (m *Manager) ended(soon time.Duration) bool {
	select {
	case <-m.process.exited:
	case <-time.After(soon):
	}
	select {
	case <-m.process.exited:
		m.process.end(0) // to hear its last words
		return m.process.state != ""
	default:
		return false
	}
}

func (m *Manager) lastWords() string {
	if words := m.process.stderr.lastWords(); words != "" {
		return ", its last words: " + words
	}
	return ""
}

// Question is a method of the plugin's, what it is asked in words, and the field of the answer that
// is for it.
type question struct{ Name, Words, Field string }

// The questions.
var (
	opening   = question{"Open", "asked what it manages", "Description"}
	installed = question{"Installed", "asked what is installed", "Packages"}
	owners    = question{"Owners", "asked whose a file is", "Owners"}
	requirers = question{"Requirers", "asked what requires a package", "Requirers"}
	offer     = question{"Offer", "asked what is offered", "Offer"}
	removal   = question{"Removal", "asked what a removal takes along", "Removal"}
	install   = question{"Install", "told to install a package", ""}
	remove    = question{"Remove", "told to remove a package", ""}
)

// everyAnswer are the fields that may be in any answer.
var everyAnswer = []string{"Code", "Cause", "Protocol"}

// unasked returns the name of a field that an answer has although nobody asked for it, "" where
// there is none.
func (q question) unasked(a wire.Answer) string {
	fields := reflect.ValueOf(a)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		if name != q.Field && !slices.Contains(everyAnswer, name) && !fields.Field(i).IsZero() {
			return name
		}
	}
	return ""
}

// ask asks, and returns what the answer's code means. A plugin that does not answer as it should is
// ended, and asked nothing more.
func (m *Manager) ask(ctx context.Context, q question, names []string) (wire.Answer, error) {
	a, err := m.once(ctx, q, names)
	if err != nil {
		return a, err
	}
	cause := port.Line(a.Cause, 500)
	switch a.Code {
	case wire.Done:
		return a, nil
	case wire.NotOffered:
		return a, port.ErrNotOffered
	case wire.Busy:
		return a, busyError(fmt.Sprintf("the plugin %s, %s: %s", m.config.File, q.Words, cause))
	case wire.Failed:
		return a, fmt.Errorf("the plugin %s, %s, failed: %s", m.config.File, q.Words, cause)
	}
	return a, m.fail(q.Words,
		fmt.Sprintf("it answered with the code %q, which protocol %d does not have", port.Line(string(a.Code), 50),
			wire.Protocol))
}

// busyError says who uses the manager, in the plugin's words.
type busyError string

func (e busyError) Error() string { return string(e) }
func (e busyError) Unwrap() error { return port.ErrBusy }

// longest is the deadline of a call whose context has none.
const longest = 15 * time.Minute

// once sends a question and waits for the answer.
func (m *Manager) once(ctx context.Context, q question, names []string) (wire.Answer, error) {
	if ctx.Err() != nil {
		return wire.Answer{}, m.stopped(q)
	}
	if err := m.Err(); err != nil {
		return wire.Answer{}, err
	}
	patient := longest
	if end, limited := ctx.Deadline(); limited {
		patient = time.Until(end)
	}
	began := time.Now()
	m.connection.left.Store(answerLimit)
	a := &wire.Answer{}
	asked := wire.Question{Protocol: wire.Protocol, Host: m.config.Host, Names: names, Patience: patient}
	answered := make(chan error, 1)
	go func() {
		answered <- m.rpc.Call(wire.Method(q.Name), asked,
			a)
	}() // where nobody reads, asking takes its time, too
	deadline := time.NewTimer(patient + patience(extraPatience))
	defer deadline.Stop()
	stopped, late := ctx.Done(), "it gave no answer"
	for {
		select {
		case err := <-answered:
			if err != nil {
				return wire.Answer{}, m.lost(q, names, m.broken(err))
			}
			m.log.Debug("answered", "question", q.Name, "code", string(a.Code), "took", time.Since(began))
			if field := q.unasked(*a); field != "" {
				return wire.Answer{}, m.senseless(q, field)
			}
			if ctx.Err() != nil && !overdue(ctx) {
				return *a, m.stopped(q)
			}
			return *a, nil
		case <-m.process.exited:
			return wire.Answer{}, m.lost(q, names, m.broken(io.EOF))
		case <-deadline.C:
			return wire.Answer{}, m.lost(q, names, late+" and was ended")
		case <-stopped:
			if overdue(ctx) { // it knows its deadline, and has extraPatience to say what took so long
				stopped, late = nil, "it "+context.Cause(ctx).Error()
				continue
			}
			// It stays, for what has to be put back; so it must let go of what it does.
			stopped, late = nil, "a signal asked the run to stop, and it did not let go within "+stopGrace
			//nolint:errcheck // that it lets go is what counts
			go m.rpc.Call(wire.Method("Cancel"), wire.Question{}, &wire.Answer{})
			deadline.Reset(patience(stopGrace))
		}
	}
}

// overdue reports whether a context has ended since its call has had its time; otherwise a signal
// asked the run to stop.
func overdue(ctx context.Context) bool {
	var overdue driver.Overdue
	return errors.As(context.Cause(ctx), &overdue)
}

// stopped is the answer when a signal asked the run to stop.
func (m *Manager) stopped(q question) error {
	return fmt.Errorf("the plugin %s, %s: a signal asked the run to stop", m.config.File, q.Words)
}

// lost fails, and says what nobody knows for that.
func (m *Manager) lost(q question, names []string, why string) error {
	if q == install || q == remove {
		why += fmt.Sprintf(": whether %s is installed is not known", strings.Join(names, ", "))
	}
	return m.fail(q.Words, why)
}

// broken says what is behind an error of the connection.
func (m *Manager) broken(err error) string {
	var refused rpc.ServerError
	if errors.As(err, &refused) {
		return fmt.Sprintf("it said in the handshake that it speaks protocol %d, and does not: %s", wire.Protocol,
			port.Line(err.Error(), 300))
	}
	if m.connection != nil && m.connection.left.Load() <= 0 {
		return fmt.Sprintf("it sent more than %d bytes and was ended", answerLimit)
	}
	if m.ended(time.Second) {
		return m.process.state + m.lastWords()
	}
	return "it answered with garbage and was ended: " + port.Line(err.Error(), 300)
}

// fail ends a plugin, and notes why it is asked nothing more.
func (m *Manager) fail(when, why string) error {
	m.Lock()
	defer m.Unlock()
	if m.failure == nil {
		m.failure = fmt.Errorf("the plugin %s, when %s: %s", m.config.File, when, why)
		if m.process.cmd != nil && m.process.cmd.Process != nil {
			m.process.end(patience(killGrace))
			m.process.sweep()
		}
	}
	return m.failure
}

// Err returns why it is asked nothing more, nil while it behaves.
func (m *Manager) Err() error {
	m.Lock()
	defer m.Unlock()
	return m.failure
}

// Close has the plugin end, and sees to it that it does.
func (m *Manager) Close() error {
	defer m.removeDir()
	if m.process.cmd == nil || m.process.cmd.Process == nil {
		return nil
	}
	var err error
	if m.Err() == nil {
		go m.control.Call("Control.Quit", true, &struct{}{}) //nolint:errcheck // whether it ends is what counts
		select {
		case <-m.process.exited:
		case <-time.After(patience(quitGrace)):
			err = fmt.Errorf("the plugin %s, when told to quit: it did not within %s and was ended", m.config.File,
				quitGrace)
		}
	}
	m.process.end(patience(quitGrace)) // nothing is being changed
	if err != nil {
		m.process.sweep()
	}
	if m.connection != nil {
		_ = m.connection.Close()
	}
	return err
}
