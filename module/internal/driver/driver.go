// SPDX-License-Identifier: GPL-3.0-or-later

// Package driver asks a package manager, built in or a site's own. It does all that is the same for
// each of them: it puts answers in the order of the names, sets a deadline for each call, waits
// while another process uses the manager, and asks the database whether a transaction is done.
// Unknown is never absent: a question without an answer is an error.
package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"hardening.yama/module/internal/async"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
)

// Deadlines of a call. Strings, so that a test can build the program with shorter ones (-ldflags
// -X).
var (
	QueryPatience       = "1m" // for what is installed
	AskPatience         = "3m" // for what a transaction would do
	TransactionPatience = "15m"
)

// patience returns how long a call of this kind may take.
func patience(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Overdue is the cause of a context whose call has had its time (context.Cause).
type Overdue struct{ After time.Duration }

func (o Overdue) Error() string { return fmt.Sprintf("gave no answer within %s", o.After) }

// Config says how to drive a manager.
type Config struct {
	// Detail follows the manager's name in messages, for instance the path of a plugin.
	Detail string
	// CheckMode: nothing is installed or removed.
	CheckMode bool
	// LockTimeout is how long to wait while another process uses the manager.
	LockTimeout time.Duration
	// Serial: the manager answers one call at a time. The time of a call begins when the one before
	// has ended.
	Serial bool
}

// Driver drives a package manager.
type Driver struct {
	manager port.Manager
	builtIn builtIn // the same, nil for a site's own
	config  Config
	turn    chan struct{} // full while a call has its turn, nil where there are none
}

// builtIn is what a built-in manager can do besides.
type builtIn interface {
	// HasDatabase reports whether there is a database of installed packages.
	HasDatabase() bool
	// StartInstalled begins what Installed does, and returns a function that waits for the answer.
	// Another thread would be slower: to wake it up takes longer than an answer that is cached.
	StartInstalled(ctx context.Context, names []string) (wait func() ([]port.Package, error))
	// Needers returns the installed packages that need a package themselves.
	Needers(ctx context.Context, name string) ([]string, error)
	// UserInstalled reports whether the user installed a package explicitly.
	UserInstalled(ctx context.Context, name string) (bool, error)
	// LastLines returns the last lines of the last transaction.
	LastLines() string
}

// New returns a driver for a manager. Unless Serial, it calls methods at the same time.
func New(manager port.Manager, c Config) *Driver {
	d := &Driver{manager: manager, config: c}
	d.builtIn, _ = manager.(builtIn)
	if c.Serial {
		d.turn = make(chan struct{}, 1)
	}
	return d
}

// Name returns the manager's name, ptrace.None where packages are left alone.
func (d *Driver) Name() string { return d.manager.Describe().Name }

// ReadOnly says why no package can be installed or removed here, "" where they can.
func (d *Driver) ReadOnly() string { return d.manager.Describe().ReadOnly }

// HasDatabase reports whether there is a database of installed packages. It can be there without a
// manager.
func (d *Driver) HasDatabase() bool {
	return d.builtIn == nil || d.builtIn.HasDatabase()
}

// noManager is the cause where packages are left alone.
const noManager = "no package manager of this host can be used"

// unchangeable says why no package can be changed, "" where they can.
func (d *Driver) unchangeable() string {
	switch description := d.manager.Describe(); {
	case description.ReadOnly != "":
		return description.ReadOnly
	case description.Name == ptrace.None:
		return noManager
	}
	return ""
}

// StartInstalled asks which of the names are installed, and returns a function that waits for the
// answer: the installed ones in the order of the names. Without a database it is none.
func (d *Driver) StartInstalled(ctx context.Context, names []string) (wait func() ([]port.Package, error)) {
	if !d.HasDatabase() || len(names) == 0 {
		return func() ([]port.Package, error) { return nil, nil }
	}
	if d.builtIn == nil {
		return async.Start(func() ([]port.Package, error) { return d.Installed(ctx, names) })
	}
	ctx, cancel := withPatience(ctx, QueryPatience)
	answer := d.builtIn.StartInstalled(ctx, names)
	return func() ([]port.Package, error) {
		defer cancel()
		found, err := answer()
		return inOrder(found, names, err)
	}
}

// Installed returns those of the names that are installed, in the order of the names.
func (d *Driver) Installed(ctx context.Context, names []string) ([]port.Package, error) {
	if !d.HasDatabase() || len(names) == 0 {
		return nil, nil
	}
	var found []port.Package
	err := d.call(ctx, QueryPatience, func(ctx context.Context) (err error) {
		found, err = d.manager.Installed(ctx, names)
		return err
	})
	return inOrder(found, names, err)
}

// inOrder returns the found packages in the order of the names, and then those that a pattern
// found. It returns none with an error.
func inOrder(found []port.Package, names []string, err error) ([]port.Package, error) {
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string, len(found))
	for _, p := range found {
		versions[p.Name] = p.Version
		names = append(names[:len(names):len(names)], p.Name)
	}
	ordered := make([]port.Package, 0, len(found))
	for _, name := range names {
		if version, ok := versions[name]; ok {
			ordered = append(ordered, port.Package{Name: name, Version: version})
			delete(versions, name) // a name may have been asked for twice
		}
	}
	return ordered, nil
}

// Owners returns the package of each of the files that has one, by the file.
func (d *Driver) Owners(ctx context.Context, files []string) (map[string]port.Owner, error) {
	owners := map[string]port.Owner{}
	if !d.HasDatabase() || len(files) == 0 {
		return owners, nil
	}
	return owners, d.call(ctx, QueryPatience, func(ctx context.Context) error {
		found, err := d.manager.Owners(ctx, files)
		for _, o := range found {
			owners[o.File] = o
		}
		return err
	})
}

// Requirers returns for each of the packages the installed ones that require it, directly or not.
func (d *Driver) Requirers(ctx context.Context, names []string) (requirers map[string][]string, err error) {
	if !d.HasDatabase() || len(names) == 0 {
		return map[string][]string{}, nil
	}
	err = d.call(ctx, QueryPatience, func(ctx context.Context) (err error) {
		requirers, err = d.manager.Requirers(ctx, names)
		return err
	})
	return requirers, err
}

// Needers returns the installed packages that need a package themselves. Those that a plugin would
// remove with it may be more.
func (d *Driver) Needers(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := withPatience(ctx, QueryPatience)
	defer cancel()
	if d.builtIn != nil {
		return d.builtIn.Needers(ctx, name)
	}
	removal, err := d.manager.Removal(ctx, name)
	return removal.With, err
}

// UserInstalled reports whether the user installed a package explicitly. An error means that this
// is not known.
func (d *Driver) UserInstalled(ctx context.Context, name string) (bool, error) {
	if d.builtIn == nil {
		removal := d.Removal(ctx, name)
		if removal.Unknown {
			return false, errors.New("it is not recorded")
		}
		return removal.UserInstalled, nil
	}
	ctx, cancel := withPatience(ctx, AskPatience)
	defer cancel()
	return d.builtIn.UserInstalled(ctx, name)
}

// Offer returns what the repositories offer under any of the names, the first one that they do. It
// never fails: where there is no answer, it contains the cause.
func (d *Driver) Offer(ctx context.Context, names []string) ptrace.Offer {
	if cause := d.unchangeable(); cause != "" {
		return ptrace.Offer{Cause: cause}
	}
	for _, name := range names {
		var offer port.Offer
		err := d.call(ctx, AskPatience, func(ctx context.Context) (err error) {
			offer, err = d.manager.Offer(ctx, name)
			return err
		})
		switch {
		case errors.Is(err, port.ErrNotOffered):
			continue
		case err != nil:
			return ptrace.Offer{Cause: err.Error()}
		}
		return ptrace.Offer{Package: offer.Package, With: without(offer.With, offer.Package)}
	}
	return ptrace.Offer{}
}

// Removal returns what removing a package would also remove, and whether the user installed it. It
// never fails: where there is no answer, it contains the cause. The user's part is known even where
// no package can be changed.
func (d *Driver) Removal(ctx context.Context, name string) ptrace.Removal {
	var removal port.Removal
	err := d.call(ctx, AskPatience, func(ctx context.Context) (err error) {
		removal, err = d.manager.Removal(ctx, name)
		return err
	})
	answer := ptrace.Removal{UserInstalled: removal.UserInstalled, Unknown: removal.Unknown}
	switch cause := d.unchangeable(); {
	case cause != "" && removal.Unknown && err != nil:
		answer.Cause = err.Error() + "; " + cause
	case cause != "":
		answer.Cause = cause
	case err != nil:
		answer.Cause = err.Error()
	default:
		answer.With = without(removal.With, name)
	}
	return answer
}

// Install installs a package. A *ptrace.DoneNevertheless means that it is installed although
// something failed.
func (d *Driver) Install(ctx context.Context, name string) error {
	return d.transact(ctx, name, true, port.Manager.Install)
}

// Remove removes a package. A *ptrace.DoneNevertheless means that it is removed although something
// failed.
func (d *Driver) Remove(ctx context.Context, name string) error {
	return d.transact(ctx, name, false, port.Manager.Remove)
}

// attempts is how often a transaction is tried that fails in a way that may pass.
const attempts = 2

// transact installs or removes a package. It is done when the database says so, whatever the
// manager says.
func (d *Driver) transact(
	ctx context.Context, name string, want bool, do func(port.Manager, context.Context, string) error,
) error {
	if cause := d.unchangeable(); cause != "" {
		return errors.New(cause)
	}
	if d.config.CheckMode {
		return errors.New("nothing may be written in check mode")
	}
	for attempt := 1; ; attempt++ {
		failure := d.call(ctx, TransactionPatience, func(ctx context.Context) error { return do(d.manager, ctx, name) })
		// The question is asked even if a signal asked the run to stop.
		found, err := d.Installed(context.WithoutCancel(ctx), []string{name})
		switch done := (len(found) > 0) == want; {
		case d.Err() != nil:
			return d.Err()
		case err != nil && failure != nil:
			return fmt.Errorf("%w; %w", failure, err)
		case err != nil:
			return err
		case failure != nil && done:
			return &ptrace.DoneNevertheless{Cause: failure}
		case failure == nil && !done:
			return d.notDone(name, want)
		case failure == nil:
			return nil
		case attempt == attempts || !passes(failure) || ctx.Err() != nil:
			return failure
		}
	}
}

// notDone says that a manager reports success and its database says otherwise.
func (d *Driver) notDone(name string, want bool) error {
	text := d.Name() + d.config.Detail + " reports success, but its database says that " + name
	if want {
		text += " is not installed"
	} else {
		text += " is still installed"
	}
	if d.builtIn != nil {
		text += ": " + d.builtIn.LastLines()
	}
	return errors.New(text)
}

// passes reports whether a failure may pass, which an error says by its method MayPass.
func passes(err error) bool {
	var passing interface{ MayPass() bool }
	return errors.As(err, &passing) && passing.MayPass()
}

// interval is how long to wait before the manager is asked again.
const interval = 500 * time.Millisecond

// call calls a manager within a deadline, and again while another process uses it, until the lock
// timeout is over.
func (d *Driver) call(ctx context.Context, text string, f func(context.Context) error) error {
	for until := time.Now().Add(d.config.LockTimeout); ; {
		err := d.once(ctx, text, f)
		if !errors.Is(err, port.ErrBusy) || ctx.Err() != nil {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			const held = "wait for %s: another process has been using it for %s: wait for it to end, or raise lock_timeout: %w"
			return fmt.Errorf(held, d.Name()+d.config.Detail, d.config.LockTimeout, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: a signal asked the run to stop: %w", d.Name(), err)
		case <-time.After(min(interval, left)):
		}
	}
}

// once calls a manager once, when it is the call's turn.
func (d *Driver) once(ctx context.Context, patience string, f func(context.Context) error) error {
	if d.turn != nil {
		select {
		case d.turn <- struct{}{}:
			defer func() { <-d.turn }()
		case <-ctx.Done(): // f says so in its own words
		}
	}
	ctx, cancel := withPatience(ctx, patience)
	defer cancel()
	return f(ctx)
}

// withPatience returns the context of a call that may take so long.
func withPatience(ctx context.Context, text string) (context.Context, context.CancelFunc) {
	d := patience(text)
	return context.WithTimeoutCause(ctx, d, Overdue{d})
}

// Err returns why the manager is asked nothing more, nil while it behaves. Only a site's own can
// misbehave.
func (d *Driver) Err() error {
	if m, ok := d.manager.(interface{ Err() error }); ok {
		return m.Err()
	}
	return nil
}

// Close ends what was started for the manager.
func (d *Driver) Close() error {
	if m, ok := d.manager.(io.Closer); ok {
		return m.Close()
	}
	return nil
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
