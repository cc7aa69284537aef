// SPDX-License-Identifier: GPL-3.0-or-later

package printable

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestText: each row is a text that a terminal would obey, with the text shown in its place, first
// in lines and then on one line.
func TestText(t *testing.T) {
	fine := "plain ünï 日本 𝄞 \\ \\x1b \" ' \ufffd"
	for text, want := range map[string]struct{ text, line string }{
		"":                               {},
		fine:                             {fine, fine},
		"\x1b[2J\x1b]0;t\a":              {`\x1b[2J\x1b]0;t\a`, `\x1b[2J\x1b]0;t\a`},
		"\x1b]8;;http://x\x1b\\y":        {`\x1b]8;;http://x\x1b\y`, `\x1b]8;;http://x\x1b\y`},
		"a\r\nb\tc\n":                    {"a\\r\nb\tc\n", `a\r\nb` + "\t" + `c\n`},
		"a\b\x00\x7f\v\f":                {`a\b\x00\x7f\v\f`, `a\b\x00\x7f\v\f`},
		"\u0085\u009b2J\u00a0\u00ad":     {`\u0085\u009b2J\u00a0\u00ad`, `\u0085\u009b2J\u00a0\u00ad`},
		"\u202e\u2066\u200f\u061c\ufeff": {`\u202e\u2066\u200f\u061c\ufeff`, `\u202e\u2066\u200f\u061c\ufeff`},
		"\u2028\u2029":                   {`\u2028\u2029`, `\u2028\u2029`},
		"\U000e0041\U0010ffff":           {`\U000e0041\U0010ffff`, `\U000e0041\U0010ffff`},
		"\xff\xc0\xafé":                  {`\xff\xc0\xafé`, `\xff\xc0\xafé`},
		"\xe2\x82\xed\xa0\x80":           {`\xe2\x82\xed\xa0\x80`, `\xe2\x82\xed\xa0\x80`},
	} {
		if got := Text(text); got != want.text {
			t.Errorf("%q in lines is %q, want %q", text, got, want.text)
		}
		if got := Line(text); got != want.line {
			t.Errorf("%q on one line is %q, want %q", text, got, want.line)
		}
	}
	if got := Cut(strings.Repeat("ü", 9), 5); got != "üü…" {
		t.Errorf("cut between two characters: %q", got)
	}
}

// TestActionPluginAgrees: the action plugin shows each text as the program does.
func TestActionPluginAgrees(t *testing.T) {
	top := filepath.Join("..", "..", "..")
	python := filepath.Join(top, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("cannot run here: ansible-core is not set up (make setup)")
	}
	file, err := filepath.Abs(filepath.Join(top, "plugins", "plugin_utils", "program.py"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	texts := [][]byte{
		nil, []byte("a\r\n\t\\b"), []byte("\u202e\u2066\ufffd\U000e0041\U0010ffff𝄞"),
		[]byte("\xff\xc0\xaf\xe2\x82\xed\xa0\x80"),
	}
	for first := rune(0); first < 0x3000; first += 0x100 {
		var text []byte
		for r := first; r < first+0x100; r++ {
			// Of the others, some are newer than some Pythons.
			if r < 0x500 || unicode.In(r, unicode.C, unicode.Z) {
				text = utf8.AppendRune(text, r)
			}
		}
		texts = append(texts, text)
	}
	const ask = `
import base64, json, sys
request = json.load(sys.stdin)
program = {"__name__": "program", "__file__": request["file"]}
exec(request["source"], program)
texts = [base64.b64decode(text or "").decode("utf-8", "surrogateescape") for text in request["texts"]]
print(json.dumps([[program["printable"](text, lines=lines) for lines in (True, False)] for text in texts]))`
	request, err := json.Marshal(map[string]any{"file": file, "source": string(source), "texts": texts})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", ask)
	cmd.Stdin = bytes.NewReader(request)
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers [][2]string
	if err := json.Unmarshal(output, &answers); err != nil || len(answers) != len(texts) {
		t.Fatal(len(answers), err)
	}
	for i, text := range texts {
		if want := [2]string{Text(string(text)), Line(string(text))}; answers[i] != want {
			t.Errorf("%q is\n%q\nto the action plugin, and\n%q here", text, answers[i], want)
		}
	}
}

// FuzzText: the only unprintable characters in shown text are line breaks and tabs. Printable text
// stays the same. Text that was shown once is shown the same again.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "a", "\x1b[2J", "\u202e\n\t", "\xff", "\ufffd\xef\xbf", "é\u0085"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		harmless := utf8.ValidString(text)
		for _, r := range text {
			harmless = harmless && (strconv.IsPrint(r) || r == '\n' || r == '\t')
		}
		for name, c := range map[string]struct {
			show  func(string) string
			other string
		}{"Text": {Text, "\n\t"}, "Line": {Line, "\t"}} {
			got := c.show(text)
			if !utf8.ValidString(got) {
				t.Fatalf("%s of %q is no UTF-8: %q", name, text, got)
			}
			for _, r := range got {
				if !strconv.IsPrint(r) && !strings.ContainsRune(c.other, r) {
					t.Fatalf("%s of %q has %q: %q", name, text, r, got)
				}
			}
			if harmless && (name == "Text" || !strings.Contains(text, "\n")) && got != text {
				t.Fatalf("%s of %q, which was printable, is %q", name, text, got)
			}
			if again := c.show(got); again != got {
				t.Fatalf("%s of %q is %q, and then %q", name, text, got, again)
			}
		}
	})
}

// Everything is a report with a string in each place that one can stand in.
type Everything struct {
	Plain    string
	Named    named
	Pointer  *string
	Nil      *string
	List     []string
	Structs  []Inner
	Map      map[string][]string
	Any      any
	Kept     string            `lines:"keep"`
	KeptBy   any               `lines:"keep"`
	KeptMap  map[string]string `lines:"keep"`
	Number   int
	internal string
	*Inner
}

type (
	named string
	// Inner is embedded by a pointer, as Findings are.
	Inner struct{ Deep string }
)

func TestAll(t *testing.T) {
	const evil = "\x1b\n\xff"
	text := evil
	report := &Everything{
		Plain: evil, Named: evil, Pointer: &text, List: []string{evil, "fine"}, Structs: []Inner{{evil}},
		Map: map[string][]string{evil: {evil}}, Any: []any{evil, 1, nil, map[string]any{evil: evil}},
		Kept: evil, KeptBy: map[string]any{evil: []any{evil, json.Number("1.0")}},
		KeptMap: map[string]string{evil: evil},
		Number:  1, internal: evil, Inner: &Inner{evil},
	}
	All(report)
	const line, lines = `\x1b\n\xff`, "\\x1b\n\\xff"
	shown := line
	want := &Everything{
		Plain: line, Named: line, Pointer: &shown, List: []string{line, "fine"}, Structs: []Inner{{line}},
		Map: map[string][]string{line: {line}}, Any: []any{line, 1, nil, map[string]any{line: line}},
		Kept: lines, KeptBy: map[string]any{lines: []any{lines, json.Number("1.0")}},
		KeptMap: map[string]string{lines: lines},
		Number:  1, internal: evil, Inner: &Inner{line},
	}
	if !reflect.DeepEqual(report, want) {
		t.Errorf("got %+v\nwant %+v", report, want)
	}
	if got := All(evil); got != line {
		t.Errorf("a string alone is %q", got)
	}
	if got := All(nil); got != nil {
		t.Errorf("nothing is %v", got)
	}
}

// TestAllIsBounded: a text of megabytes is cut in a message, and stays whole in a diff.
func TestAllIsBounded(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	report := All(&Everything{Plain: long, Kept: long}).(*Everything)
	if len(report.Plain) > lineLimit+len("…") || !utf8.ValidString(report.Plain) || report.Kept != long {
		t.Errorf("%d bytes on one line, %d in lines", len(report.Plain), len(report.Kept))
	}
}

// BenchmarkAll is what each run pays: some hundred strings, all of them printable.
func BenchmarkAll(b *testing.B) {
	inner := make([]Inner, 100)
	list := make([]string, 100)
	for i := range list {
		inner[i].Deep = "/etc/sysctl.d/10-default-yama-scope.conf"
		list[i] = "a drop-in of the distribution sets 0 at the next boot"
	}
	report := &Everything{List: list, Structs: inner}
	for b.Loop() {
		All(report)
	}
}
