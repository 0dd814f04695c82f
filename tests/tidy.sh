#!/bin/sh
# clang-tidy over the engine, the bindings and the plugins. Needs a build by Clang with CMAKE_UNITY_BUILD: all sources of a target
# read at once take a minute, one by one a quarter of an hour.
#   sh tests/tidy.sh [BUILD-FOLDER]
set -eu
cd "$(dirname "$0")/.."
built=${1:-.build/asan}
find "$built/cpp" "$built/plugins" -path '*/Unity/*.cxx' |
    xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$built" 2>/dev/null
