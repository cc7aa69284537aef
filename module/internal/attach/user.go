// SPDX-License-Identifier: GPL-3.0-or-later

package attach

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hardening.yama/module/internal/tree"
)

// span is a range of IDs, of users and of groups.
type span struct{ first, count int }

func (s span) has(id int) bool { return id >= s.first && id-s.first < s.count }

// high and low are ranges that systemd.io/UIDS-GIDS lists as unused. High is also above the IDs
// that SSSD computes for accounts (up to 2000200000, sssd-ldap(5)) and below those of Podman's
// containers (from 2147483647, podman-run(1)). A container with 65536 IDs has low.
var high, low = span{2_100_000_000, 47_352_576}, span{60578, 606}

const (
	overflow = 65534    // of the user nobody
	readMax  = 16 << 20 // bytes: an /etc/passwd of a quarter of a million accounts
)

// unusedID returns an ID that belongs to no process, to no account or group below root, and to no
// range that users may give to their containers. Root alone can signal or trace a process that has
// it: kill(2), ptrace(2). In a container with few IDs it is the overflow ID, or the last one, if no
// process has that.
func unusedID(root string, busy func(id int) bool) (int, error) {
	files, err := tree.Open(root)
	if err != nil {
		return 0, err
	}
	defer files.Close() //nolint:errcheck // only read
	read := func(name string) string {
		file, problem := files.Read(name, readMax)
		if problem != nil && !tree.Nobody(problem) {
			err = problem
		}
		return string(file.Content)
	}
	proc := "/proc/" + strconv.Itoa(os.Getpid())
	users, groups := mapped(read(proc+"/uid_map")), mapped(read(proc+"/gid_map"))
	accounts := read("/etc/passwd") + read("/etc/group")
	given := spans(read("/etc/subuid")+"\n"+read("/etc/subgid"), 1)
	if err != nil {
		return 0, err
	}
	pick, last := int(time.Now().UnixNano()%math.MaxInt32), users[len(users)-1]
	for i, id := range []int{
		high.first + pick%high.count, low.first + pick%low.count, overflow, last.first + last.count - 1,
	} {
		assigned := has(given, id) || strings.Contains(accounts, ":"+strconv.Itoa(id)+":") // passwd(5), group(5)
		if id > 0 && has(users, id) && has(groups, id) && !busy(id) && (i > 1 || !assigned) {
			return id, nil
		}
	}
	return 0, errors.New("this container has no user ID without processes for the test processes: " +
		"run the task on its host")
}

// hasProcesses tells whether a process of this PID namespace has that real user ID. getpriority(2)
// looks the user up in the kernel's own table first, so it is one fast call, and unlike a scan of
// /proc it sees each thread, whatever hidepid says.
func hasProcesses(id int) bool {
	_, err := syscall.Getpriority(syscall.PRIO_USER, id)
	return err != syscall.ESRCH
}

// mapped returns the IDs of this user namespace, from uid_map or gid_map: user_namespaces(7). A
// kernel without user namespaces has no such file, and all IDs.
func mapped(content string) []span {
	if found := spans(content, 0); found != nil {
		return found
	}
	return []span{{0, math.MaxUint32}}
}

// spans returns the ranges of lines with three fields. The last one is the number of IDs, and first
// is the index of the field with the first ID. Other lines are left out.
func spans(content string, first int) []span {
	var found []span
	for _, line := range strings.Split(strings.ReplaceAll(content, ":", " "), "\n") {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		id, err := strconv.Atoi(words[first])
		count, problem := strconv.Atoi(words[2])
		if err == nil && problem == nil {
			found = append(found, span{id, count})
		}
	}
	return found
}

// has tells whether one of the ranges has that ID.
func has(list []span, id int) bool {
	for _, s := range list {
		if s.has(id) {
			return true
		}
	}
	return false
}
