// SPDX-License-Identifier: GPL-3.0-or-later

// Vulnerabilities runs govulncheck on both builds and fails if a known vulnerability can be
// reached. It prints the database that it used and its date. scripts/test runs it, from the top of
// the project.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	live = "https://vuln.go.dev"
	// copied is where a copy of the database may be, relative to the top of the project.
	copied = "../shared/vulndb"
	// patience is how long to wait for the live database. Some firewalls never answer.
	patience = 10 * time.Second
)

// builds are the tags of the two builds.
var builds = [...]struct{ name, tags string }{{"the everyday build", ""}, {"the build with plugins", "plugins"}}

func main() {
	ctx := context.Background()
	db, err := choose(ctx, os.Getenv("GOVULNDB"), live, copied)
	var none noDatabase
	switch {
	case errors.As(err, &none):
		fmt.Println("    govulncheck cannot run here:", none)
	case err == nil:
		fmt.Printf("    database: %s, %s\n", db.address, db.age(time.Now()))
		err = check(ctx, db.address, os.Stdout)
	}
	if err != nil && !errors.As(err, &none) {
		fmt.Fprintln(os.Stderr, "vulnerabilities:", err)
		os.Exit(1)
	}
}

// check runs govulncheck on each build. It returns an error if govulncheck finds a vulnerability
// that can be reached, or fails.
func check(ctx context.Context, address string, w io.Writer) error {
	var found []error
	for _, b := range builds {
		if _, err := fmt.Fprintf(w, "    %s:\n", b.name); err != nil {
			return err
		}
		// #nosec G204 -- the database is the user's own
		program := exec.CommandContext(ctx, "govulncheck", "-db", address, "-tags", b.tags, "./...")
		program.Stdout, program.Stderr = w, w
		if err := program.Run(); err != nil {
			found = append(found, fmt.Errorf("govulncheck of %s: %w", b.name, err))
		}
	}
	return errors.Join(found...)
}

// database is a database of vulnerabilities, as govulncheck takes it.
type database struct {
	address string
	date    time.Time // zero where it has none
}

// age returns the date in words.
func (d database) age(now time.Time) string {
	if d.date.IsZero() {
		return "which does not say its date"
	}
	return fmt.Sprintf("as of %s (%d days old)", d.date.Format(time.DateOnly), int(now.Sub(d.date).Hours()/24))
}

// noDatabase says why there is no database to ask.
type noDatabase string

func (n noDatabase) Error() string { return string(n) }

// choose returns the database that is named, otherwise the live one, otherwise the copy. If the
// named one cannot be read, that is an error. If there is none at all, the error is noDatabase.
func choose(ctx context.Context, named, live, copied string) (database, error) {
	if named != "" {
		db, err := open(ctx, named)
		if err != nil {
			err = fmt.Errorf("GOVULNDB: %w", err)
		}
		return db, err
	}
	db, unreachable := open(ctx, live)
	if unreachable == nil {
		return db, nil
	}
	copied, err := filepath.Abs(copied)
	if err != nil {
		return database{}, err
	}
	if _, err := os.Stat(copied); errors.Is(err, fs.ErrNotExist) {
		reason := fmt.Sprintf("%v; there is no copy at %s; GOVULNDB is not set", unreachable, copied)
		return database{}, noDatabase(reason)
	}
	return open(ctx, "file://"+copied)
}

// open reads the date of a database (https://go.dev/doc/security/vuln/database). In a partial copy
// "modified" may be the zero time. The date is then the first one in README.md.
func open(ctx context.Context, address string) (database, error) {
	text, err := read(ctx, address, "index/db.json")
	if err != nil {
		return database{}, err
	}
	var index struct{ Modified time.Time }
	if err := json.Unmarshal(text, &index); err != nil {
		return database{}, fmt.Errorf("read %s/index/db.json: %w", address, err)
	}
	if index.Modified.IsZero() {
		readme, _ := read(ctx, address, "README.md")
		date := regexp.MustCompile(`\d{4}-\d\d-\d\d`).Find(readme)
		index.Modified, _ = time.Parse(time.DateOnly, string(date))
	}
	return database{address, index.Modified}, nil
}

// read returns the text of a database's file. The address begins with https:, http: or file:.
func read(ctx context.Context, address, name string) ([]byte, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	transport.RegisterProtocol("file", http.NewFileTransport(http.Dir("/"))) // #nosec G111 -- the user's own
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	address = strings.TrimSuffix(address, "/") + "/" + name
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) // #nosec G704 -- the user's own
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request) // #nosec G704 -- the user's own
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", address, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, 1<<20))
}
