# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every script sources this file. It sets strict mode, enters the top directory, and puts the project's tools first in PATH.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
export PATH="$top/.venv/bin:$top/.tools:$PATH"
# Names of the collection resolve to this checkout, whatever the name of its directory.
export ANSIBLE_COLLECTIONS_PATH="$top/.collections"
export ANSIBLE_HOST_KEY_CHECKING=False
# The machines of the lab have no Python, and the modules need none. So warnings about its discovery say nothing here.
export ANSIBLE_NOCOWS=1 PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*" && exit 1; }

# pip_install ENVIRONMENT PINS... installs the files whose checksums the pins name. It builds nothing from source, because a
# build downloads its own tools without checksums.
pip_install() {
	local environment=$1 arguments=() pins
	shift
	for pins in "$@"; do arguments+=(--requirement "$pins"); done
	"$environment/bin/python" -m pip --quiet --disable-pip-version-check install --require-hashes --only-binary :all: "${arguments[@]}"
}

# tell_failures prints each command that ends the script from then on, with its file and line.
tell_failures() {
	set -E
	trap 'say "failed: ${BASH_SOURCE[0]}, line $LINENO: ${BASH_COMMAND:0:200}"' ERR
}

# timed NAME COMMAND... runs a long step, and prints its name and its time.
timed() {
	local what=$1 start=$SECONDS
	shift
	say "==> $what"
	"$@"
	say "    $what: $((SECONDS - start)) s"
}
