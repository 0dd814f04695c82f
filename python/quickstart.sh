#!/bin/sh
# From a fresh clone to a purge you can watch: installs what is missing, builds purgekit into .venv,
# runs its demo. Run it again any time: it installs nothing twice and rebuilds only what changed.
# Other Python: PYTHON=/path/to/python sh python/quickstart.sh
set -eu
cd "$(dirname "$0")/.."
. python/setup.sh

set_up
build_purgekit || give_up "the build failed; its messages are above" 1
say "purgekit is ready: .venv/bin/purgekit"
exec .venv/bin/purgekit demo "$@"
