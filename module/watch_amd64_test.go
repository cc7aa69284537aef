// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watchSocket in the environment is the descriptor on which a program sends its seccomp listener.
const watchSocket = "TEST_WATCH_SOCKET"

// watchCalls in the environment lists the numbers of the system calls to watch. Without it all are
// watched, except harmless ones.
const watchCalls = "TEST_WATCH_CALLS"

// call describes a system call: the arguments that name files, and whether it changes a file.
type call struct {
	name string
	// at holds pairs of arguments: the descriptor of a directory, and a path. cwd stands for the
	// descriptor where the call takes none.
	at [][2]int
	// fd holds the arguments that are descriptors.
	fd      []int
	changes bool
}

const cwd = -1

func at(pairs ...[2]int) [][2]int { return pairs }
func fd(arguments ...int) []int   { return arguments }

// calls holds the system calls that take a file. A call that is neither here nor in harmless fails
// the test.
var calls = map[int]call{
	unix.SYS_OPEN:              {name: "open", at: at([2]int{cwd, 0})},
	unix.SYS_OPENAT:            {name: "openat", at: at([2]int{0, 1})},
	unix.SYS_OPENAT2:           {name: "openat2", at: at([2]int{0, 1})},
	unix.SYS_CREAT:             {name: "creat", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_READLINK:          {name: "readlink", at: at([2]int{cwd, 0})},
	unix.SYS_READLINKAT:        {name: "readlinkat", at: at([2]int{0, 1})},
	unix.SYS_STAT:              {name: "stat", at: at([2]int{cwd, 0})},
	unix.SYS_LSTAT:             {name: "lstat", at: at([2]int{cwd, 0})},
	unix.SYS_NEWFSTATAT:        {name: "newfstatat", at: at([2]int{0, 1})},
	unix.SYS_STATX:             {name: "statx", at: at([2]int{0, 1})},
	unix.SYS_STATFS:            {name: "statfs", at: at([2]int{cwd, 0})},
	unix.SYS_ACCESS:            {name: "access", at: at([2]int{cwd, 0})},
	unix.SYS_FACCESSAT:         {name: "faccessat", at: at([2]int{0, 1})},
	unix.SYS_FACCESSAT2:        {name: "faccessat2", at: at([2]int{0, 1})},
	unix.SYS_EXECVE:            {name: "execve", at: at([2]int{cwd, 0})},
	unix.SYS_EXECVEAT:          {name: "execveat", at: at([2]int{0, 1})},
	unix.SYS_CHDIR:             {name: "chdir", at: at([2]int{cwd, 0})},
	unix.SYS_CHROOT:            {name: "chroot", at: at([2]int{cwd, 0})},
	unix.SYS_NAME_TO_HANDLE_AT: {name: "name_to_handle_at", at: at([2]int{0, 1})},
	unix.SYS_INOTIFY_ADD_WATCH: {name: "inotify_add_watch", at: at([2]int{cwd, 1})},
	unix.SYS_GETXATTR:          {name: "getxattr", at: at([2]int{cwd, 0})},
	unix.SYS_LGETXATTR:         {name: "lgetxattr", at: at([2]int{cwd, 0})},
	unix.SYS_LISTXATTR:         {name: "listxattr", at: at([2]int{cwd, 0})},
	unix.SYS_LLISTXATTR:        {name: "llistxattr", at: at([2]int{cwd, 0})},

	unix.SYS_MKDIR:        {name: "mkdir", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_MKDIRAT:      {name: "mkdirat", at: at([2]int{0, 1}), changes: true},
	unix.SYS_MKNOD:        {name: "mknod", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_MKNODAT:      {name: "mknodat", at: at([2]int{0, 1}), changes: true},
	unix.SYS_LINK:         {name: "link", at: at([2]int{cwd, 0}, [2]int{cwd, 1}), changes: true},
	unix.SYS_LINKAT:       {name: "linkat", at: at([2]int{0, 1}, [2]int{2, 3}), changes: true},
	unix.SYS_SYMLINK:      {name: "symlink", at: at([2]int{cwd, 1}), changes: true},
	unix.SYS_SYMLINKAT:    {name: "symlinkat", at: at([2]int{1, 2}), changes: true},
	unix.SYS_RENAME:       {name: "rename", at: at([2]int{cwd, 0}, [2]int{cwd, 1}), changes: true},
	unix.SYS_RENAMEAT:     {name: "renameat", at: at([2]int{0, 1}, [2]int{2, 3}), changes: true},
	unix.SYS_RENAMEAT2:    {name: "renameat2", at: at([2]int{0, 1}, [2]int{2, 3}), changes: true},
	unix.SYS_UNLINK:       {name: "unlink", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_RMDIR:        {name: "rmdir", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_UNLINKAT:     {name: "unlinkat", at: at([2]int{0, 1}), changes: true},
	unix.SYS_TRUNCATE:     {name: "truncate", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_CHMOD:        {name: "chmod", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_FCHMODAT:     {name: "fchmodat", at: at([2]int{0, 1}), changes: true},
	unix.SYS_FCHMODAT2:    {name: "fchmodat2", at: at([2]int{0, 1}), changes: true},
	unix.SYS_CHOWN:        {name: "chown", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_LCHOWN:       {name: "lchown", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_FCHOWNAT:     {name: "fchownat", at: at([2]int{0, 1}), changes: true},
	unix.SYS_UTIMENSAT:    {name: "utimensat", at: at([2]int{0, 1}), changes: true},
	unix.SYS_SETXATTR:     {name: "setxattr", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_LSETXATTR:    {name: "lsetxattr", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_REMOVEXATTR:  {name: "removexattr", at: at([2]int{cwd, 0}), changes: true},
	unix.SYS_LREMOVEXATTR: {name: "lremovexattr", at: at([2]int{cwd, 0}), changes: true},

	unix.SYS_READ:       {name: "read", fd: fd(0)},
	unix.SYS_PREAD64:    {name: "pread64", fd: fd(0)},
	unix.SYS_READV:      {name: "readv", fd: fd(0)},
	unix.SYS_GETDENTS64: {name: "getdents64", fd: fd(0)},
	unix.SYS_LSEEK:      {name: "lseek", fd: fd(0)},
	unix.SYS_FSTAT:      {name: "fstat", fd: fd(0)},
	unix.SYS_FSTATFS:    {name: "fstatfs", fd: fd(0)},
	unix.SYS_FCNTL:      {name: "fcntl", fd: fd(0)},
	unix.SYS_IOCTL:      {name: "ioctl", fd: fd(0)},
	unix.SYS_DUP:        {name: "dup", fd: fd(0)},
	unix.SYS_DUP2:       {name: "dup2", fd: fd(0)},
	unix.SYS_DUP3:       {name: "dup3", fd: fd(0)},
	unix.SYS_FCHDIR:     {name: "fchdir", fd: fd(0)},
	unix.SYS_FGETXATTR:  {name: "fgetxattr", fd: fd(0)},
	unix.SYS_FLISTXATTR: {name: "flistxattr", fd: fd(0)},
	unix.SYS_FLOCK:      {name: "flock", fd: fd(0)},
	unix.SYS_FADVISE64:  {name: "fadvise64", fd: fd(0)},
	unix.SYS_CLOSE:      {name: "close", fd: fd(0)},
	unix.SYS_EPOLL_CTL:  {name: "epoll_ctl", fd: fd(2)},

	unix.SYS_WRITE:           {name: "write", fd: fd(0), changes: true},
	unix.SYS_PWRITE64:        {name: "pwrite64", fd: fd(0), changes: true},
	unix.SYS_WRITEV:          {name: "writev", fd: fd(0), changes: true},
	unix.SYS_COPY_FILE_RANGE: {name: "copy_file_range", fd: fd(2), changes: true},
	unix.SYS_SENDFILE:        {name: "sendfile", fd: fd(0), changes: true},
	unix.SYS_SPLICE:          {name: "splice", fd: fd(2), changes: true},
	unix.SYS_FALLOCATE:       {name: "fallocate", fd: fd(0), changes: true},
	unix.SYS_FTRUNCATE:       {name: "ftruncate", fd: fd(0), changes: true},
	unix.SYS_FSYNC:           {name: "fsync", fd: fd(0), changes: true},
	unix.SYS_FDATASYNC:       {name: "fdatasync", fd: fd(0), changes: true},
	unix.SYS_SYNCFS:          {name: "syncfs", fd: fd(0), changes: true},
	unix.SYS_FCHMOD:          {name: "fchmod", fd: fd(0), changes: true},
	unix.SYS_FCHOWN:          {name: "fchown", fd: fd(0), changes: true},
	unix.SYS_FSETXATTR:       {name: "fsetxattr", fd: fd(0), changes: true},
	unix.SYS_FREMOVEXATTR:    {name: "fremovexattr", fd: fd(0), changes: true},
}

// harmless holds the system calls that take no file. mmap does, but Go maps memory only.
var harmless = []int{
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME,
	unix.SYS_GETTIMEOFDAY, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_MMAP, unix.SYS_MREMAP,
	unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_TGKILL, unix.SYS_KILL, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME,
	unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER, unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXIT,
	unix.SYS_EXIT_GROUP, unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	unix.SYS_SET_TID_ADDRESS, unix.SYS_ARCH_PRCTL, unix.SYS_PRCTL, unix.SYS_PRLIMIT64, unix.SYS_GETRLIMIT,
	unix.SYS_GETRANDOM, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID,
	unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETCWD, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRUSAGE,
	unix.SYS_UMASK, unix.SYS_CAPGET, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_EPOLL_CREATE1,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_WAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_POLL,
	unix.SYS_PPOLL, unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_SENDTO, unix.SYS_SENDMSG,
	unix.SYS_RECVMSG, unix.SYS_RECVFROM, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_SHUTDOWN,
	unix.SYS_SECCOMP, unix.SYS_MEMFD_CREATE,
}

// seen is a system call on the tree. It waits for a ruling.
type seen struct {
	call
	path string // below the root; of two the last one
}

// ruling says what happens to a call. The zero ruling lets it go on.
type ruling struct {
	errno     syscall.Errno // the call fails
	kill      bool          // the program is killed before the call
	terminate bool          // SIGTERM arrives during the call
}

// outcome is how a program ended.
type outcome struct {
	output []byte
	code   int // -1: a signal ended it
	// problem says that the program could not be watched, or did not end.
	problem string
}

// runTimeout is the limit for a run, which takes some milliseconds.
const runTimeout = 30 * time.Second

// start runs the program on a tree. With decide, each of its system calls on the tree waits for a
// ruling; with wanted, only these. As root each run has the process number 1, so that temporary
// names made from it collide with those of an earlier run.
func start(root, arguments string, decide func(seen) ruling, wanted ...int) (o outcome) {
	var output bytes.Buffer
	cmd := exec.Command(os.Args[0], arguments)
	cmd.Env = []string{asProgram + "=1", "ROOT=" + root}
	cmd.Stdout, cmd.Stderr = &output, &output
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	}
	var w *watcher
	if decide != nil {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return outcome{problem: err.Error()}
		}
		defer unix.Close(pair[0])
		theirs := os.NewFile(uintptr(pair[1]), "socket")
		defer theirs.Close()
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Env = append(cmd.Env, watchSocket+"=3", watchCalls+"="+strings.Trim(fmt.Sprint(wanted), "[]"))
		w = &watcher{
			root: root, socket: pair[0], decide: decide,
			repeated: map[uint32]notification{}, threads: map[uint32]bool{},
		}
	}
	if err := cmd.Start(); err != nil {
		return outcome{problem: err.Error()}
	}
	late := time.AfterFunc(runTimeout, func() { _ = cmd.Process.Kill() })
	if w != nil {
		_ = cmd.ExtraFiles[0].Close()
		w.pid = cmd.Process.Pid
		if err := w.watch(); err != nil {
			_ = cmd.Process.Kill()
			o.problem = err.Error()
		}
	}
	_ = cmd.Wait() // its error only repeats the exit code
	if !late.Stop() {
		o.problem = fmt.Sprintf("the program did not end within %s", runTimeout)
	}
	o.output, o.code = output.Bytes(), cmd.ProcessState.ExitCode()
	return o
}

// notification is struct seccomp_notif, response struct seccomp_notif_resp: seccomp_unotify(2).
type (
	notification struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

// seccompNotifIDValid is SECCOMP_IOCTL_NOTIF_ID_VALID.
const seccompNotifIDValid = 0x40082102

// watcher answers the system calls of one program.
type watcher struct {
	root     string
	pid      int
	socket   int
	listener int
	memory   *os.File
	decide   func(seen) ruling
	// repeated holds, by thread, the calls that a signal interrupted. The kernel restarts them.
	repeated map[uint32]notification
	// threads is true for threads of the program, and false for those of a child process.
	threads map[uint32]bool
}

// watch answers until the program ends.
func (w *watcher) watch() error {
	if err := w.receive(); err != nil {
		return err
	}
	defer unix.Close(w.listener)
	var err error
	if w.memory, err = os.Open(fmt.Sprintf("/proc/%d/mem", w.pid)); err != nil {
		return err
	}
	defer w.memory.Close()
	for {
		events := []unix.PollFd{{Fd: int32(w.listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(events, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if events[0].Revents&unix.POLLIN == 0 {
			if events[0].Revents != 0 {
				return nil // the program has ended
			}
			continue
		}
		var n notification
		switch err := w.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINTR):
			continue // a signal interrupted the call
		case err != nil:
			return err
		}
		if again, err := w.answer(n); err != nil || !again {
			return err
		}
	}
}

// receive receives the listener from the program.
func (w *watcher) receive() error {
	buffer, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(w.socket, buffer, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return errors.Join(err, errors.New("the program handed out no listener"))
	}
	listeners, err := unix.ParseUnixRights(&messages[0])
	if err == nil {
		w.listener = listeners[0]
	}
	return err
}

func (w *watcher) ioctl(request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.listener), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// answer answers one call. again is false after a kill.
func (w *watcher) answer(n notification) (again bool, err error) {
	r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	last, repeated := w.repeated[n.pid]
	delete(w.repeated, n.pid)
	var v ruling
	if !repeated || last.nr != n.nr || last.args != n.args {
		s, onTree, err := w.classify(n)
		if err != nil {
			return false, err
		}
		if onTree {
			v = w.decide(s)
		}
	}
	switch {
	case v.kill:
		return false, unix.Kill(w.pid, unix.SIGKILL)
	case v.errno != 0:
		r.error, r.flags = -int32(v.errno), 0
	case v.terminate:
		if err := unix.Kill(w.pid, unix.SIGTERM); err != nil {
			return false, err
		}
		// The signal interrupts the wait, the handler runs, and the kernel restarts the call. The
		// goroutine that cancels the run needs some microseconds more.
		for range 50 {
			time.Sleep(100 * time.Microsecond)
			if w.ioctl(seccompNotifIDValid, unsafe.Pointer(&n.id)) != nil {
				break
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	if err := w.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); errors.Is(err, unix.ENOENT) {
		if v.errno != 0 {
			return false, errors.New(interrupted)
		}
		w.repeated[n.pid] = n
	} else if err != nil {
		return false, err
	}
	return true, nil
}

// interrupted is the problem of a run in which a signal of the Go runtime came before a call could
// fail. Then the call came again, and did not fail.
const interrupted = "a signal came before a call could fail"

// classify returns a call, and whether the program made it on its tree.
func (w *watcher) classify(n notification) (s seen, onTree bool, err error) {
	own, known := w.threads[n.pid]
	if !known {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", w.pid, n.pid))
		own = err == nil
		w.threads[n.pid] = own
	}
	if !own {
		return s, false, nil
	}
	s.call, known = calls[int(n.nr)]
	if !known {
		return s, false, fmt.Errorf("unknown system call %d: add it to calls or harmless in watch_amd64_test.go", n.nr)
	}
	for _, pair := range s.at {
		name, err := w.text(n.args[pair[1]])
		if err != nil {
			return s, false, err
		}
		if !path.IsAbs(name) {
			dir := "cwd"
			if pair[0] != cwd && int32(n.args[pair[0]]) != unix.AT_FDCWD {
				dir = "fd/" + strconv.Itoa(int(int32(n.args[pair[0]])))
			}
			name = path.Join(w.link(dir), name)
		}
		s.path, onTree = w.below(name, s.path, onTree)
	}
	for _, argument := range s.fd {
		s.path, onTree = w.below(w.link("fd/"+strconv.Itoa(int(int32(n.args[argument])))), s.path, onTree)
	}
	const writes = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC
	switch n.nr {
	case unix.SYS_OPEN:
		s.changes = n.args[1]&writes != 0
	case unix.SYS_OPENAT:
		s.changes = n.args[2]&writes != 0
	case unix.SYS_OPENAT2:
		how := make([]byte, 8)
		if _, err := w.memory.ReadAt(how, int64(n.args[2])); err != nil {
			return s, false, err
		}
		s.changes = binary.NativeEndian.Uint64(how)&writes != 0
	}
	return s, onTree, nil
}

// below returns the path of a file below the root and true, or else last and was.
func (w *watcher) below(name, last string, was bool) (string, bool) {
	name = path.Clean(strings.TrimSuffix(name, " (deleted)"))
	if name == w.root {
		return "/", true
	}
	if rest, ok := strings.CutPrefix(name, w.root+"/"); ok {
		return "/" + rest, true
	}
	return last, was
}

// text reads a path from the memory of the program.
func (w *watcher) text(address uint64) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := w.memory.ReadAt(buffer[:256], int64(address))
	if end := bytes.IndexByte(buffer[:n], 0); end >= 0 {
		return string(buffer[:end]), nil
	}
	if err == nil {
		n, err = w.memory.ReadAt(buffer, int64(address))
	}
	if end := bytes.IndexByte(buffer[:n], 0); end >= 0 {
		return string(buffer[:end]), nil
	}
	return "", fmt.Errorf("read a path of the program's: %w", err)
}

// link reads a link in the /proc directory of the program, "" if there is none.
func (w *watcher) link(name string) string {
	target, _ := os.Readlink(fmt.Sprintf("/proc/%d/%s", w.pid, name))
	return target
}

// beWatched installs the filter in this process and sends its listener to the watcher.
func beWatched() error {
	socket, err := strconv.Atoi(os.Getenv(watchSocket))
	if err != nil {
		return nil // no watcher
	}
	runtime.LockOSThread() // the filter and no_new_privs must come from the same thread
	defer runtime.UnlockOSThread()
	if os.Geteuid() != 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	// named is the action for the calls in numbers, others for the rest.
	named, others, numbers := uint32(unix.SECCOMP_RET_ALLOW), uint32(unix.SECCOMP_RET_USER_NOTIF), harmless
	if wanted := strings.Fields(os.Getenv(watchCalls)); len(wanted) > 0 {
		named, others, numbers = others, named, nil
		for _, text := range wanted {
			nr, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			numbers = append(numbers, nr)
		}
	}
	// struct seccomp_data begins with the number of the call.
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for i, nr := range numbers {
		filter = append(filter, unix.SockFilter{
			Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jt: uint8(len(numbers) - i),
		})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: others},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: named},
	)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | // for all threads
		unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(int(listener)), nil, 0); err != nil {
		return err
	}
	return errors.Join(unix.Close(int(listener)), unix.Close(socket))
}

// watchable skips the test if the kernel does not let it watch a program.
func watchable(t *testing.T) {
	t.Helper()
	var names []string
	o := start(t.TempDir(), `{"state":"restricted","_ansible_check_mode":true}`, func(s seen) ruling {
		names = append(names, s.name)
		return ruling{}
	}, unix.SYS_OPENAT)
	if o.problem != "" || !slices.Contains(names, "openat") {
		t.Skipf("cannot watch system calls with seccomp_unotify(2), which needs Linux 5.9: %s %s", o.problem, o.output)
	}
}
