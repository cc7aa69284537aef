// SPDX-License-Identifier: GPL-3.0-or-later

package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"hardening.yama/module/plugin/internal/wire"
	"hardening.yama/module/plugin/port"
)

// Serve is the whole of a plugin's main. It calls open once, answers, and does not return.
func Serve(open func(Host) (Manager, error)) {
	// Before go-plugin takes os.Stderr: lines of JSON there become lines of the module's own log.
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr, JSONFormat: true})
	hclog.SetDefault(log)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         plugin.PluginSet{wire.Service: wire.Plugin{Impl: newService(hclog.WithContext(context.Background(), log), open)}},
		Logger:          log.With("of", "go-plugin"),
	})
}

// service answers on net/rpc, which takes its exported methods.
type service struct {
	open   func(Host) (Manager, error)
	parent context.Context

	asking  sync.Mutex // one call after the other, so that an author need not think of several
	manager Manager
	host    Host

	stopping sync.Mutex
	ctx      context.Context // of the calls that wait for an answer
	stop     context.CancelFunc
}

func newService(parent context.Context, open func(Host) (Manager, error)) *service {
	s := &service{open: open, parent: parent}
	s.ctx, s.stop = context.WithCancel(parent)
	return s
}

// Cancel ends the calls that are waiting for an answer.
func (s *service) Cancel(wire.Question, *wire.Answer) error {
	s.stopping.Lock()
	defer s.stopping.Unlock()
	s.stop()
	s.ctx, s.stop = context.WithCancel(s.parent)
	return nil
}

// Open makes the manager of a host.
func (s *service) Open(q wire.Question, a *wire.Answer) error {
	a.Protocol = wire.Protocol
	return s.answer(q, a, func(context.Context) error {
		if q.Protocol != wire.Protocol {
			return fmt.Errorf("the module asks by protocol %d, and this plugin was built with %d", q.Protocol,
				wire.Protocol)
		}
		manager, err := s.open(q.Host)
		if err != nil {
			return err
		}
		s.manager, s.host, a.Description = manager, q.Host, manager.Describe()
		return nil
	})
}

// Installed answers Manager.Installed, and so does each of the following.
func (s *service) Installed(q wire.Question, a *wire.Answer) error {
	return s.answer(q, a, func(ctx context.Context) (err error) {
		a.Packages, err = s.manager.Installed(ctx, q.Names)
		return err
	})
}

// Owners answers.
func (s *service) Owners(q wire.Question, a *wire.Answer) error {
	return s.answer(q, a, func(ctx context.Context) (err error) {
		a.Owners, err = s.manager.Owners(ctx, q.Names)
		return err
	})
}

// Requirers answers.
func (s *service) Requirers(q wire.Question, a *wire.Answer) error {
	return s.answer(q, a, func(ctx context.Context) (err error) {
		a.Requirers, err = s.manager.Requirers(ctx, q.Names)
		return err
	})
}

// Offer answers.
func (s *service) Offer(q wire.Question, a *wire.Answer) error {
	return s.about(q, a, func(ctx context.Context, name string) (err error) {
		a.Offer, err = s.manager.Offer(ctx, name)
		return err
	})
}

// Removal answers.
func (s *service) Removal(q wire.Question, a *wire.Answer) error {
	return s.about(q, a, func(ctx context.Context, name string) (err error) {
		a.Removal, err = s.manager.Removal(ctx, name)
		return err
	})
}

// Install does it, unless nothing may be written.
func (s *service) Install(q wire.Question, a *wire.Answer) error {
	return s.change(q, a, Manager.Install)
}

// Remove does it, unless nothing may be written.
func (s *service) Remove(q wire.Question, a *wire.Answer) error {
	return s.change(q, a, Manager.Remove)
}

func (s *service) change(q wire.Question, a *wire.Answer, do func(Manager, context.Context, string) error) error {
	return s.about(q, a, func(ctx context.Context, name string) error {
		if s.host.CheckMode {
			return errors.New("nothing may be written in check mode")
		}
		return do(s.manager, ctx, name)
	})
}

// about answers a question about one name.
func (s *service) about(q wire.Question, a *wire.Answer, ask func(context.Context, string) error) error {
	return s.answer(q, a, func(ctx context.Context) error {
		if len(q.Names) != 1 {
			return fmt.Errorf("asked about %d names, and not about one", len(q.Names))
		}
		return ask(ctx, q.Names[0])
	})
}

// answer asks within the time that there is, and puts a code on what comes of it. The error is
// always nil: it would reach the other side as text alone.
func (s *service) answer(q wire.Question, a *wire.Answer, ask func(context.Context) error) error {
	s.stopping.Lock()
	parent := s.ctx
	s.stopping.Unlock()
	s.asking.Lock()
	defer s.asking.Unlock()
	ctx, cancel := context.WithTimeout(parent, q.Patience)
	defer cancel()
	err := ctx.Err()
	if err == nil {
		err = checked(q.Names)
	}
	if err == nil {
		err = ask(ctx)
	}
	switch {
	case err == nil:
		a.Code = wire.Done
		return nil
	case errors.Is(err, ErrNotOffered):
		a.Code = wire.NotOffered
	case errors.Is(err, ErrBusy):
		a.Code = wire.Busy
	default:
		a.Code = wire.Failed
	}
	a.Cause = err.Error()
	return nil
}

// checked refuses what no package manager should ever see on a command line, and what no path is
// either.
func checked(names []string) error {
	for _, name := range names {
		if !port.IsName(name) && !port.IsPath(name) {
			return fmt.Errorf("%q is neither the name of a package nor an absolute path", name)
		}
	}
	return nil
}
