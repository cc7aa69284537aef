// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"strconv"
	"strings"
)

// maximum is YAMA_SCOPE_NO_ATTACH, the greatest value of security/yama/yama_lsm.c.
const maximum = 3

// numberLimit is TMPBUFLEN-1: a number of that length, with its sign, is refused.
const numberLimit = 21

// pageSize is the largest there is: of a longer value the kernel reads no more than a page,
// __do_proc_dointvec().
const pageSize = 64 << 10

// kernelBlanks is isspace() of lib/ctype.c, which counts Latin-1's no-break space.
const kernelBlanks = " \t\n\v\f\r\xa0"

// Number returns the scope the kernel reads from a value, and whether it accepts it:
// yama_dointvec_minmax() of security/yama/yama_lsm.c reads an integer and takes 0 to 3.
func Number(value string) (int, bool) {
	n, ok := integer(value)
	return n, ok && 0 <= n && n <= maximum
}

// integer returns the integer the kernel reads from a value: proc_get_long() of kernel/sysctl.c
// reads one number, decimal, octal (0…) or hexadecimal (0x…), and ignores what follows after a
// blank.
func integer(value string) (int, bool) {
	value = value[:min(len(value), pageSize)]
	for value != "" && strings.IndexByte(kernelBlanks, value[0]) >= 0 {
		value = value[1:]
	}
	value = value[:min(len(value), numberLimit)]
	if end := strings.IndexAny(value, " \t\n"); end >= 0 {
		value = value[:end]
	}
	if len(value) >= numberLimit {
		return 0, false
	}
	digits, negative := strings.CutPrefix(value, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	base := 10
	switch {
	case len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x':
		base, digits = 16, digits[2:]
	case digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 32)
	const most = 1<<31 - 1
	switch {
	case err != nil:
		return 0, false
	case negative && n <= most+1:
		return -int(n), true
	case n <= most:
		return int(n), true
	}
	return 0, false
}
