// SPDX-License-Identifier: GPL-3.0-or-later

// Package client runs a package manager of a site's own as a process, by go-plugin, and asks it. Nothing that it says or does
// is trusted more than that: it is the program with the given checksum, and it is ended when it does not behave.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"hardening.yama/module/backend/internal/wire"
)

// Config says which plugin it is, and what for.
type Config struct {
	// File is the absolute path of its program, SHA256 the checksum that it must have, in hex.
	File, SHA256 string
	Host         wire.Host
	// LockTimeout is how long another user of the package manager is waited for.
	LockTimeout time.Duration
	// Starting starts the process, for instance where what it writes is thrown away; nil is to just start it.
	Starting func(start func() error) error
}

// How long it may take. Strings, so that a test can build the program with less patience (-ldflags -X).
var (
	startPatience       = "15s"
	queryPatience       = "1m"
	askPatience         = "3m"
	transactionPatience = "15m"
	// extraPatience is for those who notice themselves that their time is over, and say what took so long.
	extraPatience = "5s"
	// quitGrace is for those who are told to go or to let go, killGrace for those who are being ended.
	quitGrace = "3s"
	killGrace = "2s"
)

// answerLimit bounds what a plugin may send until the next question. A real answer has some kilobytes.
const answerLimit = 8 << 20

func patience(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Manager is a plugin that runs.
type Manager struct {
	config      Config
	log         hclog.Logger
	description wire.Description

	process    *process
	removeDir  func()
	connection *metered
	control    *plugin.RPCClient
	rpc        *rpc.Client

	sync.Mutex
	changed map[string]bool // files of packages, by what Owners said
	failure error           // why it is asked nothing more
}

// Open starts a plugin. The context's logger gets its lines.
func Open(ctx context.Context, c Config) (*Manager, error) {
	m := &Manager{config: c, log: hclog.FromContext(ctx).Named("backend_plugin"), changed: map[string]bool{}}
	program, err := sealed(c.File, c.SHA256)
	if err != nil {
		return nil, fmt.Errorf("use the plugin %s: %w", c.File, err)
	}
	dir, detached, remove, err := socketDir()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("use the plugin %s: %w", c.File, err), program.Close())
	}
	m.removeDir = remove
	m.process = &process{file: c.File, program: program, detached: detached, started: c.Starting, exited: make(chan struct{}), gone: make(chan struct{}), heard: make(chan struct{})}
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
	a, err := m.ask(ctx, opening, nil, patience(startPatience))
	if err != nil {
		return err
	}
	if a.Protocol != wire.Protocol {
		return m.fail(opening.Words, fmt.Sprintf("it said in the handshake that it speaks protocol %d, and now %d: build it anew", wire.Protocol, a.Protocol))
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

// connect connects. go-plugin would do that, too, but without a bound to what is sent.
func (m *Manager) connect(address net.Addr) error {
	connection, err := net.Dial(address.Network(), address.String())
	if err != nil {
		return err
	}
	m.connection = &metered{ReadWriteCloser: connection}
	m.connection.left.Store(answerLimit)
	m.control, err = plugin.NewRPCClient(m.connection, plugin.PluginSet{wire.Service: wire.Plugin{}})
	if err != nil {
		return err
	}
	log := tame{m.log.Named(path.Base(m.config.File))}
	if err := m.control.SyncStreams(&writer{log.Debug, logLimit}, &writer{log.Debug, logLimit}); err != nil {
		return err
	}
	service, err := m.control.Dispense(wire.Service)
	if err != nil {
		return err
	}
	m.rpc = service.(*rpc.Client) // what wire.Plugin gives
	return nil
}

// startFailure says why a plugin did not start, in fewer words than go-plugin.
func (m *Manager) startFailure(err error) string {
	said := wire.Line(err.Error(), 300)
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

// Question is a method of the plugin's, and what it is asked in words.
type question struct{ Name, Words string }

// The questions.
var (
	opening   = question{"Open", "asked what it manages"}
	installed = question{"Installed", "asked what is installed"}
	owners    = question{"Owners", "asked whose a file is"}
	requirers = question{"Requirers", "asked what requires a package"}
	offer     = question{"Offer", "asked what is offered"}
	removal   = question{"Removal", "asked what a removal takes along"}
	install   = question{"Install", "told to install a package"}
	remove    = question{"Remove", "told to remove a package"}
)

// errNotOffered is the answer that no repository has what was asked for.
var errNotOffered = errors.New("not offered")

// ask asks, and again for as long as somebody else is using the manager.
func (m *Manager) ask(ctx context.Context, q question, names []string, patience time.Duration) (wire.Answer, error) {
	for until := time.Now().Add(m.config.LockTimeout); ; {
		a, err := m.once(ctx, q, names, patience)
		if err != nil {
			return a, err
		}
		cause := wire.Line(a.Cause, 500)
		switch a.Code {
		case wire.Done:
			return a, nil
		case wire.NotOffered:
			return a, errNotOffered
		case wire.Failed:
			return a, fmt.Errorf("the plugin %s, %s, failed: %s", m.config.File, q.Words, cause)
		case wire.Busy:
		default:
			return a, m.fail(q.Words, fmt.Sprintf("it answered with the code %q, which protocol %d does not have", wire.Line(string(a.Code), 50), wire.Protocol))
		}
		if time.Now().After(until) {
			return a, fmt.Errorf("wait for %s (the plugin %s): another process has been using it for %s: wait for it to end, or raise lock_timeout: %s",
				m.description.Name, m.config.File, m.config.LockTimeout, cause)
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// once asks once. A plugin that does not answer as it should is ended, and asked nothing more.
func (m *Manager) once(ctx context.Context, q question, names []string, patient time.Duration) (wire.Answer, error) {
	if err := m.Err(); err != nil {
		return wire.Answer{}, err
	}
	began := time.Now()
	m.connection.left.Store(answerLimit)
	a := &wire.Answer{}
	asked := wire.Question{Protocol: wire.Protocol, Host: m.config.Host, Names: names, Patience: patient}
	call := m.rpc.Go(wire.Method(q.Name), asked, a, make(chan *rpc.Call, 1))
	deadline := time.NewTimer(patient + patience(extraPatience))
	defer deadline.Stop()
	stopped := ctx.Done()
	for {
		select {
		case <-call.Done:
			if call.Error != nil {
				return wire.Answer{}, m.fail(q.Words, m.broken(call.Error))
			}
			m.log.Debug("answered", "question", q.Name, "code", string(a.Code), "took", time.Since(began))
			if ctx.Err() != nil {
				return *a, ctx.Err()
			}
			return *a, nil
		case <-m.process.exited:
			return wire.Answer{}, m.fail(q.Words, m.broken(io.EOF))
		case <-deadline.C:
			return wire.Answer{}, m.fail(q.Words, fmt.Sprintf("it gave no answer within %s and was ended", patient))
		case <-stopped:
			// It stays, for what has to be put back; so it must let go of what it does.
			stopped = nil
			m.rpc.Go(wire.Method("Cancel"), wire.Question{}, &wire.Answer{}, make(chan *rpc.Call, 1))
			patient = patience(quitGrace)
			deadline.Reset(patient)
		}
	}
}

// broken says what is behind an error of the connection.
func (m *Manager) broken(err error) string {
	var refused rpc.ServerError
	if errors.As(err, &refused) {
		return fmt.Sprintf("it said in the handshake that it speaks protocol %d, and does not: %s", wire.Protocol, wire.Line(err.Error(), 300))
	}
	if m.connection != nil && m.connection.left.Load() <= 0 {
		return fmt.Sprintf("it sent more than %d bytes and was ended", answerLimit)
	}
	if m.ended(time.Second) {
		return m.process.state + m.lastWords()
	}
	return "it answered with garbage and was ended: " + wire.Line(err.Error(), 300)
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
		go m.control.Close() //nolint:errcheck // whether it ends is what counts
		select {
		case <-m.process.exited:
		case <-time.After(patience(quitGrace)):
			err = fmt.Errorf("the plugin %s, when told to quit: it did not within %s and was ended", m.config.File, quitGrace)
		}
	}
	m.process.end(patience(killGrace))
	if m.connection != nil {
		_ = m.connection.Close()
	}
	return err
}

// metered is a connection on which only so much may come. What cannot be sent or read ends it without a word: yamux, below
// net/rpc, would complain on our stderr.
type metered struct {
	io.ReadWriteCloser
	left  atomic.Int64
	begun bool
}

func (c *metered) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	strange := !c.begun && n > 0 && p[0] != 0 // each of yamux' frames begins so
	c.begun = c.begun || n > 0
	if c.left.Add(-int64(n)) <= 0 || strange {
		return 0, io.EOF
	}
	return n, err
}

func (c *metered) Write(p []byte) (int, error) {
	_, _ = c.ReadWriteCloser.Write(p) // if it has ended, so does reading
	return len(p), nil
}
