#!/usr/bin/env bash
# Set everything up and run every check and all tests. Arguments go to pytest, e.g. -m long, -k tiles, -x.
# pytest's summary is the last line; the exit status is 0 only if the checks passed as well.
set -euo pipefail

checkout="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$checkout/scripts/setup.sh" --tests
cd -- "$checkout"
export PATH="$checkout/.venv/bin:$PATH"

failed_checks=0
check() {
    local name="$1" output
    shift
    if output="$("$@" 2>&1)"; then
        printf '[check] passed: %s\n' "$name"
    else
        failed_checks=$((failed_checks + 1))
        printf '[check] FAILED: %s (%s), first lines:\n' "$name" "$*"
        sed -n 1,40p <<<"$output"
    fi
}
check "lint" ruff check --output-format concise
check "format" ruff format --check --output-format concise
check "import floors" lint-imports
check "napari manifest" npe2 validate napari-convnet

screen=()
if [ "$(uname -s)" = Linux ]; then
    if command -v xvfb-run >/dev/null; then
        screen=(xvfb-run --auto-servernum --server-args "-screen 0 1920x1080x24")
    else
        printf '[check] no xvfb-run: the tests use the screen %s\n' "${DISPLAY:-(none found)}"
    fi
fi
if [ "$failed_checks" -gt 0 ]; then
    printf '[check] %d FAILED, see above; the exit status will not be 0\n' "$failed_checks"
fi

color=()
if [ -t 1 ]; then color=(--color=yes); fi
status=0
mkdir -p .cache
# Two processes share the tests: one alone takes half an hour.
${screen[@]+"${screen[@]}"} python -m pytest -n 2 --dist loadgroup ${color[@]+"${color[@]}"} "$@" | tee .cache/pytest-output.txt || status=$?

# Libraries may write when Python exits, after pytest's summary: then it is said again.
summary="$(grep -E '(passed|failed|error|errors|deselected|no tests ran).* in [0-9.]+s' .cache/pytest-output.txt | tail -n 1 || true)"
if [ -n "$summary" ] && [ "$summary" != "$(tail -n 1 .cache/pytest-output.txt)" ]; then
    printf '%s\n' "$summary"
fi
if [ "$status" -eq 0 ] && [ "$failed_checks" -gt 0 ]; then status=1; fi
exit "$status"
