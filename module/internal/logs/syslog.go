// SPDX-License-Identifier: GPL-3.0-or-later

package logs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// syslogLine renders an entry as syslog(3) does: RFC 3164, section 4.1.
func syslogLine(e entry) []byte {
	text := strings.Map(func(r rune) rune {
		if r != ' ' && !strconv.IsPrint(r) {
			return ' ' // whatever would end the line, or do something to a terminal
		}
		return r
	}, e.text)
	return fmt.Appendf(nil, "<%d>%s %s[%d]: %s", e.facility<<3|e.priority, time.Now().Format(time.Stamp), e.identifier,
		os.Getpid(), text)
}
