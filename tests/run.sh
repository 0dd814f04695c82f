#!/bin/sh
# Sets up, builds and runs every test. The last line is "N passed, N failed".
#   sh tests/run.sh [--quick] [-- PYTEST-ARGUMENT...]
# --quick: SQLite only, no sanitizers, no linters: under a minute once built.
# Exit code: 0 if all passed, 1 if anything failed or nothing ran, 2 if it could not be set up.
set -eu
cd "$(dirname "$0")/.."
. python/setup.sh

quick=
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=--quick ;;
        --) shift; break ;;
        *) give_up "usage: sh tests/run.sh [--quick] [-- PYTEST-ARGUMENT...]" ;;
    esac
    shift
done

# MySQL 5.6 comes from the npm registry when a test first uses it, with the only library it needs. iproute2 makes other hosts of
# network namespaces; Clang has the fuzzer, and its sanitizers compile faster; llvm turns addresses into lines; the Percona
# toolkit has the bench's rival, pt-archiver. zstd and jq read archives as their owners would. Java is
# for Liquibase, which makes Keycloak's tables.
if [ -n "$quick" ]; then
    set_up libgtest-dev zstd jq
else
    set_up libgtest-dev zstd jq postgresql mariadb-server iproute2 openssl clang clang-tidy libclang-rt-dev llvm percona-toolkit \
        default-jre-headless
fi

requirements=$(cat tests/requirements.txt)
if ! is_done tests "$requirements"; then
    say "installing test packages into .venv"
    pip_install -r tests/requirements.txt || give_up "pip failed on tests/requirements.txt" 1
    mark_done tests "$requirements"
fi

results=$PWD/.build/results
rm -rf "$results"
mkdir -p "$results"

# step NAME COMMAND...: run it and note its exit code. One failed step doesn't stop the others.
step() {
    name=$1
    shift
    say "$name"
    began_s=$(date +%s)
    code=0
    "$@" || code=$?
    printf '%s\n' "$code" >"$results/$name.code"
    say "$name took $(($(date +%s) - began_s)) s"
    return 0
}
succeeded() { [ "$(cat "$results/$1.code")" = 0 ]; }

# native FOLDER CMAKE-OPTION...: build and run the GoogleTest cases in .build/FOLDER.
native() {
    folder=$1
    shift
    step "build-$folder" build_native ".build/$folder" "$@"
    succeeded "build-$folder" || return 0
    step "ctest-$folder" ctest -j8 --test-dir ".build/$folder" --output-on-failure --no-tests=error \
        --output-junit "$results/ctest-$folder.xml"
}

# Sources joined, as a unity build does, compile in an eighth of the time. The native build sees each one by itself.
sanitized="-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=16 -DCMAKE_BUILD_TYPE=Debug"

# What runs besides the run itself (cancel, stop, progress), with races made visible.
thread_sanitized() {
    # shellcheck disable=SC2086  # a word list on purpose
    cmake -S . -B .build/tsan -G Ninja -DPURGEKIT_BUILD_TESTS=ON -DPURGEKIT_BUILD_PYTHON=OFF -DPURGEKIT_WITH_SQLITE=OFF \
        -DPURGEKIT_WITH_POSTGRESQL=OFF -DPURGEKIT_WITH_MYSQL=OFF $sanitized -DPURGEKIT_SANITIZE=thread \
        >"$results/cmake.log" 2>&1 || { cat "$results/cmake.log" >&2; return 1; }
    cmake --build .build/tsan --target purgekit_run_test &&
        TSAN_OPTIONS="halt_on_error=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}" ctest -j8 --test-dir .build/tsan -L faults \
            --output-on-failure --no-tests=error --output-junit "$results/thread-sanitizer.xml"
}

build_native() {
    build_dir=$1
    shift
    cmake -S . -B "$build_dir" -G Ninja --no-warn-unused-cli -DPURGEKIT_BUILD_TESTS=ON \
        -DPURGEKIT_BUILD_PYTHON=OFF -DPURGEKIT_WITH_SQLITE=ON -DPURGEKIT_WITH_POSTGRESQL=ON \
        -DPURGEKIT_WITH_MYSQL=ON "$@" >"$results/cmake.log" 2>&1 ||
        { cat "$results/cmake.log" >&2; return 1; }
    cmake --build "$build_dir"
}

step build-purgekit build_purgekit
# The wheel above is what is optimised, and compiled joined; this one is to show each source alone, soon.
native native -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-Og
if [ -z "$quick" ]; then
    # An error found by a sanitizer ends the test with a failure instead of a remark in its output.
    export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
    # shellcheck disable=SC2086  # a word list on purpose
    native asan $sanitized -DPURGEKIT_SANITIZE=address,undefined -DPURGEKIT_BUILD_PYTHON=ON \
        -DPython_EXECUTABLE="$PWD/.venv/bin/python" -Dpybind11_DIR="$(.venv/bin/python -m pybind11 --cmakedir)"
    if succeeded build-asan; then
        step bindings-asan sh tests/fuzz/bindings_asan.sh --junitxml="$results/bindings-asan.xml"
        step clang-tidy sh tests/tidy.sh .build/asan
    fi
    step thread-sanitizer thread_sanitized
    step fuzz .venv/bin/python tests/fuzz/run.py --seconds 3 --seed 1
    step ruff .venv/bin/ruff check .
    # The bases make every module's name unique, whatever folder of tests/ it is in.
    step mypy env MYPYPATH=python:tests .venv/bin/mypy --explicit-package-bases python/purgekit tests
fi
if succeeded build-purgekit; then
    # Two at a time, each with servers of its own. A file stays in one of them; its cases share what is dear to make.
    step pytest .venv/bin/python -m pytest tests $quick -n 2 --dist loadfile --junitxml="$results/pytest.xml" "$@"
fi

exec .venv/bin/python tests/tally.py "$results"
