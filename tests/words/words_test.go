// SPDX-License-Identifier: GPL-3.0-or-later

package words_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"hardening.yama/tests/words"
)

// update has the tests write allowed.txt anew. The sum of each rule can only become smaller.
var update = flag.Bool("update", false, "lower the numbers in allowed.txt to the present ones")

const (
	top = "../.."

	longestSentence = 30 // words; aim at 25
	commentWidth    = 100
	codeWidth       = 120
	tabWidth        = 4
	longestSubject  = 72
)

// files returns the project's own files. The modified module in third_party has its own style.
func files(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(allFiles(t), func(name string) bool {
		return strings.HasPrefix(name, "third_party/")
	})
}

// allFiles returns the files that Git has, and those that it would add.
func allFiles(t *testing.T) []string {
	t.Helper()
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	list.Dir = top
	output, err := list.Output()
	if err != nil {
		t.Skipf("git does not list the files of this tree: %v", err)
	}
	var found []string
	for line := range strings.Lines(string(output)) {
		name := strings.TrimSuffix(line, "\n")
		info, err := os.Lstat(filepath.Join(top, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().IsRegular() {
			found = append(found, name)
		}
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// prose returns the texts for users and for contributors. It reads schema/ instead of the files
// that are made from it.
func prose(t *testing.T) []words.Text {
	t.Helper()
	var all []words.Text
	for _, name := range files(t) {
		var keys []string
		switch {
		case path.Ext(name) == ".md":
			all = append(all, words.Markdown(name, read(t, name))...)
			continue
		case name == "Makefile":
			for i, line := range strings.Split(read(t, name), "\n") {
				if _, help, found := strings.Cut(line, "## "); found && !strings.HasPrefix(line, "\t") {
					all = append(all, words.Text{File: name, Line: i + 1, Text: help})
				}
			}
			all = append(all, words.Comments(name, read(t, name))...)
			continue
		case strings.HasPrefix(name, "scripts/"), strings.HasPrefix(name, ".ci/"):
			all = append(all, words.Comments(name, read(t, name))...)
			continue
		case path.Ext(name) != ".yml" && path.Ext(name) != ".yaml":
			continue
		case strings.HasPrefix(name, "schema/"):
			keys = []string{"description", "short_description", "notes", "name", "link", "fail_msg"}
		case strings.HasPrefix(name, "changelogs/fragments/"):
			keys = []string{
				"release_summary", "major_changes", "minor_changes", "breaking_changes", "deprecated_features",
				"removed_features", "security_fixes", "bugfixes", "known_issues", "trivial",
			}
		case name == "galaxy.yml":
			keys = []string{"description"}
		case strings.HasSuffix(name, "argument_specs.yml"):
			continue
		case strings.HasPrefix(name, "roles/"), strings.HasPrefix(name, "playbooks/"):
			keys = []string{"name", "description", "fail_msg"}
		default:
			continue
		}
		texts, err := words.YAML(name, []byte(read(t, name)), keys...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, words.Comments(name, read(t, name))...)
		for i := range texts {
			texts[i].Text = aboutPlugins.ReplaceAllString(texts[i].Text, "")
		}
		all = append(all, texts...)
	}
	return all
}

// aboutPlugins begins a change note: the plugins that it is about.
var aboutPlugins = regexp.MustCompile(`^[a-z_]+(, [a-z_]+)* - `)

// found counts violations of a rule in files, and says where they are.
type found map[string][]string

func (f found) add(file string, line int, text string) {
	f[file] = append(f[file], fmt.Sprintf("%s:%d: %s", file, line, text))
}

// hold fails where a file has more violations of a rule than allowed.txt lets it.
func hold(t *testing.T, rule, advice string, have found) {
	t.Helper()
	all := readAllowed(t)
	if *update {
		lower(t, all, rule, have)
		return
	}
	fewer := 0
	for file, places := range have {
		if limit := all[rule][file]; len(places) > limit {
			t.Errorf("%s: %d, allowed are %d in %s. %s\n\t%s",
				rule, len(places), limit, file, advice, strings.Join(places, "\n\t"))
		}
	}
	for file, limit := range all[rule] {
		fewer += max(0, limit-len(have[file]))
	}
	if fewer > 0 {
		t.Logf("%s: %d fewer than allowed.txt says: `go test ./tests/words -update` lowers it", rule, fewer)
	}
}

// allowed are the numbers that are let pass, by rule and file.
type allowed map[string]map[string]int

const allowedHeader = `# SPDX-License-Identifier: GPL-3.0-or-later
#
# Violations of the rules of tests/words that are older than the rules: rule, number, file.
# A file must not have more. "go test ./tests/words -update" writes the present numbers. It fails if a sum grows.
`

func readAllowed(t *testing.T) allowed {
	t.Helper()
	all := allowed{}
	lines := bufio.NewScanner(strings.NewReader(read(t, "tests/words/allowed.txt")))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		number, err := strconv.Atoi(fields[min(1, len(fields)-1)])
		if len(fields) != 3 || err != nil {
			t.Fatalf("allowed.txt: %q is not a rule, a number and a file", line)
		}
		if all[fields[0]] == nil {
			all[fields[0]] = map[string]int{}
		}
		all[fields[0]][fields[2]] = number
	}
	return all
}

func lower(t *testing.T, all allowed, rule string, have found) {
	t.Helper()
	before, now := 0, 0
	for _, n := range all[rule] {
		before += n
	}
	numbers := map[string]int{}
	for file, places := range have {
		numbers[file] = len(places)
		now += len(places)
	}
	if now > before && len(all[rule]) > 0 {
		t.Fatalf("%s: there are %d now, and allowed.txt has %d: the sum must not grow", rule, now, before)
	}
	all[rule] = numbers
	var lines []string
	for rule, numbers := range all {
		for file, n := range numbers {
			lines = append(lines, fmt.Sprintf("%-14s %4d %s\n", rule, n, file))
		}
	}
	slices.Sort(lines)
	content := allowedHeader + strings.Join(lines, "")
	if err := os.WriteFile("allowed.txt", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSentences: no sentence is longer than a reader can hold.
func TestSentences(t *testing.T) {
	have, sum, count := found{}, 0, 0
	for _, text := range prose(t) {
		for _, s := range text.Sentences() {
			n := s.Words()
			if sum, count = sum+n, count+1; n > longestSentence {
				have.add(s.File, s.Line, fmt.Sprintf("%d words: %s", n, s.Text))
			}
		}
	}
	if count == 0 {
		t.Fatal("no sentence was read")
	}
	t.Logf("%d sentences, %.1f words on average", count, float64(sum)/float64(count))
	hold(t, "sentence", fmt.Sprintf("At most %d words: make two sentences of it.", longestSentence), have)
}

// riddles begin a sentence whose subject is a clause, or nobody.
var riddles = []string{"what", "whatever", "who", "whoever", "whose", "nobody", "somebody"}

// riddle is such a clause within a sentence.
var riddle = regexp.MustCompile(`[;:] (` + strings.Join(riddles, "|") + `) `)

// TestOpenings: a sentence names its subject.
func TestOpenings(t *testing.T) {
	have := found{}
	for _, text := range prose(t) {
		for _, s := range text.Sentences() {
			first := slices.Contains(riddles, strings.ToLower(s.First()))
			if (first || riddle.MatchString(s.Text)) && !s.IsQuestion() {
				have.add(s.File, s.Line, s.Text)
			}
		}
	}
	hold(t, "opening", "Name the subject.", have)
}

// oldNames are words that have another name now.
var oldNames = []struct {
	old *regexp.Regexp
	say string
}{
	{regexp.MustCompile(`(?i)catalogues?\b`), "catalog"},
	{
		regexp.MustCompile(`(?i)\bplugin[ -]?host\b|build-host|ptrace_scope_host\b|external_host\b`),
		"the build that runs plugins (ptrace_scope_plugins)",
	},
	{
		regexp.MustCompile(`module/backend|package backend|yama/backend|\bbackend\.(Manager|Host|Serve|Err[A-Z])`),
		"module/plugin",
	},
	{
		regexp.MustCompile(`how-it-works|decisions\.md`),
		"docs/files-and-conflicts.md, docs/packages.md, docs/logging-and-secrets.md, docs/hosts.md",
	},
	{regexp.MustCompile(`(scripts|tests)/fleet\b`), "tests/managers"},
	{regexp.MustCompile(`\bturns of\b|\bround turns\b`), "round trips"},
}

// oldDeclarations are names that nobody can guess the meaning of, by the kind of declaration.
var oldDeclarations = map[string][]string{
	"function": {
		"between", "after", "either", "orNull", "inWords", "calmly", "harmless", "apart", "alone", "sealed", "Sealed",
		"seal", "keep", "Keep", "keepFor", "kept", "AskInstalled", "Judge", "judge", "noted",
	},
	"field": {
		"lively", "astray", "fine", "complete", "there", "host", "sealed", "Sealed", "asked", "Asked", "unasked", "ask",
		"kept", "Keep",
	},
	"type": {"kept", "target", "place", "Verdict", "verdict"},
}

// TestOldNames: each thing has one name, that of the table in CONTRIBUTING.md's rules.
func TestOldNames(t *testing.T) {
	have := found{}
	for _, name := range files(t) {
		if strings.HasPrefix(name, "tests/words/") || !isText(name) {
			continue
		}
		content := read(t, name)
		for i, line := range strings.Split(content, "\n") {
			for _, o := range oldNames {
				if o.old.MatchString(line) {
					have.add(name, i+1, fmt.Sprintf("%q: say %s", o.old.FindString(line), o.say))
				}
			}
		}
		if path.Ext(name) == ".go" {
			oldIn(t, name, content, have)
		}
	}
	hold(t, "old-name", "Say the new one.", have)
}

// oldIn adds the declarations of a Go file that have an old name.
func oldIn(t *testing.T, name, content string, have found) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, content, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	look := func(kind string, id *ast.Ident) {
		if slices.Contains(oldDeclarations[kind], id.Name) {
			have.add(name, set.Position(id.Pos()).Line, kind+" "+id.Name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			look("function", n.Name)
		case *ast.TypeSpec:
			look("type", n.Name)
		case *ast.StructType:
			for _, field := range n.Fields.List {
				for _, id := range field.Names {
					look("field", id)
				}
			}
		}
		return true
	})
}

// isText tells whether a file is one that a person writes.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".svg", ".json", ".sum", ".txt":
		return false
	}
	return name != "LICENSE"
}

// TestWidths: comments and code in Go fit beside each other on a screen. A tab counts as four
// columns.
func TestWidths(t *testing.T) {
	comments, code := found{}, found{}
	for _, name := range files(t) {
		if path.Ext(name) != ".go" {
			continue
		}
		content := read(t, name)
		if generated.MatchString(content) {
			continue
		}
		for i, line := range strings.Split(content, "\n") {
			width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", strings.Repeat(" ", tabWidth)))
			comment := strings.HasPrefix(strings.TrimSpace(line), "//")
			switch {
			case comment && width > commentWidth:
				comments.add(name, i+1, fmt.Sprintf("%d columns", width))
			case !comment && width > codeWidth:
				code.add(name, i+1, fmt.Sprintf("%d columns", width))
			}
		}
	}
	hold(t, "comment-width", fmt.Sprintf("Wrap comments at %d columns.", commentWidth), comments)
	hold(t, "code-width", fmt.Sprintf("Wrap code at %d columns.", codeWidth), code)
}

// generated is the line that Go's tools know a generated file by.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TestSubjects: a commit's subject is `folder: verb object`, in the imperative. It checks the
// commits on top of the one that added this file.
func TestSubjects(t *testing.T) {
	git := func(args ...string) string {
		command := exec.Command("git", args...)
		command.Dir = top
		output, err := command.CombinedOutput()
		if err != nil {
			t.Skipf("git %s: %v: %s", args[0], err, output)
		}
		return string(output)
	}
	first := strings.Fields(git("log", "--diff-filter=A", "--format=%H", "--", "tests/words/words_test.go"))
	if len(first) == 0 {
		t.Skip("git does not know here which commit brought this test")
	}
	output := git("log", "--no-merges", "--ancestry-path", "--format=%h %s", first[len(first)-1]+"..HEAD")
	for line := range strings.Lines(output) {
		hash, subject, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if problem := problemOf(subject); problem != "" {
			t.Errorf("%s %q: %s", hash, subject, problem)
		}
	}
}

// folders begins a subject: one or several, or files.
var folders = regexp.MustCompile(`^[\w./*{},-]+(, [\w./*{},-]+)*: `)

// problemOf returns what is wrong with a subject, "" where nothing is.
func problemOf(subject string) string {
	prefix := folders.FindString(subject)
	if prefix == "" {
		return "it does not begin with the folder and a colon"
	}
	if n := utf8.RuneCountInString(subject); n > longestSubject {
		return fmt.Sprintf("it has %d characters, at most %d are allowed", n, longestSubject)
	}
	if strings.HasSuffix(subject, ".") {
		return "it ends with a full stop"
	}
	verb, _, _ := strings.Cut(strings.TrimPrefix(subject, prefix), " ")
	switch {
	case verb == "" || strings.ContainsFunc(verb, func(r rune) bool { return !unicode.IsLower(r) && r != '-' }):
		return fmt.Sprintf("%q is not a verb in lower case", verb)
	case slices.Contains(notVerbs, verb):
		return fmt.Sprintf("%q is not a verb", verb)
	case inflected.MatchString(verb) && !strings.HasSuffix(verb, "ss") && !slices.Contains(imperatives, verb):
		return fmt.Sprintf("%q is not in the imperative", verb)
	}
	return ""
}

// inflected matches most verbs that are not in the imperative, and imperatives some that are.
var (
	inflected   = regexp.MustCompile(`(ing|ed|s)$`)
	imperatives = []string{
		"bring", "ping", "string", "embed", "need", "feed", "seed", "speed", "exceed", "proceed", "shed", "focus",
		"alias",
	}
)

// notVerbs begin subjects that name no deed.
var notVerbs = []string{
	"a", "an", "the", "no", "not", "nothing", "nobody", "somebody", "what", "whatever", "who", "whoever", "where",
	"when", "how", "why", "all", "each", "every", "everything", "it", "its", "one", "two", "more", "less", "new",
	"old", "of", "in", "on", "at", "with", "without", "that",
}

func TestProblemOf(t *testing.T) {
	for subject, want := range map[string]string{
		"module: print nothing when the reply is empty":                    "",
		"module/internal/host: read the label before the rename":           "",
		"README, docs: say what each state does":                           "",
		"module: nothing is printed for nobody":                            "is not a verb",
		"module: the cache keeps what was sent":                            "is not a verb",
		"module: printed nothing":                                          "imperative",
		"module: prints nothing":                                           "imperative",
		"module: printing nothing":                                         "imperative",
		"module: Print nothing":                                            "lower case",
		"print nothing":                                                    "folder",
		"module: pass the error on":                                        "",
		"module: embed the table":                                          "",
		"module: print nothing.":                                           "full stop",
		"module: " + strings.Repeat("x", longestSubject-len("module: ")+1): "characters",
	} {
		got := problemOf(subject)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", subject, got, want)
		}
	}
}

// TestLinks: every relative link of a document leads to a file, and to a heading where it has an
// anchor.
func TestLinks(t *testing.T) {
	anchors := map[string][]string{}
	checked := 0
	for _, name := range files(t) {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, l := range words.Links(read(t, name)) {
			if strings.Contains(l.To, "://") || strings.HasPrefix(l.To, "mailto:") {
				continue
			}
			checked++
			to, anchor, _ := strings.Cut(l.To, "#")
			file := name
			if to != "" {
				file = path.Join(path.Dir(name), to)
			}
			info, err := os.Stat(filepath.Join(top, file))
			if err != nil || strings.HasPrefix(file, "../") || path.IsAbs(to) {
				t.Errorf("%s:%d: %s leads nowhere", name, l.Line, l.To)
				continue
			}
			if anchor == "" || info.IsDir() {
				continue
			}
			if anchors[file] == nil {
				anchors[file] = words.Anchors(read(t, file))
			}
			if !slices.Contains(anchors[file], anchor) {
				t.Errorf("%s:%d: %s has no heading #%s", name, l.Line, file, anchor)
			}
		}
	}
	if checked == 0 {
		t.Fatal("no link was checked")
	}
}

// TestReading: the reader of texts finds what it should, and no more.
func TestReading(t *testing.T) {
	const document = "# What it is\n\nOne sentence, with `a b c` and [a link](x.md#y).\n" +
		"The second e.g. goes on. `Third` one?\n\n```sh\nWhat is code is not read.\n```\n" +
		"<!-- Nobody reads this. -->\n- Whoever. Item\n  goes on.\n\n| a \\| b | Who? |\n|---|---|\n"
	var got []string
	for _, text := range words.Markdown("x", document) {
		for _, s := range text.Sentences() {
			got = append(got, fmt.Sprintf("%d %d %s", s.Line, s.Words(), s.Text))
		}
	}
	want := []string{
		"1 3 What it is", "3 7 One sentence, with CODE and a link.", "3 5 The second e.g. goes on.", "3 2 CODE one?",
		"10 1 Whoever.", "10 3 Item goes on.", "13 2 a | b", "13 1 Who?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	const fields = "# SPDX-License-Identifier: x\n# Who\n# knows.\n#   a  b\na:\n  description: [One, Two]\n" +
		"  name: three\n  contains:\n    b:\n      description: >-\n        Four\n        five\n"
	texts, err := words.YAML("x", []byte(fields), "description")
	var all bytes.Buffer
	for _, text := range append(words.Comments("x", fields), texts...) {
		fmt.Fprintf(&all, "%s|", text.Text)
	}
	if want := "Who knows. |a  b |One|Two|Four five|"; err != nil || all.String() != want {
		t.Errorf("got %s, %v; want %s", all.String(), err, want)
	}
}

// TestSamples: each sentence that RETURN shows as a sample is one that a test expects of the real
// program, or that a document shows as its output and that a test compares.
func TestSamples(t *testing.T) {
	var expected strings.Builder
	for _, name := range files(t) {
		switch {
		case strings.HasPrefix(name, "module/") && (path.Ext(name) == ".txtar" || strings.HasSuffix(name, "_test.go")),
			strings.HasPrefix(name, "scripts/"), name == "docs/hosts.md", name == "README.md":
			expected.WriteString(read(t, name))
		}
	}
	checked := 0
	for _, name := range []string{"schema/ptrace_scope.yml", "schema/ptrace_scope_info.yml"} {
		texts, err := words.YAML(name, []byte(read(t, name)), "sample")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if strings.Count(text.Text, " ") < 2 {
				continue
			}
			if checked++; !strings.Contains(expected.String(), text.Text) {
				t.Errorf("%s:%d: no test expects this of the program: %s", name, text.Line, text.Text)
			}
		}
	}
	if checked < 8 {
		t.Errorf("only %d samples are sentences", checked)
	}
}

// TestFirstChange runs the commands of CONTRIBUTING.md's first change in a copy of the tree.
func TestFirstChange(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and tests the program anew")
	}
	copied := t.TempDir()
	for _, name := range allFiles(t) {
		from, to := filepath.Join(top, name), filepath.Join(copied, name)
		info, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(read(t, name)), info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	steps := words.Commands(read(t, "CONTRIBUTING.md"), "sh first-change")
	if len(steps) < 4 {
		t.Fatalf("CONTRIBUTING.md has %d steps", len(steps))
	}
	run := func(steps []string) (string, error) {
		script := exec.Command("bash", "-ex", "-c", strings.Join(steps, "\n"))
		script.Dir = copied
		output, err := script.CombinedOutput()
		return string(output), err
	}
	if output, err := run(steps); err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	if _, err := run([]string{"sed -i '/name: lurk/d' schema/catalog.yml", steps[1], steps[3]}); err == nil {
		t.Error("the test of the first change passes without the change")
	}
}
