// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hardening.yama/module/internal/sysctld"
)

// TestIntegerOfTheKernel lets this machine's kernel judge random values. Yama's own key is the
// host's, and cannot be tried out; net.unix.max_dgram_qlen is read by the same code, has no range,
// and is there once for each network namespace.
func TestIntegerOfTheKernel(t *testing.T) {
	const key = "/proc/sys/net/unix/max_dgram_qlen"
	if os.Geteuid() != 0 {
		t.Skip("the kernel cannot be asked: that needs root, for a network namespace")
	}
	if _, err := os.Stat(key); err != nil {
		t.Skip("the kernel cannot be asked: ", err)
	}
	err := inNamespace(syscall.CLONE_NEWNET, func() {
		const seed, count = 1, 20000
		random := rand.New(rand.NewPCG(seed, 0))
		for range count {
			value := randomValue(random)
			got, err := ask(key, value)
			if err != nil {
				t.Error(err)
				return
			}
			want := "refused"
			if n, ok := sysctld.Integer(value); ok {
				want = strconv.Itoa(n)
			}
			if got != want {
				t.Errorf("%q: the kernel says %s, expected %s", value, got, want)
			}
		}
		t.Logf("seed %d: %d values by this kernel", seed, count)
	})
	if err != nil {
		t.Skip("the kernel cannot be asked: ", err)
	}
}

// ask writes a value as the loaders do, and returns what the kernel holds then, or that it refused.
func ask(key, value string) (string, error) {
	const before = "77"
	if err := os.WriteFile(key, []byte(before), 0o600); err != nil {
		return "", err
	}
	f, err := os.OpenFile(key, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	_, refusal := f.WriteString(value + "\n")
	if err := f.Close(); err != nil {
		return "", err
	}
	content, err := os.ReadFile(key)
	now := strings.TrimSpace(string(content))
	if refusal != nil {
		if now != before {
			return "", fmt.Errorf("%q was refused, and set %s: %w", value, now, refusal)
		}
		return "refused", err
	}
	return now, err
}

func randomValue(r *rand.Rand) string {
	pieces := []string{
		"0", "1", "2", "3", "4", "7", "8", "9", "00", "0x", "0X", "a", "F", "g", "-", "--", "+", " ", "\t", "\v", "\f",
		"\r", "\xa0", "\xc2\xa0", "_", ".", ",", "#", "x",
		"2147483647", "2147483648", "4294967296", "18446744073709551615", "18446744073709551617",
		"00000000000000000001", "000000000000000000001", "0x0000000000000001",
	}
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteString(pick(r, pieces))
	}
	return b.String()
}
