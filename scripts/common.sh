# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What every script here begins with: strictness, the project's top, its own tools first.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
export PATH="$top/.venv/bin:$top/.tools:$PATH"
# Names of the collection resolve to this checkout, whatever its directory is called.
export ANSIBLE_COLLECTIONS_PATH="$top/.collections"
export ANSIBLE_HOST_KEY_CHECKING=False
# The machines of the lab have no Python; nothing of ours needs it, so nobody has to look for it.
export ANSIBLE_NOCOWS=1 PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*" && exit 1; }

# tell_failures names each command that ends the script from then on, and where it stands.
tell_failures() {
	set -E
	trap 'say "failed: ${BASH_SOURCE[0]}, line $LINENO: ${BASH_COMMAND:0:200}"' ERR
}

# timed WHAT COMMAND... runs a long step, and says what it is and how long it took.
timed() {
	local what=$1 start=$SECONDS
	shift
	say "==> $what"
	"$@"
	say "    $what: $((SECONDS - start)) s"
}
