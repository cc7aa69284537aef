// SPDX-License-Identifier: GPL-3.0-or-later

// Package packages has the package managers that the module knows. Each is a row of a table, which
// says how to ask it and how to read its answers. A query that fails is an error with its cause,
// never an answer.
package packages

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hardening.yama/module/internal/async"
	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/tree"
	"hardening.yama/module/internal/view"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// Manager is a package manager of the host, and how to ask it: a row of the table that Find has
// completed. It is a port.Manager.
type Manager struct {
	// Name is the manager's, ptrace.None where packages are left alone.
	Name string
	// CheckMode throws away whatever the manager writes while it is asked.
	CheckMode bool

	readOnly string     // why no package can be installed or removed here, "" where they can
	files    *tree.Tree // that the packages belong to
	root     string     // its name, for programs
	program  string     // absolute: no PATH decides what runs as root
	database *database
	// dbFile is the database, for messages.
	dbFile string
	// dbDir is the directory of the database in the tree, "" where the database's program finds it
	// by itself.
	dbDir string
	// next has another database of the host's, whose packages count, too.
	next *Manager
	// dbElsewhere: the manager would look for the database in another directory, so that it must
	// not be run.
	dbElsewhere bool
	memory      *memory
	// throwaway is the view for check mode, and readOnlyProc the one for a manager that runs
	// scriptlets in another root.
	throwaway, readOnlyProc *view.Mounts

	// rootOptions are the manager's own options for another root, which is appended to those that
	// end in =. A manager without any has none.
	rootOptions []string
	// runsScriptlets: scriptlets, or hooks, run in another root, too.
	runsScriptlets bool
	// simulate are the arguments that ask what an installation would change, and parse reads the
	// answer. Where the answer is port.ErrNotOffered, checkLists says why that cannot be believed,
	// if so.
	simulate   []string
	parse      func(process.Result) ([]string, error)
	checkLists func(*Manager, context.Context) error
	// removal returns the other packages that a removal would remove.
	removal func(*Manager, context.Context, string) ([]string, error)
	// install and remove are the arguments for a transaction, and transactionOptions are appended
	// to both.
	install, remove, transactionOptions []string
	// asDependency are options for install that record that the user did not install the package.
	// Where there are none, markDependency are the arguments that record it afterwards.
	asDependency, markDependency []string
	// simulateRemoval are the arguments that ask what a removal would change, for managers whose
	// database knows nothing of locks and protected packages. parse reads the answer.
	simulateRemoval []string
	// userInstalled reports whether the user installed the package explicitly; nil: the manager
	// does not record it, treat as no.
	userInstalled func(*Manager, context.Context, string) (bool, error)
	// locks are files with a lock of fcntl(2) for which the manager does not wait, or waits without
	// end.
	locks []string
	// busy reports whether a result says that another process is using the manager.
	busy func(process.Result) bool
	// successCodes are exit codes of success besides 0.
	successCodes []int
}

var _ port.Manager = (*Manager)(nil)

// database is a database of installed packages: a row of another table, since managers share them.
type database struct {
	// files: if one of them exists and is not empty, the database is in use.
	files []string
	// base are packages of which the database holds one if it is the host's: it holds none where a
	// program has begun it for itself, and where it was lost and begun anew.
	base []string
	// followsLinksOut: its program does not chroot(2), so that a link in another root can lead out
	// of it.
	followsLinksOut bool
	// program is needed to ask the database, and rootOptions are its options for another root.
	// There it looks for the database in the directory that it prints with printDBDir, and
	// dbDirOption is the option for another directory. Without them the directory is the same
	// everywhere.
	program, dbDirOption string
	// configuration are the files by which the program is configured, or which it is.
	configuration           []string
	rootOptions, printDBDir []string

	// installed begins to find out which of the names are installed, and returns a function that
	// waits for the answer.
	installed func(*Manager, context.Context, []string) (wait func() ([]port.Package, error))
	// owners returns all packages that a file belongs to. unchanged reports whether the file is
	// that of one of them.
	owners    func(*Manager, context.Context, []string) (map[string][]string, error)
	unchanged func(*Manager, context.Context, string, string) (bool, error)
	requirers func(*Manager, context.Context, []string) (map[string][]string, error)
	// needers returns the packages without which a package cannot be removed. Without it they are
	// its requirers.
	needers func(*Manager, context.Context, string) ([]string, error)
	// checkLock returns an error that wraps port.ErrBusy while another process has the database,
	// for managers that fail then.
	checkLock func(*Manager, context.Context) error
}

// memory is what a run remembers of a database.
type memory struct {
	sync.Mutex
	// paragraphs are its content, until a transaction changes it.
	paragraphs []paragraph
	// userInstalled are the removed packages that the user installed, or may have.
	userInstalled []string
	// lastLines are those of the last transaction.
	lastLines string
}

// transacted forgets what a transaction may have changed, and remembers its last lines.
func (m *memory) transacted(r process.Result) {
	m.Lock()
	defer m.Unlock()
	m.paragraphs, m.lastLines = nil, r.LastLines()
}

// managers are all that can be driven, and databases all that can be read, whichever manager fills
// them.
var (
	managers  = []*Manager{&dnf5, &dnf, &zypper, &apt, &pacman, &apk}
	databases = []*database{&dpkgDatabase, &rpmDatabase, &alpmDatabase, &apkDatabase}
)

// Names returns the names of all managers.
func Names() []string {
	names := make([]string, 0, len(managers))
	for _, m := range managers {
		names = append(names, m.Name)
	}
	return names
}

// row returns a manager's row of the table, nil where it has none.
func row(name string) *Manager {
	for _, m := range managers {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Is reports whether this is the named manager, even if the host boots an image and so has another
// name for it.
func (m *Manager) Is(name string) bool {
	named := row(name)
	return named != nil && (named.program == m.program || sameProgram(named.program, m.program))
}

// HasDatabase reports whether there is a database of installed packages. It can be there without a
// manager.
func (m *Manager) HasDatabase() bool { return m.database != nil }

// Close ends the threads of the views.
func (m *Manager) Close() error {
	for one := m; one != nil; one = one.next {
		one.throwaway.Close()
	}
	m.readOnlyProc.Close()
	return nil
}

// Places returns the directories of all databases.
func Places() []string {
	var places []string
	for _, d := range databases {
		for _, file := range d.files {
			places = append(places, path.Dir(file))
		}
	}
	return places
}

// Describe implements port.Manager.
func (m *Manager) Describe() port.Description {
	return port.Description{Name: m.Name, ReadOnly: m.readOnly}
}

// Installed implements port.Manager. To it a pattern is a name that no package has.
func (m *Manager) Installed(ctx context.Context, names []string) ([]port.Package, error) {
	names = slices.DeleteFunc(slices.Clone(names), schema.IsPattern)
	if len(names) == 0 {
		return nil, nil
	}
	return m.StartInstalled(ctx, names)()
}

// StartInstalled begins to find out which of the names are installed, and which packages match a
// pattern among them. It returns a function that waits for the answer. A database is asked for its
// base in the same question.
func (m *Manager) StartInstalled(ctx context.Context, names []string) (wait func() ([]port.Package, error)) {
	answer := m.database.installed(m, ctx, slices.Concat(names, m.database.base))
	wait = func() ([]port.Package, error) {
		found, err := answer()
		if err != nil {
			return nil, err
		}
		return m.withoutBase(found, names)
	}
	if m.next == nil {
		return wait
	}
	m.next.CheckMode = m.CheckMode
	one, other := wait, m.next.StartInstalled(ctx, names)
	return func() ([]port.Package, error) {
		found, err := one()
		more, problem := other() // also after an error, it has to be waited for
		return append(found, more...), errors.Join(err, problem)
	}
}

// withoutBase returns the packages without those of the base that are not among the names. It
// returns an error if no package is of the base.
func (m *Manager) withoutBase(found []port.Package, names []string) ([]port.Package, error) {
	base, named := m.database.base == nil, found[:0]
	for _, p := range found {
		base = base || slices.Contains(m.database.base, p.Name)
		if !slices.Contains(m.database.base, p.Name) || slices.Contains(names, p.Name) {
			named = append(named, p)
		}
	}
	if !base {
		return nil, &noBase{m}
	}
	return named, nil
}

// noBase says that a database is not the host's.
type noBase struct{ of *Manager }

func (e *noBase) Error() string {
	return "read the package database " + e.of.dbFile +
		": it has none of the packages " + strings.Join(e.of.database.base, ", ") +
		": it is empty, was begun anew, or is not this host's: restore it, or set backend=none"
}

// reading is for databases that are files to read.
func reading(read func(*Manager, []string) ([]port.Package, error)) func(*Manager, context.Context, []string) func() ([]port.Package, error) {
	return func(m *Manager, _ context.Context, names []string) func() ([]port.Package, error) {
		return async.Start(func() ([]port.Package, error) { return read(m, names) })
	}
}

// Owners implements port.Manager. A file that is not there has no owner; rpm calls that an error.
func (m *Manager) Owners(ctx context.Context, files []string) ([]port.Owner, error) {
	files = slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		_, err := m.files.Stat(file)
		return tree.Nobody(err)
	})
	if len(files) == 0 {
		return nil, nil
	}
	found, err := m.database.owners(m, ctx, files)
	if err != nil {
		return nil, err
	}
	var owners []port.Owner
	for _, file := range files {
		if found[file] == nil {
			continue
		}
		o := port.Owner{File: file, Package: found[file][0]}
		// to compare takes another query
		if !strings.HasPrefix(file, "/usr/lib/") && !strings.HasPrefix(file, "/lib/") {
			if o.Package, err = m.intactOf(ctx, file, found[file]); err != nil {
				return nil, err
			}
			if o.Changed = o.Package == ""; o.Changed {
				o.Package = found[file][0]
			}
		}
		owners = append(owners, o)
	}
	if m.next == nil {
		return owners, nil
	}
	more, err := m.next.Owners(ctx, files)
	return append(more, owners...), err
}

// intactOf returns the package whose file it is, unchanged: several can own one, with different
// contents. "" is none of them.
func (m *Manager) intactOf(ctx context.Context, file string, packages []string) (string, error) {
	for _, owner := range packages {
		if unchanged, err := m.database.unchanged(m, ctx, owner, file); err != nil || unchanged {
			return owner, err
		}
	}
	return "", nil
}

// Requirers implements port.Manager.
func (m *Manager) Requirers(ctx context.Context, names []string) (map[string][]string, error) {
	found, err := m.database.requirers(m, ctx, names)
	if err != nil || m.next == nil {
		return found, err
	}
	more, err := m.next.Requirers(ctx, names)
	for name, of := range more {
		found[name] = of
	}
	return found, err
}

// Needers returns the installed packages that need a package themselves. It asks the database
// alone.
func (m *Manager) Needers(ctx context.Context, name string) ([]string, error) {
	if m.database.needers != nil && m.next == nil { // with two, either may have it
		return m.database.needers(m, ctx, name)
	}
	requirers, err := m.Requirers(ctx, []string{name})
	return requirers[name], err
}

// UserInstalled reports whether the user installed a package explicitly. An error means that this
// is not known.
func (m *Manager) UserInstalled(ctx context.Context, name string) (bool, error) {
	if m.userInstalled == nil {
		return false, nil
	}
	return m.userInstalled(m, ctx, name)
}

// Offer implements port.Manager.
func (m *Manager) Offer(ctx context.Context, name string) (port.Offer, error) {
	changed, err := m.simulateInstall(ctx, name)
	if errors.Is(err, port.ErrNotOffered) {
		return port.Offer{}, err
	}
	if err != nil {
		return port.Offer{}, fmt.Errorf("%s install %s: %w", m.Name, name, err)
	}
	// A capability is offered by a package of another name: the one that is named first.
	offered := changed[max(0, slices.Index(changed, name))]
	return port.Offer{Package: offered, With: slices.DeleteFunc(changed, func(n string) bool { return n == offered })},
		nil
}

// simulateInstall returns the names of all packages that an installation would change.
func (m *Manager) simulateInstall(ctx context.Context, name string) ([]string, error) {
	r, err := m.ask(ctx, m.simulate, name)
	if err != nil {
		return nil, err
	}
	changed, err := m.parse(r)
	if errors.Is(err, port.ErrNotOffered) && m.checkLists != nil {
		if err := m.checkLists(m, ctx); err != nil {
			return nil, err
		}
	}
	return changed, err
}

// errUnchangeable is the cause where packages are left alone; Describe says why.
var errUnchangeable = errors.New("no package can be changed here")

// Removal implements port.Manager. The manager's record is read also where nothing can be removed.
func (m *Manager) Removal(ctx context.Context, name string) (removal port.Removal, err error) {
	if m.userInstalled != nil {
		removal.UserInstalled, err = m.userInstalled(m, ctx, name)
		removal.Unknown = err != nil
		if err != nil && !errors.Is(err, errNotRecorded) && !errors.Is(err, errUnchangeable) {
			return removal, fmt.Errorf("cannot find out why %s is installed: %w", name, err)
		}
	}
	if m.readOnly != "" || m.program == "" {
		return removal, nil // Describe says why
	}
	removal.With, err = m.removal(m, ctx, name)
	if err != nil {
		err = fmt.Errorf("%s remove %s: %w", m.Name, name, err)
	}
	return removal, err
}

// Install implements port.Manager. The package is recorded as a dependency, unless this run has
// removed it and the user had installed it.
func (m *Manager) Install(ctx context.Context, name string) error {
	args, mark := slices.Concat(m.asDependency, m.install), m.markDependency
	if slices.Contains(m.memory.userInstalled, name) {
		args, mark = m.install, nil
	}
	failure := m.transact(ctx, args, name)
	if mark == nil || errors.Is(failure, port.ErrBusy) {
		return failure
	}
	// The package can be installed although the manager failed, or had to be ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markPatience)
	defer cancel()
	if found, err := m.Installed(ctx, []string{name}); err != nil || len(found) == 0 {
		return failure
	}
	switch err := m.transact(ctx, mark, name); {
	case failure == nil:
		return err
	case err != nil:
		return fmt.Errorf("%w; %w", failure, err)
	}
	return failure
}

// Remove implements port.Manager.
func (m *Manager) Remove(ctx context.Context, name string) error {
	if m.userInstalled != nil {
		by, err := m.userInstalled(m, ctx, name)
		if errors.Is(err, port.ErrBusy) {
			return err
		}
		if by || err != nil {
			m.memory.userInstalled = append(m.memory.userInstalled, name)
		}
	}
	return m.transact(ctx, m.remove, name)
}

// LastLines returns the last lines of the last transaction.
func (m *Manager) LastLines() string { return m.memory.lastLines }

// transact runs the manager to change something. A success is one by its exit code.
func (m *Manager) transact(ctx context.Context, args []string, name string) error {
	if m.database.checkLock != nil {
		if err := m.database.checkLock(m, ctx); err != nil {
			return err
		}
	}
	args = slices.Concat(args, m.transactionOptions)
	r, err := m.run(ctx, false, args, name)
	m.memory.transacted(r)
	if err == nil && r.Code != 0 && !slices.Contains(m.successCodes, r.Code) {
		err = exitError(fmt.Sprintf("%s: exit code %d: %s", m.Name, r.Code, r.LastLines()))
	}
	return err
}

// exitError says with which exit code a manager failed, and its last lines.
type exitError string

func (e exitError) Error() string { return string(e) }

// MayPass is always true: another process can take the database between our look at its lock and
// the manager's, and not every manager says that this is why it failed.
func (e exitError) MayPass() bool { return true }

// busyError says who uses the manager, or its database.
type busyError string

func (e busyError) Error() string { return string(e) }
func (e busyError) Unwrap() error { return port.ErrBusy }

// ask runs the manager to ask what it would do.
func (m *Manager) ask(ctx context.Context, args []string, name string) (process.Result, error) {
	return m.run(ctx, m.CheckMode, args, name)
}

// run runs the manager, in the throw-away view if so. The error wraps port.ErrBusy while another
// process uses the manager.
func (m *Manager) run(ctx context.Context, throwaway bool, args []string, name string) (process.Result, error) {
	if m.dbElsewhere {
		return process.Result{}, fmt.Errorf("%w: %s", errUnchangeable, m.readOnly)
	}
	if !port.IsName(name) {
		return process.Result{}, fmt.Errorf("%.100q cannot be the name of a package", name)
	}
	if err := m.checkConfiguration(); err != nil {
		return process.Result{}, err
	}
	if !throwaway { // in the view the manager has locks of its own
		for _, file := range m.locks {
			if err := m.checkFileLock(file); err != nil {
				return process.Result{}, err
			}
		}
	}
	c := &process.Command{
		Program: m.program, Args: slices.Concat(m.rootArgs(m.rootOptions), args, []string{name}),
		Environment: environment, Starter: m.starter(throwaway),
	}
	r, err := c.Run(ctx)
	if err == nil && m.busy != nil && m.busy(r) {
		err = busyError(textOf(r.Stdout + "\n" + r.Stderr))
	}
	return r, err
}

// rootArgs returns what tells a program about another root, by options of its own.
func (m *Manager) rootArgs(options []string) []string {
	args := []string{}
	if m.root == "/" {
		return args
	}
	for _, option := range options {
		if strings.HasSuffix(option, "=") {
			option += m.root
		}
		args = append(args, option)
	}
	return args
}

var rootOption = []string{"--root="}

// query asks a program that only reads the database.
func (m *Manager) query(ctx context.Context, program string, args ...string) (process.Result, error) {
	return m.startQuery(program, args...)(ctx)
}

// startQuery begins what query does.
func (m *Manager) startQuery(program string, args ...string) (wait func(context.Context) (process.Result, error)) {
	c := &process.Command{
		Program: program, Args: slices.Concat(m.rootArgs(m.database.rootOptions), m.dbDirArgs(), args),
		Environment: queryEnvironment,
		Starter:     m.queryStarter,
	}
	if err := m.checkConfiguration(); err != nil {
		return func(context.Context) (process.Result, error) { return process.Result{}, err }
	}
	return c.Start()
}

// checkConfiguration returns an error where the database's program would wait for a file of its
// configuration, or read it without end.
func (m *Manager) checkConfiguration() error {
	if m.database == nil {
		return nil
	}
	for _, file := range m.database.configuration {
		info, err := m.files.Stat(file)
		switch {
		case err != nil || info.Dir() || info.Null():
		case !info.Regular():
			return fmt.Errorf("run %s: %s is %s, which it cannot read: remove it", m.database.program, m.under(file),
				info.Kind())
		case info.Size > databaseLimit:
			return fmt.Errorf("run %s: %s has %d bytes, which no such file needs: remove it", m.database.program,
				m.under(file), info.Size)
		}
	}
	return nil
}

// dbDirArgs returns what tells a program where the database lies, if it has to be told.
func (m *Manager) dbDirArgs() []string {
	if m.dbDir == "" {
		return nil
	}
	return []string{m.database.dbDirOption + m.dbDir}
}

// under returns where a file of the tree lies.
func (m *Manager) under(file string) string { return filepath.Join(m.root, file) }

// databaseLimit bounds a package manager's files; the largest real ones have some ten megabytes.
const databaseLimit = 64 << 20

// readFile reads a file of a package manager's. Where there is none, that is fs.ErrNotExist.
func (m *Manager) readFile(name string) (string, error) {
	f, err := m.files.Read(name, databaseLimit)
	return string(f.Content), err
}
