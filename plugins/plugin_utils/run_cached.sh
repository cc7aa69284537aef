# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# Runs the program on the target, if the target has it and nobody but root can have changed it.
#
# program.py makes one line of this file, without comments and indents, and replaces the words in capitals: SUMS are the
# checksums of the builds, PROGRAM is the name of the program, ENVIRONMENT and ARGUMENTS are those of the program, and NEED is
# what the controller looks for in the answer. The line has no single quote, and no exclamation mark before a word, for the sake
# of login shells that are no sh. `command -p` takes no program from a PATH that a user controls.
#
# A marker, .checked, spares reading the content again. It belongs to root, and holds the number, size and time of change
# (st_ctime, which no program can set) that the file had before its content was found right. Each later change of the file
# gives it another ctime, if enough time has passed: ext3 with inodes of 128 bytes counts whole seconds, FAT counts two, and
# the kernel takes the time of its last tick (current_time(), at most 10 ms ago). So the marker is written only when ctime is
# three seconds old. The clock is read before the content: a change during that comes too late for the old ctime. After
# the clock was set back ctime lies in the future, and the content is read each time. One thing is not promised: a change by
# root goes unnoticed if the clock was set back and shows the second of ctime once more, where the file system counts seconds.

# r is the exit status. It is 127, as of a shell that finds no program, until the program ran.
d=/var/cache/hardening.yama
r=127
f=none
# Enter the directory first and look at it from inside, so that the file that is looked at is the file that runs, whatever
# happens to the names meanwhile. Then take the first build that is there. Only a target of its architecture ever got one, so
# that uname need not be asked.
if [ ! -h $d ] && cd $d 2>/dev/null; then
	# shellcheck disable=SC2043 # they are several
	for h in SUMS; do
		f=PROGRAM-$h
		[ -x $f ] && break
	done
	# Seven words for each of the directory, the file and the marker: owner and mode in one, inode, size, and the times of
	# the last change, the latter in words (date, time, zone) and in seconds.
	# shellcheck disable=SC2046 # each word is one argument
	set -- $(TZ=UTC0 command -p stat -c "%u%A %i %s %z %Z" . $f $f.checked 2>/dev/null)
	# Directory and file belong to root, and nobody else can write to them.
	case "$1 $8" in
	"0drwx"?-??-?" 0-rwx"?-??-?) now="$9 ${10} ${11} ${12} ${13}"
		was=
		# So does the marker, which holds the words that the file had.
		case "${15}" in
		0-rw-?--?--) { read -r was <$f.checked; } 2>/dev/null;;
		esac
		# Without a marker that fits, the content has to be the build's.
		if [ "$was" = "$now" ] || {
			t=$(command -p date +%s)
			[ "$(command -p sha256sum $f)" = "$h  $f" ] &&
			# A new file in the place of whatever had its name. Where none can be made, the content is read each time.
			{ (set -C; umask 022; [ $((t - ${14})) -gt 2 ] && command -p rm -f $f.checked && echo "$now" >$f.checked) 2>/dev/null; :; } # not in check mode
		}; then
			ENVIRONMENT ./$f ARGUMENTS
			r=$?
		fi;;
	esac
fi
# 126 and 127 say that the program could not be started at all. The controller sends it then.
case $r in
12[67]) echo "NEED $(command -p uname -sm)";;
*) (exit $r);;
esac
