// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"strconv"
	"strings"
)

// kept returns the last of some writes that the kernel accepts. Once the value is 3 it accepts no other.
func kept(writes []Setting) (Setting, bool) {
	var now Setting
	set, locked := false, false
	for _, w := range writes {
		n, ok := Number(w.Value)
		if !ok || locked && n != maximum {
			continue
		}
		now, set, locked = w, true, n == maximum
	}
	return now, set
}

// maximum is YAMA_SCOPE_NO_ATTACH, the greatest value of security/yama/yama_lsm.c.
const maximum = 3

// digitsLimit is the length from which proc_get_long() of kernel/sysctl.c refuses a number.
const digitsLimit = 21

// kernelBlanks is isspace() of lib/ctype.c, which counts Latin-1's no-break space.
const kernelBlanks = " \t\n\v\f\r\xa0"

// Number returns the scope the kernel reads from a value, and whether it accepts it: proc_dointvec_minmax() of
// kernel/sysctl.c reads one number, decimal, octal (0…) or hexadecimal (0x…), and ignores what follows after a blank.
func Number(value string) (int, bool) {
	for value != "" && strings.IndexByte(kernelBlanks, value[0]) >= 0 {
		value = value[1:]
	}
	if end := strings.IndexAny(value, " \t\n"); end >= 0 {
		value = value[:end]
	}
	value, negative := strings.CutPrefix(value, "-")
	if value == "" || value[0] < '0' || value[0] > '9' || len(value) >= digitsLimit || strings.Contains(value, "_") {
		return 0, false
	}
	base := 10
	switch {
	case len(value) > 2 && (value[1] == 'x' || value[1] == 'X') && value[0] == '0':
		base, value = 16, value[2:]
	case value[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(value, base, 32)
	if err != nil || n > maximum || negative && n != 0 {
		return 0, false
	}
	return int(n), true
}
