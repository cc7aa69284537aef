// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
)

// fake is a package manager whose answers a test sets. Install and Remove change what is installed,
// unless they fail.
type fake struct {
	port.Manager
	description port.Description
	installed   []port.Package
	err         error // of a question
	offers      map[string]port.Offer
	removal     port.Removal
	change      func(ctx context.Context, attempt int) (done bool, err error)
	attempts    int
	calls       int
}

func (f *fake) Describe() port.Description { return f.description }

func (f *fake) Installed(context.Context, []string) ([]port.Package, error) {
	f.calls++
	return f.installed, f.err
}

func (f *fake) Owners(context.Context, []string) ([]port.Owner, error) {
	return []port.Owner{{File: "/b", Package: "p", Changed: true}}, f.err
}

func (f *fake) Offer(_ context.Context, name string) (port.Offer, error) {
	if o, ok := f.offers[name]; ok || f.err != nil {
		return o, f.err
	}
	return port.Offer{}, fmt.Errorf("%s: %w", name, port.ErrNotOffered)
}

func (f *fake) Removal(context.Context, string) (port.Removal, error) { return f.removal, f.err }

func (f *fake) Install(ctx context.Context, name string) error {
	f.attempts++
	done, err := f.change(ctx, f.attempts)
	if done {
		f.installed = []port.Package{{Name: name, Version: "1"}}
	}
	return err
}

func (f *fake) Remove(ctx context.Context, _ string) error {
	f.attempts++
	done, err := f.change(ctx, f.attempts)
	if done {
		f.installed = nil
	}
	return err
}

var errBroken = errors.New("it is broken")

// TestInstalled: the answer has the order of the names, each name once, and a failure is no answer.
func TestInstalled(t *testing.T) {
	f := &fake{installed: []port.Package{{Name: "a", Version: "1"}, {Name: "c", Version: "3"}}}
	d := New(f, Config{})
	got, err := d.StartInstalled(t.Context(), []string{"c", "b", "a", "c"})()
	if want := []port.Package{{Name: "c", Version: "3"}, {Name: "a", Version: "1"}}; err != nil ||
		!slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.Installed(t.Context(), nil); err != nil || got != nil || f.calls != 1 {
		t.Errorf("without names it was asked: %v, %v", got, err)
	}
	f.err = errBroken
	if got, err := d.Installed(t.Context(), []string{"a"}); !errors.Is(err, errBroken) || got != nil {
		t.Errorf("a failure is an answer: %v, %v", got, err)
	}
	if owners, err := New(&fake{}, Config{}).Owners(t.Context(), []string{"/a", "/b"}); err != nil ||
		len(owners) != 1 || !owners["/b"].Changed {
		t.Errorf("%v, %v", owners, err)
	}
}

// starting is a fake that begins to answer as the built-in managers do.
type starting struct{ *fake }

func (starting) HasDatabase() bool { return true }
func (starting) LastLines() string { return "Nothing to do." }
func (starting) Needers(context.Context, string) ([]string, error) {
	return []string{"anaconda-install-env-deps"}, nil
}
func (starting) UserInstalled(context.Context, string) (bool, error) { return true, nil }
func (s starting) StartInstalled(ctx context.Context, names []string) func() ([]port.Package, error) {
	return func() ([]port.Package, error) { return s.Installed(ctx, names) }
}

// TestBuiltIn: a built-in manager begins to answer by itself, and says why it has done nothing.
func TestBuiltIn(t *testing.T) {
	f := &fake{installed: []port.Package{{Name: "a", Version: "1"}, {Name: "c", Version: "3"}},
		description: port.Description{Name: "m"}}
	d := New(starting{f}, Config{})
	got, err := d.StartInstalled(t.Context(), []string{"c", "b", "a", "c"})()
	if want := []port.Package{{Name: "c", Version: "3"}, {Name: "a", Version: "1"}}; err != nil ||
		!slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	// Those that a pattern found come last.
	got, err = d.StartInstalled(t.Context(), []string{"c", "?"})()
	if want := []port.Package{{Name: "c", Version: "3"}, {Name: "a", Version: "1"}}; err != nil || !slices.Equal(got,
		want) {
		t.Errorf("%v, %v", got, err)
	}
	f.err = errBroken
	if got, err := d.StartInstalled(t.Context(), []string{"a"})(); !errors.Is(err, errBroken) || got != nil {
		t.Errorf("a failure is an answer: %v, %v", got, err)
	}
	f.err, f.installed = nil, nil
	f.change = func(context.Context, int) (bool, error) { return false, nil }
	want := "m reports success, but its database says that enabler is not installed: Nothing to do."
	if err := d.Install(t.Context(), "enabler"); err == nil || err.Error() != want {
		t.Error(err)
	}
}

// TestNeeders: a built-in manager knows what needs a package, and who installed it. Of a plugin,
// that is what it says of a removal, and what it does not record is unknown.
func TestNeeders(t *testing.T) {
	for name, d := range map[string]*Driver{
		"built in": New(starting{&fake{}}, Config{}),
		"plugin": New(&fake{removal: port.Removal{With: []string{"anaconda-install-env-deps"}, UserInstalled: true}},
			Config{}),
	} {
		needers, err := d.Needers(t.Context(), "gdb")
		user, problem := d.UserInstalled(t.Context(), "gdb")
		if err != nil || problem != nil || !user || !slices.Equal(needers, []string{"anaconda-install-env-deps"}) {
			t.Errorf("%s: %v, %v, %v, %v", name, needers, err, user, problem)
		}
	}
	d := New(&fake{removal: port.Removal{Unknown: true}}, Config{})
	if user, err := d.UserInstalled(t.Context(), "gdb"); err == nil {
		t.Errorf("unknown is an answer: %v", user)
	}
}

// TestOffer: the first name that is offered counts. Not offered and unknown are different answers.
func TestOffer(t *testing.T) {
	offers := map[string]port.Offer{"capability": {Package: "enabler", With: []string{"enabler", "other"}}}
	for name, c := range map[string]struct {
		f    fake
		want ptrace.Offer
	}{
		"offered by a capability": {fake{offers: offers}, ptrace.Offer{Package: "enabler", With: []string{"other"}}},
		"not offered":             {fake{}, ptrace.Offer{}},
		"not known":               {fake{err: errBroken}, ptrace.Offer{Cause: "it is broken"}},
		"read-only": {fake{description: port.Description{ReadOnly: "an image"}, offers: offers},
			ptrace.Offer{Cause: "an image"}},
		"no manager": {fake{description: port.Description{Name: ptrace.None}},
			ptrace.Offer{Cause: noManager}},
	} {
		if got := New(&c.f, Config{}).Offer(t.Context(),
			[]string{"enabler", "capability"}); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestRemoval: whether the user installed a package is known also where it cannot be removed, or
// where that is not known.
func TestRemoval(t *testing.T) {
	user := port.Removal{UserInstalled: true, With: []string{"enabler", "other"}}
	for name, c := range map[string]struct {
		f    fake
		want ptrace.Removal
	}{
		"with others": {fake{removal: user}, ptrace.Removal{UserInstalled: true, With: []string{"other"}}},
		"read-only": {fake{removal: user, description: port.Description{ReadOnly: "an image"}},
			ptrace.Removal{UserInstalled: true, Cause: "an image"}},
		"no answer": {fake{removal: user, err: errBroken},
			ptrace.Removal{UserInstalled: true, Cause: "it is broken"}},
		"no record": {fake{removal: port.Removal{Unknown: true}}, ptrace.Removal{Unknown: true}},
	} {
		if got := New(&c.f, Config{}).Removal(t.Context(), "enabler"); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// mayPass is a failure that another process may have caused.
type mayPass struct{ error }

func (mayPass) MayPass() bool { return true }

// TestTransaction: the database says whether a transaction is done, whatever the manager says. Only
// a failure that may pass is tried again.
func TestTransaction(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(ctx context.Context, attempt int) (bool, error)
		want     string // "" is done
		despite  bool   // done, although something failed
		attempts int
	}{
		"done": {func(context.Context, int) (bool, error) { return true, nil }, "", false, 1},
		"done, with a failure": {func(context.Context, int) (bool, error) { return true, errBroken }, "it is broken",
			true, 1},
		"not done": {func(context.Context, int) (bool, error) { return false, errBroken }, "it is broken",
			false, 1},
		"not done, and says so": {func(context.Context, int) (bool, error) { return false, nil },
			"m reports success, but its database says that enabler is not installed", false, 1},
		"fails twice": {func(context.Context, int) (bool, error) { return false, mayPass{errBroken} },
			"it is broken", false, 2},
		"fails once": {func(_ context.Context, attempt int) (bool, error) {
			if attempt == 1 {
				return false, mayPass{errBroken}
			}
			return true, nil
		}, "", false, 2},
		"done when it was ended": {func(ctx context.Context, _ int) (bool, error) {
			<-ctx.Done()
			return true, context.Cause(ctx)
		}, "gave no answer within 50ms", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := TransactionPatience
			defer func() { TransactionPatience = before }()
			if strings.Contains(c.want, "50ms") {
				TransactionPatience = "50ms"
			}
			f := &fake{change: c.change, description: port.Description{Name: "m"}}
			err := New(f, Config{}).Install(t.Context(), "enabler")
			var despite *ptrace.DoneNevertheless
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) ||
				errors.As(err, &despite) != c.despite {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if f.attempts != c.attempts {
				t.Errorf("%d attempts, want %d", f.attempts, c.attempts)
			}
		})
	}
	f := &fake{change: func(context.Context, int) (bool, error) { return false, nil },
		installed: []port.Package{{Name: "enabler"}}}
	if err := New(f, Config{}).Remove(t.Context(), "enabler"); err == nil ||
		!strings.Contains(err.Error(), "enabler is still installed") {
		t.Error(err)
	}
	f.attempts = 0
	if err := New(f, Config{CheckMode: true}).Remove(t.Context(), "enabler"); err == nil || f.attempts != 0 {
		t.Errorf("check mode removed it: %v", err)
	}
	// A database that gives no answer does not hide why the transaction failed.
	f = &fake{change: func(context.Context, int) (bool, error) { return false, errors.New("no space left") },
		err: errBroken}
	if err := New(f, Config{}).Install(t.Context(), "enabler"); err == nil ||
		err.Error() != "no space left; it is broken" {
		t.Error(err)
	}
}

// TestBusy: a manager that another process uses is asked again until lock_timeout is over, or the
// run is asked to stop.
func TestBusy(t *testing.T) {
	free := time.Now().Add(300 * time.Millisecond)
	change := func(context.Context, int) (bool, error) {
		if time.Now().Before(free) {
			return false, fmt.Errorf("process 7 has the lock: %w", port.ErrBusy)
		}
		return true, nil
	}
	f := &fake{change: change, description: port.Description{Name: "m"}}
	if err := New(f, Config{LockTimeout: time.Minute}).Install(t.Context(), "enabler"); err != nil || f.attempts != 2 {
		t.Errorf("%v, after %d attempts", err, f.attempts)
	}
	free = time.Now().Add(time.Hour)
	f.installed = nil
	began := time.Now()
	err := New(f, Config{LockTimeout: 100 * time.Millisecond}).Install(t.Context(), "enabler")
	want := "wait for m: another process has been using it for 100ms: wait for it to end, or raise lock_timeout: process 7 has the lock: " + port.ErrBusy.Error()
	if err == nil || err.Error() != want || time.Since(began) > 20*time.Second {
		t.Errorf("got %v, after %s", err, time.Since(began))
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := New(f, Config{LockTimeout: time.Hour}).Install(ctx, "enabler"); err == nil ||
		!strings.Contains(err.Error(), "a signal asked the run to stop") {
		t.Error(err)
	}
}

// one answers one call at a time, and fails if there are more.
type one struct {
	port.Manager
	asking sync.Mutex
}

func (*one) Describe() port.Description { return port.Description{Name: "one"} }

func (o *one) Installed(ctx context.Context, _ []string) ([]port.Package, error) {
	if !o.asking.TryLock() {
		return nil, errors.New("another call is not answered yet")
	}
	defer o.asking.Unlock()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(150 * time.Millisecond):
		return nil, nil
	}
}

// TestSerial: calls wait for their turn, and the time of each begins with it.
func TestSerial(t *testing.T) {
	before := QueryPatience
	defer func() { QueryPatience = before }()
	QueryPatience = "400ms"
	d := New(&one{}, Config{Serial: true})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			if _, err := d.Installed(t.Context(), []string{"a"}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	QueryPatience = "10ms"
	if _, err := d.Installed(t.Context(), []string{"a"}); !errors.Is(err, Overdue{10 * time.Millisecond}) {
		t.Error(err)
	}
}
