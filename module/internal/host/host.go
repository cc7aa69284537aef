// SPDX-License-Identifier: GPL-3.0-or-later

// Package host is the machine as it is: it reads the files, the kernel and the package database,
// and carries out the actions of a plan.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"hardening.yama/module/internal/async"
	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/packages"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/module/internal/tree"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// Host is one machine, or in tests a tree that looks like one.
type Host struct {
	// root is the name of the tree for programs that are told about it.
	root string
	tree *tree.Tree
	// image: what lies below root is the tree of an image being built. The running kernel is not
	// its own, nor are the locks.
	image   bool
	catalog schema.Catalog
	distro  schema.Distribution
	manager PackageManager
	// external: the package manager is the site's own.
	external bool
	loaders  sysctld.Loaders
	boot     ptrace.Boot
	// clue is the file that told the last thing about the boot, and failed the first failure of
	// such a question.
	clue   string
	failed error
	// unread are files that this user may not read, which is an answer only where nothing will be
	// changed.
	unread   []string
	readOnly bool
	// explain: Explain will be called. What it needs is asked together with the rest then.
	explain   bool
	owners    map[string]string
	requirers func() (map[string][]string, error)
	// stop ends the queries that are under way.
	stop context.CancelFunc
	// found are the files that name the key, by the names that loaders have for them, and listed
	// the names in directories.
	found  map[string]tree.File
	listed map[string][]string
	// links are the targets of those of them that are links out of their directory.
	links map[string]string
	// volume is how many bytes of drop-ins were read.
	volume int
	// made are the directories that this run made, and copied the files of which it made the copy.
	made   []string
	copied map[string]bool
}

// PackageManager is what a host needs of its package manager, and of the database of installed
// packages: a *driver.Driver. A question without an answer is an error, or the cause in an Offer or
// a Removal; absent is another answer.
type PackageManager interface {
	// Name returns the manager's name, ptrace.None where packages are left alone.
	Name() string
	// ReadOnly says why no package can be changed here, "" where they can.
	ReadOnly() string
	// HasDatabase reports whether there is a database of installed packages. It can be there
	// without a manager.
	HasDatabase() bool
	// StartInstalled asks which of the names are installed, and returns a function that waits for
	// the answer.
	StartInstalled(ctx context.Context, names []string) (wait func() ([]port.Package, error))
	// Owners returns the package of each of the files that has one, by the file.
	Owners(ctx context.Context, files []string) (map[string]port.Owner, error)
	// Requirers returns for each of the packages the installed ones that require it, directly or
	// not.
	Requirers(ctx context.Context, names []string) (map[string][]string, error)
	// Needers returns the installed packages that need a package themselves.
	Needers(ctx context.Context, name string) ([]string, error)
	// UserInstalled reports whether the user installed a package explicitly. An error means that
	// this is not known.
	UserInstalled(ctx context.Context, name string) (bool, error)
	// Offer returns what the repositories offer under any of the names, the first one that they do.
	Offer(ctx context.Context, names []string) ptrace.Offer
	// Removal returns what removing a package would also remove.
	Removal(ctx context.Context, name string) ptrace.Removal
	Install(ctx context.Context, name string) error
	Remove(ctx context.Context, name string) error
	// Err returns why the manager is asked nothing more, nil while it behaves.
	Err() error
	Close() error
}

// Config is what a host needs to be told.
type Config struct {
	// Catalog says what counts as a debugger, and names the enablers.
	Catalog schema.Catalog
	// ReadOnly: nothing is written while the host is asked, for check mode.
	ReadOnly bool
	// Explain: what was observed will have to be explained.
	Explain bool
	// Root is where the tree of an image lies that is being built, "" or / for the running host.
	Root string
	// Backend is the name of the package manager to use, "" for the distribution's own.
	Backend string
	// External starts a package manager of the site's own for the tree below a root; nil for a
	// built-in one.
	External func(root string) (PackageManager, error)
	// LockTimeout is how long a busy package manager is waited for.
	LockTimeout time.Duration
}

// New returns the host whose files are below root.
func New(root string, c Config) (*Host, error) {
	files, err := tree.Open(root)
	if err != nil {
		return nil, err
	}
	return open(files, root, c)
}

// NewImage returns the tree of an image that is being built, which lies at Config.Root. Others than
// root must not be able to write to any directory on the way there.
func NewImage(c Config) (*Host, error) {
	running, err := tree.Open("/")
	if err != nil {
		return nil, err
	}
	defer running.Close() //nolint:errcheck // only looked through
	dir, err := running.Trusted(c.Root)
	if err != nil {
		return nil, fmt.Errorf("open the root: %w", err)
	}
	if c.Root = dir.Path; c.Root == "/" {
		return open(dir.Tree(), "/", c)
	}
	files := dir.Tree()
	if info, err := files.Stat("/etc"); err != nil || !info.Dir() {
		return nil,
			fmt.Errorf("open the root: %s is not a directory: %s is no tree of a system, or it is not mounted",
				files.At("/etc"), c.Root)
	}
	for _, dir := range slices.Concat(sysctld.Dirs, packages.Places()) {
		if err := trust(files, dir); err != nil {
			return nil, fmt.Errorf("open the root: %w", err)
		}
	}
	return open(files, c.Root, c)
}

// trust returns an *Untrusted where others than root can change a directory, or one above it.
// Package managers read and write there by name.
func trust(files *tree.Tree, dir string) error {
	d, err := files.Trusted(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != "/" {
		return trust(files, path.Dir(dir))
	}
	var untrusted *tree.Untrusted
	if errors.As(err, &untrusted) {
		return err
	}
	if err == nil {
		_ = d.Close() // only looked at
	}
	return nil // what is no directory is told by who reads it
}

func open(files *tree.Tree, root string, c Config) (*Host, error) {
	h := &Host{
		root: root, tree: files, image: c.Root == root && root != "/", catalog: c.Catalog, readOnly: c.ReadOnly,
		explain: c.Explain,
	}
	release, err := h.osRelease()
	if err != nil {
		return nil, err
	}
	h.distro = h.catalog.Distribution(release["ID"], release["VERSION_ID"])
	if c.External != nil {
		return h, h.use(c.External)
	}
	manager, err := h.findManager(c.Backend, release["ID_LIKE"])
	if err != nil {
		return nil, err
	}
	manager.CheckMode = c.ReadOnly
	h.manager = driver.New(manager, driver.Config{CheckMode: c.ReadOnly, LockTimeout: c.LockTimeout})
	return h, nil
}

// findManager finds the package manager: the distribution's, or the one that was asked for.
func (h *Host) findManager(backend, like string) (*packages.Manager, error) {
	switch backend {
	case "":
		return packages.Find(h.tree, h.root, h.wanted(like))
	case ptrace.None:
		return packages.Find(h.tree, h.root, packages.Want{Every: true})
	}
	manager, err := packages.Find(h.tree, h.root, packages.Want{Managers: []string{backend}, Own: true})
	if err == nil && !manager.Is(backend) {
		err = fmt.Errorf("use %s as package manager: its program or its database is not here: leave backend out to have the host's own", backend)
	}
	return manager, err
}

// wanted returns the managers of the distribution. Where it is not known, those of the family in
// ID_LIKE come first, and all the others count, too: ID_LIKE does not say more, since a relative
// may have another kernel and another enabler.
func (h *Host) wanted(like string) packages.Want {
	w := packages.Want{Managers: h.distro.Managers, Own: h.distro.Name != "", Every: h.distro.Name == ""}
	if w.Own {
		return w
	}
	for _, id := range strings.Fields(like) {
		for i := range h.catalog.Distributions {
			relative := &h.catalog.Distributions[i]
			switch {
			case !slices.Contains(relative.IDs, id):
			case w.Own:
				w.Managers = append(w.Managers, relative.Managers...)
			default:
				w.Managers, w.Own = slices.Clone(relative.Managers), true
			}
		}
	}
	return w
}

// use starts an external package manager. The site's own packages may have an enabler, even if the
// distribution has none.
func (h *Host) use(external func(root string) (PackageManager, error)) error {
	if len(h.distro.Enablers) == 0 {
		h.distro.Enablers, h.distro.DropIns = h.catalog.Unknown.Enablers, h.catalog.Unknown.DropIns
	}
	if names, _ := h.catalog.Names(); schema.NamesOf(names).Open() {
		return errors.New("use a package manager plugin: it knows no patterns: " +
			"list the names of debuggers instead of a pattern with * or ?")
	}
	manager, err := external(h.root)
	h.manager, h.external = manager, true
	return err
}

// Close ends what was started for the host.
func (h *Host) Close() error {
	if h.stop != nil {
		h.stop()
	}
	if h.requirers != nil {
		_, _ = h.requirers() // an answer that nothing needs any more
	}
	_ = h.tree.Close()    // only looked through
	if h.manager == nil { // it could not be started
		return nil
	}
	return h.manager.Close()
}

// osRelease reads os-release(5). A host without one is of no known distribution.
func (h *Host) osRelease() (map[string]string, error) {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		f, err := h.tree.Read(name, factLimit)
		if err == nil {
			return parseOSRelease(string(f.Content)), nil
		}
		if !tree.Nobody(err) {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // absent is an answer here, and not an error
}

func parseOSRelease(content string) map[string]string {
	release := map[string]string{}
	for line := range strings.Lines(content) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			release[name] = unquoted(value)
		}
	}
	return release
}

// unquoted returns what a shell reads from a value: a text in quotes, or all before the first
// blank.
func unquoted(value string) string {
	ends := " \t;"
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		ends, value = value[:1], value[1:]
	}
	if end := strings.IndexAny(value, ends); end >= 0 {
		value = value[:end]
	}
	return value
}

// Observe reads what the host is like. It writes nothing and asks no package manager, only the
// package database.
func (h *Host) Observe(ctx context.Context) (o ptrace.Observed, err error) {
	if h.stop != nil {
		h.stop()
	}
	ctx, h.stop = context.WithCancel(ctx)
	// The package database answers while the files are read.
	names, programs := h.catalog.Names()
	asked := slices.Concat(h.distro.Enablers, names, h.catalog.TracerNames(), h.catalog.IncidentalRequirers)
	found := h.manager.StartInstalled(ctx, asked)
	asking := true
	defer func() {
		if asking { // a failure must not leave the query running
			h.stop()
			_, _ = found()
		}
	}()
	if err = h.runningKernel(&o); err != nil {
		return o, err
	}
	if o.Runtime == nil && o.RuntimeUnknown == "" {
		o.LSMs = h.lsms()
	}
	if o.Tree, err = h.SysctlTree(); err != nil {
		return o, err
	}
	if o.Own, err = h.ownFiles(); err != nil {
		return o, err
	}
	copies, err := h.copies()
	if err != nil {
		return o, err
	}
	if o.Leftovers, err = h.leftovers(copies); err != nil {
		return o, err
	}
	if o.Packaged, err = h.packaged(ctx, o.Tree); err != nil {
		return o, err
	}
	o.Loaders, o.Boot = h.loaders, &h.boot
	if h.boot.Tmpfiles = h.tmpfiles(); h.failed != nil {
		return o, h.failed
	}
	if o.Others, err = h.others(o, copies); err != nil {
		return o, err
	}
	o.Enabler = ptrace.Enabler{
		Manager: h.manager.Name(), ReadOnly: h.manager.ReadOnly(), Candidates: h.distro.Enablers,
		DropIns: h.distro.DropIns,
	}
	asking = false
	installed, err := found()
	if err != nil {
		return o, err
	}
	h.classify(installed, schema.NamesOf(names), &o)
	if h.explain {
		var brought []string
		for _, d := range o.Debuggers {
			brought = append(brought, d.Name)
		}
		h.requirers = async.Start(func() (map[string][]string, error) {
			return h.manager.Requirers(ctx, brought)
		})
	}
	handBuilt, err := h.handBuilt(schema.NamesOf(programs), o.Debuggers)
	o.Debuggers = append(o.Debuggers, handBuilt...)
	if o.Enabler.Installed == "" && len(o.Enabler.Candidates) > 0 {
		o.Repositories = h.repositories()
	}
	o.Unread = h.unread
	return o, err
}

// configured is where the managers are told which repositories there are.
var configured = []string{
	"/etc/yum.repos.d", "/etc/distro.repos.d", "/etc/dnf/dnf.conf", "/etc/zypp/repos.d", "/etc/apt/sources.list",
	"/etc/apt/sources.list.d",
	"/etc/pacman.conf", "/etc/apk/repositories",
}

// repositories tells when that was last changed. What a manager of the site's own has is not known.
func (h *Host) repositories() string {
	if h.external {
		return ""
	}
	var last time.Time
	look := func(info tree.Info, err error) {
		if changed := time.Unix(info.Mtim.Unix()); err == nil && changed.After(last) {
			last = changed
		}
	}
	for _, name := range configured {
		d, err := h.tree.Dir(name)
		if err != nil {
			look(h.tree.Stat(name)) // most are no directories, or not there
			continue
		}
		look(d.Lstat("."))
		names, _ := d.Names()
		for _, name := range names {
			look(d.Lstat(name))
		}
		_ = d.Close() // only read
	}
	return last.UTC().Format(time.RFC3339)
}

// classify sorts the installed packages into enablers, incidental requirers, debuggers and tracers.
func (h *Host) classify(installed []port.Package, debuggers schema.Names, o *ptrace.Observed) {
	tracers := schema.NamesOf(h.catalog.TracerNames())
	for _, p := range installed {
		switch {
		case slices.Contains(h.distro.Enablers, p.Name):
			if o.Enabler.Installed == "" {
				o.Enabler.Installed = p.Name
			}
		case slices.Contains(h.catalog.IncidentalRequirers, p.Name):
			o.Incidental = append(o.Incidental, ptrace.Debugger{Name: p.Name, Version: p.Version})
		case h.catalog.Counts(debuggers, p.Name):
			o.Debuggers = append(o.Debuggers, ptrace.Debugger{Name: p.Name, Version: p.Version})
		case h.catalog.Counts(tracers, p.Name):
			o.Tracers = append(o.Tracers, p.Name)
		}
	}
}

// handBuilt returns the debuggers that are there as programs. Those of a software collection are
// left out if the collection is a package's.
func (h *Host) handBuilt(programs schema.Names, packages []ptrace.Debugger) (found []ptrace.Debugger, err error) {
	dirs := slices.Clone(h.catalog.ProgramDirs)
	if !h.manager.HasDatabase() {
		dirs = append(dirs, "/usr/bin", "/usr/sbin") // no database to ask: the program itself is the evidence
	}
	for i := 0; i < len(dirs); i++ {
		dir, below, several := strings.Cut(dirs[i], "/*/")
		names, hidden, err := h.namesIn(dir)
		if hidden && h.readOnly {
			h.unread = append(h.unread, dir)
		}
		slices.Sort(names)
		for _, name := range names {
			file := path.Join(dir, name, below)
			if several {
				dirs = append(dirs, file)
				continue
			}
			if !h.catalog.Counts(programs, name) || h.inCollection(file, packages) {
				continue
			}
			info, problem := h.tree.Stat(file)
			switch {
			case problem == nil && info.Regular() && info.Mode&0o111 != 0:
				found = append(found, ptrace.Debugger{Name: name, Path: file})
			case problem != nil && !tree.Nobody(problem):
				err = problem
			}
		}
		if err != nil {
			return nil, fmt.Errorf("look for debuggers: %w", err)
		}
	}
	return found, nil
}

// collections is the directory of software collections. A package of the collection x has a name
// that begins with x-.
const collections = "/opt/rh/"

// inCollection reports whether a program belongs to a software collection of which a package was
// found, or is ignored.
func (h *Host) inCollection(program string, packages []ptrace.Debugger) bool {
	name, found := strings.CutPrefix(program, collections)
	name, _, _ = strings.Cut(name, "/")
	for _, p := range packages {
		if found && strings.HasPrefix(p.Name, name+"-") {
			return true
		}
	}
	return found && h.catalog.Ignores(name+"-"+path.Base(program))
}

// packaged finds the packages behind drop-ins outside /usr/lib that name the key, or behind what
// they are links to, where nobody changed them. Most hosts have none, and then nobody is asked.
func (h *Host) packaged(ctx context.Context, tree sysctld.Tree) (map[string]string, error) {
	targets := map[string]string{}
	known := map[string]bool{}
	var files []string
	for _, f := range tree {
		if !f.Names() || isOwn(f.Path) || f.Path == sysctld.CommandLine {
			continue
		}
		if sysctld.Vendors(f.Path) {
			if h.explain {
				files = append(files, f.Path)
			}
			continue
		}
		target := h.found[f.Path].Path
		targets[f.Path] = target
		if !known[target] {
			known[target] = true
			files = append(files, target)
		}
	}
	owners, err := h.manager.Owners(ctx, files)
	if err != nil {
		return nil, err
	}
	h.owners = map[string]string{}
	for file, owner := range owners {
		h.owners[file] = owner.Package
	}
	packaged := map[string]string{}
	for name, target := range targets {
		owner, owned := owners[target]
		if owned {
			h.owners[name] = owner.Package // a link has the owner of its target
		}
		if owned && !owner.Changed {
			packaged[name] = owner.Package
		}
	}
	return packaged, nil
}

// Answer asks the package manager what a decision hangs on.
func (h *Host) Answer(ctx context.Context, q ptrace.Question, o *ptrace.Observed) error {
	switch q {
	case ptrace.AskOffer:
		offer := h.manager.Offer(ctx, append(append([]string{}, o.Enabler.Candidates...), h.catalog.EnablerCapability))
		o.Enabler.Offer = &offer
	case ptrace.AskRemoval:
		removal := h.manager.Removal(ctx, o.Enabler.Installed)
		o.Enabler.Removal = &removal
	case ptrace.AskRequirers:
		h.excuse(ctx, o)
	case ptrace.NoQuestion:
	}
	// An external manager that does not behave is no answer to find a way around.
	if err := h.manager.Err(); err != nil {
		return err
	}
	return ctx.Err()
}

// Do carries out one action. A *ptrace.DoneNevertheless means that it took effect although
// something failed then; any other error means that the object is as it was.
func (h *Host) Do(ctx context.Context, a ptrace.Action) error {
	err := h.do(ctx, a)
	if tookEffect(err) {
		return &ptrace.DoneNevertheless{Cause: err}
	}
	return err
}

func (h *Host) do(ctx context.Context, a ptrace.Action) error {
	switch a.Kind {
	case ptrace.File:
		return h.replaceFile(a.Object, a.Before, a.After)
	case ptrace.Litter:
		return h.clear(*a.Before, a.After)
	case ptrace.Mask:
		if a.Before != nil && a.After != nil {
			return h.relink(a.Object, *a.Before, *a.After)
		}
		return h.setMask(a.Object, a.After != nil)
	case ptrace.Comment:
		return h.editFile(a.Object, *a.Before, *a.After)
	case ptrace.Package:
		if a.After != nil {
			return h.manager.Install(ctx, a.Object)
		}
		return h.manager.Remove(ctx, a.Object)
	case ptrace.Value:
		return h.setYamaPtraceScope(*a.After)
	}
	return fmt.Errorf("unknown kind of action %d", a.Kind)
}

// Permits returns an error where an action could not be carried out, since others than root can
// change the directory. It changes nothing.
func (h *Host) Permits(a ptrace.Action) error {
	switch a.Kind {
	case ptrace.File, ptrace.Litter, ptrace.Mask, ptrace.Comment:
	case ptrace.Package, ptrace.Value:
		return nil
	}
	return trust(h.tree, path.Dir(a.Object))
}
