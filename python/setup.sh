# Shared by python/quickstart.sh and tests/run.sh, which source it from the checkout's root.
# POSIX sh. Each step looks first and does only what is missing, so that a second run does nothing.

# What building purgekit takes, in Debian's and Ubuntu's names.
BUILD_PACKAGES="g++ cmake ninja-build pkg-config libsqlite3-dev libpqxx-dev libmysqlcppconn-dev
libspdlog-dev nlohmann-json3-dev libzstd-dev libssl-dev"

# Where ccache is installed, a second checkout elsewhere finds what the first one compiled.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

say() { printf '%s\n' "== $*" >&2; }
give_up() { printf '%s\n' "$1" >&2; exit "${2:-2}"; }

# Packages

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# need_packages PACKAGE...: install what is missing of them; never touches the package lists unless
# something is missing.
need_packages() {
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        give_up "purgekit's set-up needs Debian 12 or Ubuntu 24.04 (apt-get) for:$missing"
    line="apt-get update && apt-get install -y --no-install-recommends$missing"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        # Without a terminal nobody could type a password.
        if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=sudo
        else
            give_up "Neither root nor sudo. Have root run this line, then try again:
  $line"
        fi
    fi
    say "installing:$missing"
    hold_services
    # The lock is waited for: a fresh system often updates itself just then.
    options="-q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
    # shellcheck disable=SC2086  # word lists on purpose
    $as_root apt-get $options update >&2 || say "apt-get update failed; trying with the lists there are"
    # shellcheck disable=SC2086
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get $options install -y \
        --no-install-recommends $missing >&2; then
        release_services
        give_up "apt-get failed. This is what was run:
  $line"
    fi
    release_services
}

# Debian starts a server as soon as its package is installed. The tests start their own, in temporary
# folders, so a system-wide one would only take memory and the default ports on somebody's machine.
# policy-rc.d is Debian's switch for that (101: action forbidden); what was there is put back.
# It holds for the installation only: at the next boot they start, unless you disable them.
POLICY=/usr/sbin/policy-rc.d

hold_services() {
    case "$missing " in *postgresql*|*mariadb-server*) ;; *) return 0 ;; esac
    if [ -x $POLICY ]; then
        forbidden=0
        $POLICY mariadb start >/dev/null 2>&1 || forbidden=$?
        [ $forbidden != 101 ] || return 0 # containers forbid it already
    fi
    services_held=yes
    trap release_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # A file saved by a run that was killed is the real one: never overwritten.
    [ ! -e $POLICY ] || [ -e $POLICY.purgekit-saved ] || $as_root mv $POLICY $POLICY.purgekit-saved
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $POLICY >/dev/null
    $as_root chmod 755 $POLICY
}

release_services() {
    [ "${services_held:-}" = yes ] || return 0
    services_held=
    trap - EXIT INT TERM HUP
    $as_root rm -f $POLICY
    [ ! -e $POLICY.purgekit-saved ] || $as_root mv $POLICY.purgekit-saved $POLICY
}

# Python

# Prints "3.11" and succeeds if $1 is a Python that purgekit supports.
supported_python() {
    "$1" -c 'import sys; v = sys.version_info[:2]; print("%d.%d" % v); sys.exit(not (3, 10) <= v <= (3, 13))' 2>/dev/null
}

# Sets python. The distribution's own comes before others on PATH: the libraries purgekit links
# to are the distribution's too. PYTHON=/path/to/python chooses another.
find_python() {
    for python in ${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.10}; do
        python=$(command -v "$python") && python_version=$(supported_python "$python") && return 0
    done
    python=
    return 1
}

# Debian keeps headers and venv apart from the interpreter; other Pythons bring them along.
has_all_parts() {
    "$python" -c 'import ensurepip, os, sysconfig, venv
assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null
}

# Prints the packages that python is short of.
python_packages() {
    if [ -z "$python" ]; then
        echo python3 python3-venv python3-dev
    elif ! has_all_parts; then
        case $(readlink -f "$python") in
            /usr/bin/*) echo "python$python_version-venv python$python_version-dev" ;;
        esac
    fi
}

# The environment is made again if it belongs to another Python or if the checkout was moved
# (scripts inside it hold absolute paths).
need_venv() {
    venv_is="$PWD python $python_version"
    if [ "$(cat .venv/purgekit-venv 2>/dev/null)" != "$venv_is" ] || ! .venv/bin/python -c '' 2>/dev/null; then
        say "making .venv with $python ($python_version)"
        "$python" -m venv --clear .venv || give_up "cannot make .venv" 1
        printf '%s\n' "$venv_is" >.venv/purgekit-venv
    fi
}

pip_install() { .venv/bin/python -m pip --disable-pip-version-check install --quiet "$@"; }

# Succeeds if the stamp named $1 holds $2, that is: if that step was done for just this input.
is_done() { [ "$(cat ".venv/purgekit-$1" 2>/dev/null)" = "$2" ]; }
mark_done() { printf '%s\n' "$2" >".venv/purgekit-$1"; }

need_build_tools() {
    # What pyproject.toml asks for, installed for good: without build isolation CMake's paths stay
    # the same from run to run, and ninja rebuilds only what changed.
    requires=$(.venv/bin/python - <<'PY'
try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["build-system"]["requires"]))
PY
    ) || give_up "cannot read build-system.requires of pyproject.toml" 1
    is_done build-tools "$requires" && return 0
    say "installing build tools into .venv"
    printf '%s\n' "$requires" >.venv/build-requirements.txt
    pip_install -r .venv/build-requirements.txt || give_up "pip failed on the build tools" 1
    mark_done build-tools "$requires"
}

# One checksum over every file that the wheel is made of.
checksum_of_sources() {
    find . -path './.*' -prune -o -path ./tests -prune -o -path ./notebooks -prune \
        -o -name __pycache__ -prune -o -type f ! -name '*.sh' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

# Returns non-zero if the build fails.
build_purgekit() {
    sources=$(checksum_of_sources)
    is_done sources "$sources" && [ -x .venv/bin/purgekit ] && return 0
    say "building purgekit into .venv"
    rm -f .venv/purgekit-sources
    # Every backend's library is installed by now: one that isn't found is an error, not left out.
    pip_install --no-build-isolation --config-settings=cmake.define.PURGEKIT_WITH_SQLITE=ON \
        --config-settings=cmake.define.PURGEKIT_WITH_POSTGRESQL=ON \
        --config-settings=cmake.define.PURGEKIT_WITH_MYSQL=ON . && mark_done sources "$sources"
}

# All that both commands share; extra packages to install are the arguments.
set_up() {
    find_python || [ -z "${PYTHON:-}" ] || give_up "PYTHON=$PYTHON is not a Python from 3.10 to 3.13"
    # All at once, so that somebody without root has one line to pass on.
    # shellcheck disable=SC2046,SC2086
    need_packages $BUILD_PACKAGES $(python_packages) "$@"
    find_python || give_up "no Python from 3.10 to 3.13 found; name one with PYTHON=/path/to/python"
    has_all_parts || give_up "$python lacks venv, ensurepip or its C headers (Python.h)"
    need_venv
    need_build_tools
}
