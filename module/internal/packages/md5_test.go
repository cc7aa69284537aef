// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	stdmd5 "crypto/md5"
	"fmt"
	"strings"
	"testing"
)

// FuzzMD5 holds the sum against the standard library's.
func FuzzMD5(f *testing.F) {
	for _, length := range []int{0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 1000} {
		f.Add(strings.Repeat("a", length))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := md5(text), fmt.Sprintf("%x", stdmd5.Sum([]byte(text))); got != want {
			t.Errorf("md5(%q) is %s, want %s", text, got, want)
		}
	})
}
