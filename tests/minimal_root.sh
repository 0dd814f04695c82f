#!/bin/sh
# Proves that the two commands need nothing but a bare system: makes a minimal Debian 12 with
# debootstrap, puts a fresh clone in it, runs the command there twice, and checks that the second
# run installed nothing. Needs root.
#   sh tests/minimal_root.sh [--worktree] [--keep] COMMAND...
#   sh tests/minimal_root.sh sh python/quickstart.sh
#   sh tests/minimal_root.sh --worktree sh tests/run.sh --quick
# --worktree: the files as they are now, instead of the last commit. --keep: leave the root there.
set -eu
cd "$(dirname "$0")/.."
. python/setup.sh

worktree=
keep=
while [ $# -gt 0 ]; do
    case $1 in
        --worktree) worktree=yes ;;
        --keep) keep=yes ;;
        -*) give_up "unknown option $1" ;;
        *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || give_up "usage: sh tests/minimal_root.sh [--worktree] [--keep] COMMAND..."
[ "$(id -u)" = 0 ] || give_up "tests/minimal_root.sh needs root, for chroot"
need_packages debootstrap

# Not below /tmp by default: some systems mount it without the right to run programs.
root=$(mktemp -d "${PURGEKIT_ROOTS:-/var/tmp}/purgekit-root.XXXXXX")
[ -n "$keep" ] || trap 'rm -rf --one-file-system "$root"' EXIT
chmod 755 "$root"

# A mirror, proxy or certificate that this machine is set up with is used inside as well.
on_bookworm=$(. /etc/os-release && [ "${VERSION_CODENAME:-}" = bookworm ] && echo yes || true)
mirror=
if [ -n "$on_bookworm" ]; then
    # shellcheck disable=SC2016  # $(...) is apt's own form
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
fi
say "making a minimal Debian 12 in $root"
debootstrap --variant=minbase --include=python3,ca-certificates bookworm "$root" \
    "${mirror:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"

bring() { # bring PATH...: copy each that exists to the same place inside
    for path in "$@"; do
        [ ! -e "$path" ] || cp -rL --parents "$path" "$root" 2>/dev/null || true
    done
}
if [ -n "$on_bookworm" ]; then
    rm -f "$root/etc/apt/sources.list"
    bring /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/trusted.gpg.d /etc/apt/keyrings \
        /usr/share/keyrings
fi
bring /etc/hosts /etc/resolv.conf /etc/pip.conf /etc/npmrc /etc/ssl/certs/ca-certificates.crt
for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
    if grep -qs '^ *Acquire' "$file"; then bring "$file"; fi # proxies and certificates, nothing else
done
home=${HOME:-/root}
for file in .npmrc .pip .config/pip; do
    [ ! -e "$home/$file" ] || (cd "$home" && cp -rL --parents "$file" "$root/root")
done
# Settings of the package clients; a setting that names a file or folder brings it along.
passed=$(env | grep -iE '^(pip_|npm_config_|node_extra_ca_certs=|ssl_cert_|requests_ca_bundle=|curl_ca_bundle=|https?_proxy=|no_proxy=)' || true)
environment=$root/root/environment
(umask 077 && : >"$environment") # an index's address may hold a password
printf '%s\n' "$passed" | while IFS= read -r setting; do
    [ -n "$setting" ] || continue
    value=${setting#*=}
    case $value in /*) bring "$value" ;; esac
    # Quoted for the shell that reads it back.
    printf "export %s='%s'\n" "${setting%%=*}" "$(printf %s "$value" | sed "s/'/'\\\\''/g")"
done >"$environment"

clone=$root/root/purgekit
if [ -n "$worktree" ]; then
    mkdir "$clone"
    git ls-files -z --cached --others --exclude-standard |
        xargs -0 sh -c 'for f; do [ ! -e "$f" ] || cp --parents -P "$f" "$0"; done' "$clone"
else
    git clone --quiet --no-hardlinks . "$clone"
fi

cat >"$root/root/in-root.sh" <<'IN_ROOT'
# Runs inside the minimal root, in a mount and process namespace of its own: when it ends, so do
# its mounts and every process it left.
. /root/environment
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
cd /root/purgekit || exit 1
installed() { dpkg-query -W; .venv/bin/python -m pip --disable-pip-version-check freeze --all; }
"$@" </dev/null || exit
installed >/root/first.txt
echo "== again: nothing must be installed now" >&2
"$@" </dev/null || exit
installed >/root/second.txt
if ! diff /root/first.txt /root/second.txt; then
    echo "the second run installed something" >&2
    exit 1
fi
echo "== both runs passed; the second installed nothing" >&2
IN_ROOT

# /dev/shm is for PostgreSQL's shared memory and Python's semaphores.
say "running in it: $*"
code=0
unshare --mount --pid --fork --kill-child sh -c '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    exec chroot "$root" sh /root/in-root.sh "$@"' sh "$root" "$@" || code=$?
[ -z "$keep" ] || say "kept: $root"
exit "$code"
