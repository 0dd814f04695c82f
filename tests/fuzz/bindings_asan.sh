#!/bin/sh
# Runs tests of the Python package on SQLite with extension module and plugins as built with the address sanitizer in .build/asan.
#   sh tests/fuzz/bindings_asan.sh [PYTEST-ARGUMENT...]
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
built=.build/asan
package=$PWD/$built/python/purgekit

# The package as it is here, with the sanitized parts beside it; whatever is installed stands behind it on the path.
rm -rf "$package"
mkdir -p "$package"
cp -R python/purgekit/. "$package"
rm -rf "$package"/_core*.so "$package/plugins"
mkdir "$package/plugins"
cp $built/cpp/_core*.so "$package"
cp $built/plugins/*/purgekit_backend_*.so "$package/plugins"

# The interpreter itself is not sanitized, so the sanitizer's library must be loaded first. What Python leaves behind at its end
# is no leak of ours. CPython's own allocator would hide wrong accesses to Python objects. pytest holds what is printed when the
# sanitizer ends the process, so its findings go to files.
rm -f $built/finding.*
code=0
LD_PRELOAD=$(clang++ -print-file-name=libclang_rt.asan-x86_64.so) \
ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1:log_path=$PWD/$built/finding:suppressions=$PWD/tests/fuzz/asan.supp \
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
PYTHONMALLOC=malloc PYTHONPATH=$PWD/$built/python:$PWD/tests \
    "$python" -m pytest --quick -n 2 --dist loadfile -p no:cacheprovider -q tests/conformance/test_sqlite.py tests/engine \
    tests/fuzz/test_policies.py tests/python/test_backend_api.py tests/python/test_database.py tests/python/test_predicates.py "$@" || code=$?
cat $built/finding.* 2>/dev/null || true
exit $code
