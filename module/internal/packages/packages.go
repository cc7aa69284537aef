// SPDX-License-Identifier: GPL-3.0-or-later

// Package packages asks and drives the host's package manager. Variation between managers is a row of a table; a query
// that fails is an error with its cause, never an answer.
package packages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/tree"
)

// Manager is a package manager of the host, and how to ask it: a row of the table.
type Manager struct {
	// Name is the manager's, ptrace.None where packages are left alone.
	Name string
	// ReadOnly throws away whatever the manager writes while it is asked, for check mode.
	ReadOnly bool
	// LockTimeout is how long another user of the package manager is waited for.
	LockTimeout time.Duration

	sealed   string     // why no package can be installed or removed here, "" where they can
	files    *tree.Tree // that it is about
	root     string     // its name, for programs
	program  string     // absolute: no PATH decides what runs as root
	database *database
	file     string // of the database, for messages
	place    string // where in the tree the database lies, "" where its program knows
	astray   bool   // the manager would look for the database elsewhere
	memory   *memory
	// atRoot are the manager's own options for another root, which is put behind those that end in =. Without any it has none.
	atRoot []string
	// lively: scriptlets, or hooks, run in another root all the same.
	lively bool
	// What a transaction to install would touch is asked by ask, and read by read. Where nothing is offered, complete says
	// whether that can be believed.
	ask      []string
	read     func(result) ([]string, error)
	complete func(Manager, context.Context) error
	// removal returns what a removal would take along.
	removal func(Manager, context.Context, string) ([]string, error)
	// install and remove are done; then mark, where install alone would make the package one that a person asked for. Where install
	// can say itself that nobody did, unasked says so.
	install, remove, mark, unasked []string
	// asked tells whether a person asked for an installed package. Without it that is not known, and nobody did.
	asked func(Manager, context.Context, string) (bool, error)
	// locks are files with a lock of fcntl(2) that the manager does not wait for, or waits for without end.
	locks []string
	// busy tells from an answer that somebody else is using the manager; fine, besides 0, are exit codes of success.
	busy func(result) bool
	fine []int
}

// database knows what is installed: a row of another table, since managers share them.
type database struct {
	// files: where one of them is there, and not empty, the database is in use.
	files []string
	// byName: its program does not enter another root, so that links there lead out of it.
	byName bool
	// program is what must be there to ask it, and atRoot its options for another root. Where it looks for the database in there is
	// what host evaluates to on this host; atPlace is the option for another directory. Without them it is the same everywhere.
	program, atPlace string
	atRoot, host     []string

	// installed begins to ask, and returns what waits for the answer.
	installed func(Manager, context.Context, []string) func() ([]Installed, error)
	owners    func(Manager, context.Context, []string) (map[string]string, error)
	unchanged func(Manager, context.Context, string, string) (bool, error)
	requirers func(Manager, context.Context, []string) (map[string][]string, error)
	// wait waits until nobody else has the database, where the managers do not.
	wait func(Manager, context.Context) error
}

// memory is what was read of a database, until a transaction changes it, and which of the packages that were removed a person
// may have asked for.
type memory struct {
	sync.Mutex
	paragraphs []paragraph
	wanted     []string
}

func (m *memory) forget() {
	m.Lock()
	defer m.Unlock()
	m.paragraphs = nil
}

// Installed is an installed package.
type Installed struct{ Name, Version string }

// managers are all that can be driven; databases are all that can be read, whoever fills them.
var (
	managers  = []Manager{dnf5, dnf, zypper, apt, pacman, apk}
	databases = []*database{&dpkgDatabase, &rpmDatabase, &alpmDatabase, &apkDatabase}
)

// How long a manager may take. Strings, so that a test can build the program with less patience (-ldflags -X).
var (
	askPatience         = "3m"
	transactionPatience = "15m"
)

func patience(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// queryDeadline is for programs that only read the database.
const queryDeadline = time.Minute

// Names returns the names of all managers.
func Names() []string {
	names := make([]string, 0, len(managers))
	for i := range managers {
		names = append(names, managers[i].Name)
	}
	return names
}

// row returns a manager's row of the table, nil where it has none.
func row(name string) *Manager {
	for i := range managers {
		if managers[i].Name == name {
			return &managers[i]
		}
	}
	return nil
}

// Find returns the first of the named managers that there is for the tree below a root, or none, and the database of what
// is installed there. The program is always the running host's: nothing of another tree is run. With expected, the host is of
// a distribution that has one of them, and a database that is missing is an error.
func Find(files *tree.Tree, root string, names []string, expected bool) (Manager, error) {
	found := Manager{Name: ptrace.None}
	there := map[*database]string{}
	for _, d := range databases {
		file, err := d.there(files)
		if err != nil {
			return found, fmt.Errorf("look for the package database: %w", err)
		}
		there[d] = file
	}
	usable := func(d *database) bool { return there[d] != "" && executable(d.program) }
	for _, name := range names {
		if m := row(name); m != nil && executable(m.program) && usable(m.database) {
			found = *m
			if successor := row(dnf5.Name); sameProgram(m.program, successor.program) {
				found = *successor // which has taken the name of dnf, too
			}
			break
		}
	}
	for _, d := range databases {
		if found.database == nil && usable(d) {
			found.database = d
		}
	}
	if expected && found.database == nil {
		for _, name := range names {
			if m := row(name); m != nil && executable(m.program) {
				return found, fmt.Errorf("look for the package database of %s: none of %s is there", m.Name, strings.Join(m.database.files, ", "))
			}
		}
	}
	found.files, found.root, found.memory = files, root, &memory{}
	if found.database != nil {
		found.file = files.At(there[found.database])
	}
	if d := found.database; root != "/" && d != nil {
		if err := found.settle(path.Dir(there[d])); err != nil {
			return found, err
		}
	}
	found.seal()
	return found, nil
}

// settle notes where the database of an image lies. Programs will read it that open whatever is there.
func (m *Manager) settle(place string) error {
	d := m.database
	if d.atPlace != "" {
		m.place = place
		for _, file := range d.files {
			dir := path.Dir(file)
			if filled, err := filled(m.files, file); err != nil || filled && !same(m.files, dir, place) {
				return errors.Join(err, fmt.Errorf(
					"look for the package database below %s: one is in %s, another in %s: remove the one that is not the tree's", m.root, place, dir))
			}
		}
	}
	if err := plain(m.files, place, d.byName, placeDepth); err != nil {
		return fmt.Errorf("look for the package database: %w", err)
	}
	return nil
}

// placeDepth is how deep a database's directory has others: pacman's has one for each package.
const placeDepth = 2

// plain returns an error where a directory of a database has something else than files and directories, or is reached by a
// link though that matters.
func plain(files *tree.Tree, dir string, byName bool, depth int) error {
	d, err := files.Dir(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only read
	if byName && d.Path != dir {
		return fmt.Errorf("%s is a link to %s, which may lead out of the tree for dpkg: put the directory itself there", files.At(dir), d.Path)
	}
	names, err := d.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := d.Lstat(name)
		switch {
		case err != nil:
			return err
		case info.Dir() && depth > 1:
			if err := plain(files, path.Join(dir, name), byName, depth-1); err != nil {
				return err
			}
		case !info.Dir() && !info.Regular():
			return fmt.Errorf("%s is %s, which no package database has: remove it", files.At(path.Join(dir, name)), info.Kind())
		}
	}
	return nil
}

// String returns the manager's name.
func (m Manager) String() string { return m.Name }

// Is tells whether it is the named manager, though the host may be an image's.
func (m Manager) Is(name string) bool {
	named := row(name)
	return named != nil && (named.program == m.program || sameProgram(named.program, m.program))
}

// Sealed says why no package can be installed or removed here, though there is a manager; "" where they can.
func (m Manager) Sealed() string { return m.sealed }

// there returns which of the files of a database is there, "" where none is.
func (d *database) there(files *tree.Tree) (string, error) {
	for _, file := range d.files {
		if is, err := filled(files, file); err != nil || is {
			return file, err
		}
	}
	return "", nil
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

func executable(program string) bool {
	info, err := os.Stat(program)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// sameProgram tells whether two names are one program's.
func sameProgram(a, b string) bool {
	one, _ := os.Stat(a)
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// same tells whether two names are one file's.
func same(files *tree.Tree, a, b string) bool {
	one, err := files.Stat(a)
	other, problem := files.Stat(b)
	return err == nil && problem == nil && one.Same(other)
}

// filled tells whether there is a file with something in it, or a directory. What is there and is neither is an error.
func filled(files *tree.Tree, file string) (bool, error) {
	info, err := files.Stat(file)
	switch {
	case tree.Nobody(err):
		return false, nil
	case err != nil:
		return false, err
	case !info.Dir() && !info.Regular():
		return false, fmt.Errorf("%s is %s, which no package database is: remove it", files.At(file), info.Kind())
	}
	return info.Dir() || info.Size > 0, nil
}

// databaseLimit bounds a package manager's files; the largest real ones have some ten megabytes.
const databaseLimit = 64 << 20

// readFile reads a file of a package manager's. Where there is none, that is fs.ErrNotExist.
func (m *Manager) readFile(name string) (string, error) {
	f, err := m.files.Read(name, databaseLimit)
	return string(f.Content), err
}

// Knows tells whether there is a database of what is installed, though packages may be left alone.
func (m Manager) Knows() bool { return m.database != nil }

// AskInstalled asks which of the names are installed. The answer, which is waited for, has them in their order; without a
// database that is none.
func (m Manager) AskInstalled(ctx context.Context, names []string) (answer func() ([]Installed, error)) {
	if !m.Knows() || len(names) == 0 {
		return func() ([]Installed, error) { return nil, nil }
	}
	return m.database.installed(m, ctx, names)
}

// reading is for databases that are files to read.
func reading(installed func(Manager, context.Context, []string) ([]Installed, error)) func(Manager, context.Context, []string) func() ([]Installed, error) {
	return func(m Manager, ctx context.Context, names []string) func() ([]Installed, error) {
		return Ask(func() ([]Installed, error) { return installed(m, ctx, names) })
	}
}

// Ask begins to look for an answer, and returns what waits for it.
func Ask[T any](look func() (T, error)) (wait func() (T, error)) {
	var answer T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer, err = look()
	}()
	runtime.Gosched() // that first: whoever asks has more to do until then
	return func() (T, error) {
		<-done
		return answer, err
	}
}

// Owners returns the package of each of the files that has one, changed or not.
func (m Manager) Owners(ctx context.Context, files []string) (map[string]string, error) {
	if !m.Knows() || len(files) == 0 {
		return map[string]string{}, nil
	}
	return m.database.owners(m, ctx, files)
}

// Unchanged tells whether a package's file has the content that it came with.
func (m Manager) Unchanged(ctx context.Context, owner, file string) (bool, error) {
	return m.database.unchanged(m, ctx, owner, file)
}

// Requirers returns for each of the packages the installed ones that require it, and those that require those.
func (m Manager) Requirers(ctx context.Context, names []string) (map[string][]string, error) {
	if !m.Knows() || len(names) == 0 {
		return map[string][]string{}, nil
	}
	return m.database.requirers(m, ctx, names)
}

// noManager is the cause where packages are left alone.
const noManager = "no package manager of this host can be used"

// errNotOffered is the answer that no repository has what was asked for.
var errNotOffered = errors.New("not offered")

// Offer asks what the repositories offer under any of the names, the first that they do. It never fails: a question
// without an answer is told as its cause.
func (m Manager) Offer(ctx context.Context, names []string) ptrace.Offer {
	if cause := m.idle(); cause != "" {
		return ptrace.Offer{Cause: cause}
	}
	for _, name := range names {
		touched, err := m.touched(ctx, name)
		if errors.Is(err, errNotOffered) {
			continue
		}
		if err != nil {
			return ptrace.Offer{Cause: fmt.Sprintf("%s install %s: %v", m.Name, name, err)}
		}
		// A capability is offered by a package of another name: the one that is named first.
		offered := touched[max(0, slices.Index(touched, name))]
		return ptrace.Offer{Package: offered, With: slices.DeleteFunc(touched, func(n string) bool { return n == offered })}
	}
	return ptrace.Offer{}
}

// idle says why there is nobody to install or remove a package, "" where there is.
func (m *Manager) idle() string {
	if m.sealed == "" && m.program == "" {
		return noManager
	}
	return m.sealed
}

// touched returns the names of all packages that an installation would touch.
func (m Manager) touched(ctx context.Context, name string) ([]string, error) {
	r, err := m.run(ctx, m.ReadOnly, askPatience, m.ask, name)
	if err != nil {
		return nil, err
	}
	touched, err := m.read(r)
	if errors.Is(err, errNotOffered) && m.complete != nil {
		if err := m.complete(m, ctx); err != nil {
			return nil, err
		}
	}
	return touched, err
}

// Removal asks whether a person asked for a package, which the notes tell also where nothing can be removed, and what removing
// it would take along. Like Offer it never fails.
func (m Manager) Removal(ctx context.Context, name string) (removal ptrace.Removal) {
	if m.asked != nil {
		var err error
		if removal.Asked, err = m.asked(m, ctx, name); err != nil {
			removal.Unknown = true
		}
		if err != nil && !errors.Is(err, errUntold) {
			removal.Cause = fmt.Sprintf("ask why %s is installed: %v", name, err)
		}
	}
	if cause := m.idle(); cause != "" {
		if removal.Cause == "" || strings.HasSuffix(removal.Cause, cause) {
			removal.Cause = cause
		} else {
			removal.Cause += "; " + cause
		}
	}
	if removal.Cause != "" {
		return removal
	}
	with, err := m.removal(m, ctx, name)
	if err != nil {
		removal.Cause = fmt.Sprintf("%s remove %s: %v", m.Name, name, err)
		return removal
	}
	removal.With = with
	return removal
}

// Install installs a package, and Remove removes it. They are done when the package database says so. What is put back, and a
// person may have asked for, is noted as asked for again.
func (m Manager) Install(ctx context.Context, name string) error {
	args, mark := slices.Concat(m.unasked, m.install), m.mark
	if slices.Contains(m.memory.wanted, name) {
		args, mark = m.install, nil
	}
	err := m.transact(ctx, args, name, true)
	var nevertheless *ptrace.DoneNevertheless
	if mark == nil || err != nil && !errors.As(err, &nevertheless) {
		return err
	}
	return errors.Join(err, m.markInstalled(ctx, name))
}

// markInstalled notes that nobody asked for a package by name.
func (m Manager) markInstalled(ctx context.Context, name string) error {
	r, err := m.run(ctx, false, transactionPatience, m.mark, name)
	if err == nil && r.code != 0 {
		err = r.failure(m.Name, m.mark, name)
	}
	if err != nil {
		return &ptrace.DoneNevertheless{Cause: err}
	}
	return nil
}

// Remove is the opposite of Install.
func (m Manager) Remove(ctx context.Context, name string) error {
	if m.asked != nil && m.idle() == "" {
		if asked, err := m.asked(m, ctx, name); asked || err != nil {
			m.memory.wanted = append(m.memory.wanted, name)
		}
	}
	return m.transact(ctx, m.remove, name, false)
}

func (m Manager) transact(ctx context.Context, args []string, name string, want bool) error {
	if cause := m.idle(); cause != "" {
		return errors.New(cause)
	}
	for attempt := 1; ; attempt++ {
		if m.database.wait != nil {
			if err := m.database.wait(m, ctx); err != nil {
				return err
			}
		}
		r, failure := m.run(ctx, false, transactionPatience, args, name)
		m.memory.forget()
		// Whatever the manager says, or however it ended: its database tells what came of it.
		installed, err := m.AskInstalled(context.WithoutCancel(ctx), []string{name})()
		if err != nil {
			if failure != nil {
				err = fmt.Errorf("%w; %w", failure, err)
			}
			return err
		}
		done, success := (len(installed) > 0) == want, r.code == 0 || slices.Contains(m.fine, r.code)
		if failure == nil && done && success {
			return nil
		}
		if failure == nil {
			failure = r.failure(m.Name, args, name)
		} else {
			attempt = attempts
		}
		if done {
			return &ptrace.DoneNevertheless{Cause: failure}
		}
		// Somebody may have taken the database between our look and the manager's; not all of them say so.
		if attempt == attempts || success {
			return failure
		}
	}
}

const attempts = 2

// run runs the manager when nobody has its locks, and again for as long as it says that somebody else is using it.
func (m Manager) run(ctx context.Context, readOnly bool, deadline string, args []string, name string) (result, error) {
	if m.astray {
		return result{}, errors.New(m.sealed)
	}
	args = append(m.rootArgs(m.atRoot), args...)
	if name != "" {
		args = append(args, name)
	}
	for until := time.Now().Add(m.LockTimeout); ; time.Sleep(500 * time.Millisecond) {
		for _, file := range m.locks {
			if readOnly {
				break // it has locks of its own there
			}
			if err := m.waitForLock(ctx, m.Name, file, until); err != nil {
				return result{}, err
			}
		}
		r, err := m.execute(ctx, readOnly, patience(deadline), m.program, args...)
		if err != nil || m.busy == nil || !m.busy(r) {
			return r, err
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if time.Now().After(until) {
			return r, fmt.Errorf("wait for %s: another process has been using it for %s: wait for it to end, or raise lock_timeout: %s",
				m.Name, m.LockTimeout, r.lastLines())
		}
	}
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
func (m Manager) query(ctx context.Context, program string, args ...string) (result, error) {
	return m.beginQuery(ctx, program, args...)()
}

func (m Manager) beginQuery(ctx context.Context, program string, args ...string) func() (result, error) {
	args = slices.Concat(m.rootArgs(m.database.atRoot), m.placeArgs(), args)
	return begin(ctx, m.harmless, queryDeadline, queryEnvironment, program, args...)
}

// placeArgs returns what tells a program where the database lies, if it has to be told.
func (m *Manager) placeArgs() []string {
	if m.place == "" {
		return nil
	}
	return []string{m.database.atPlace + m.place}
}

// under returns where a file of the tree lies.
func (m *Manager) under(file string) string { return filepath.Join(m.root, file) }
