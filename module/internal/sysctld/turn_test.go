// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/sysctld"
)

// TestInTurn: the settings that stay one after the other are those that stay when each is commented
// out and the files are read again.
func TestInTurn(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 0))
	keys := []string{
		"kernel.yama.ptrace_scope", "kernel.yama.ptrace_scope", "kernel/yama/ptrace_scope", "kernel//yama/ptrace_scope",
		"kernel.yama.*", "kernel.yama.p*",
		"kernel//yama/p*", "kernel.{yama,x}.p*",
	}
	values := []string{"0", "0", "1", "1", "2", "3", "9"}
	longest := 0
	for range 1000 {
		contents := map[string]string{}
		for _, name := range []string{a, b, "/usr/lib/sysctl.d/c.conf", "/run/sysctl.d/[a-b].conf", conf, credential} {
			for range random.IntN(5) {
				key, value := pick(random, keys), pick(random, values)
				if random.IntN(12) == 0 {
					contents[name] += "-" + key + "\n"
				} else {
					contents[name] += key + " = " + value + "\n"
				}
			}
		}
		commandLine := []byte(strings.Repeat("sysctl.kernel.yama.ptrace_scope=2 ", random.IntN(2)))
		stays := pick(random, values)
		goes := func(s sysctld.Setting) bool {
			return s.Value != stays && s.Path != sysctld.CommandLine && !strings.HasPrefix(s.Path, "/usr/lib")
		}
		read := func(contents map[string]string) sysctld.Tree {
			tree := sysctld.Tree{sysctld.ReadCommandLine(commandLine, key)}
			for _, name := range []string{a, b, "/usr/lib/sysctl.d/c.conf", "/run/sysctl.d/[a-b].conf", conf,
				credential} {
				if content, there := contents[name]; there {
					tree = append(tree, sysctld.Loaders{}.Read(name, []byte(content), key))
				}
			}
			return tree
		}
		for _, loader := range []struct {
			name   string
			inTurn func(sysctld.Tree, func(sysctld.Setting) bool)
			stays  func(sysctld.Tree) (sysctld.Setting, bool)
		}{{"boot", sysctld.Tree.BootInTurn, sysctld.Tree.BootKept}, {"reload", sysctld.Tree.ReloadInTurn,
			sysctld.Tree.ReloadKept}} {
			var got, want []sysctld.Setting
			loader.inTurn(read(contents), func(s sysctld.Setting) bool {
				got = append(got, s)
				return goes(s)
			})
			left := map[string]string{}
			for name, content := range contents {
				left[name] = content
			}
			for {
				s, ok := loader.stays(read(left))
				if ok {
					want = append(want, s)
				}
				if !ok || !goes(s) {
					break
				}
				left[s.Path] = string(sysctld.Loaders{}.CommentOut([]byte(left[s.Path]), key,
					func(line int, _ string) bool { return line == s.Line }))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s of %q, %q stays:\n got %v\nwant %v", loader.name, fmt.Sprint(contents), stays, got, want)
			}
			longest = max(longest, len(want))
		}
	}
	if longest < 8 {
		t.Errorf("at most %d in turn were tried", longest)
	}
}
