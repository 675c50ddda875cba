#!/usr/bin/env bash
# Prepare this checkout: system libraries, uv, and the Python environment .venv beside pyproject.toml.
# Usage: scripts/setup.sh [--tests]        --tests adds the virtual screen and tools that the tests use
# Safe to call again: what is there stays, and a second call takes about a second.
set -euo pipefail

checkout="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd -- "$checkout"

# What Qt 6 and OpenGL need on Debian 12 and 13 and on Ubuntu. Where a release renamed one to <name>t64,
# the renamed one is taken.
packages=(
    libegl1 libgl1 libglx-mesa0 libgl1-mesa-dri libopengl0 libglib2.0-0 libfontconfig1 libdbus-1-3
    libxkbcommon0 libxkbcommon-x11-0 libx11-xcb1 libxrender1 libxi6
    libxcb1 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render0
    libxcb-render-util0 libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-util1 libxcb-xfixes0
    libxcb-xinerama0 libxcb-xinput0 libxcb-xkb1 libxcb-glx0
)
test_packages=(xvfb xauth x11-utils herbstluftwm xdotool strace)

case "${1-}" in
    "") ;;
    --tests) packages+=("${test_packages[@]}") ;;
    *)
        printf 'usage: %s [--tests]\n' "$0" >&2
        exit 2
        ;;
esac

say() { printf '[setup] %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Print the wanted packages that dpkg does not list as installed, one a line.
missing_packages() {
    local installed name
    installed=" $(dpkg-query --show --showformat='${db:Status-Status}:${Package} ' 2>/dev/null) "
    for name in "${packages[@]}"; do
        case "$installed" in
            *" installed:$name "* | *" installed:${name}t64 "*) ;;
            *) printf '%s\n' "$name" ;;
        esac
    done
}

# Print the name under which apt offers a package. A purely virtual package prints nothing in apt-cache show.
offered_name() {
    local name
    for name in "$1" "${1}t64"; do
        if [ -n "$(apt-cache show --no-all-versions "$name" 2>/dev/null)" ]; then
            printf '%s\n' "$name"
            return
        fi
    done
    say "This system offers no package $1; going on without it."
}

apt_install() {
    local name chosen=()
    as_root apt-get update -qq || say "apt-get update had problems; trying with the lists at hand."
    for name in "$@"; do
        name="$(offered_name "$name")"
        if [ -n "$name" ]; then chosen+=("$name"); fi
    done
    if [ "${#chosen[@]}" -eq 0 ]; then return; fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${chosen[@]}" >&2
}

install_missing_packages() {
    local missing
    missing="$(missing_packages | tr '\n' ' ')"
    if [ -z "$missing" ]; then return; fi
    say "System packages that are missing: $missing"
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "Neither root nor sudo: going on without them. Ask an administrator to run"
            say "    apt-get install $missing"
            return
        fi
        say "Installing them with 'sudo apt-get'; sudo may ask for your password."
    fi
    # shellcheck disable=SC2086  # package names hold no spaces; one word each is meant
    if ! apt_install $missing; then
        say "apt-get did not succeed; going on. napari may not start until they are installed."
    fi
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

# An installed uv serves if it knows dependency groups.
find_uv() {
    local candidate
    for candidate in uv "${HOME-}/.local/bin/uv" "$checkout/.cache/uv/bin/uv"; do
        if [[ "$("$candidate" pip install --help 2>/dev/null)" == *--group* ]]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}

# A private environment that holds nothing but uv; pip settings that would put it elsewhere are set aside.
bootstrap_uv() {
    say "Fetching uv, the installer, into .cache/uv"
    "$python" -m venv .cache/uv
    env -u PIP_USER -u PIP_TARGET -u PIP_PREFIX -u PIP_CONSTRAINT -u PYTHONPATH \
        .cache/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8' >&2
}

# Everything that an installation depends on: the manifest and the sample images are copied by it.
fingerprint() {
    printf '%s\n' "$checkout"
    find pyproject.toml napari.yaml sample_images src/napari_convnet/__init__.py scripts/setup.sh \
        -type f -exec cksum {} + | LC_ALL=C sort
    .venv/bin/python --version 2>&1
}

is_installed() {
    [ -f .venv/installed-from ] && [ "$(fingerprint 2>/dev/null)" = "$(cat .venv/installed-from)" ]
}

install_environment() {
    if [ -z "$uv" ]; then
        bootstrap_uv
        uv="$checkout/.cache/uv/bin/uv"
    fi
    if ! .venv/bin/python -c '' 2>/dev/null; then
        say "Creating .venv with ${python:-a Python that uv fetches}"
        rm -rf -- .venv
        "$uv" venv --quiet --python "${python:-3.12}" .venv
        say "The first time on a machine: about 3 GB to download, 6 GB on disk, some minutes."
    fi
    say "Installing napari-convnet, napari, PyTorch and the tests' tools into .venv"
    # PyTorch's wheels are large: uv's default of 30 s without an answer is short on a slow line.
    UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}" \
        "$uv" pip install --quiet --python .venv/bin/python --reinstall-package napari-convnet \
        --editable '.[all]' --group test
    fingerprint >.venv/installed-from
    say "Ready."
}

python=""
uv=""
needs_install=true
if is_installed; then
    needs_install=false
else
    python="$(find_python)"
    uv="$(find_uv)"
    if [ -z "$python" ] && [ -z "$uv" ]; then
        say "No Python 3.11, 3.12, 3.13 or 3.14 was found. Please install one and call this again."
        exit 1
    fi
    # Debian splits the venv module off its Python; it is needed to fetch uv.
    if [ -z "$uv" ] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
        packages+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
    fi
fi

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    install_missing_packages
elif [ "$(uname -s)" = Linux ] && "$needs_install"; then
    say "No apt-get here. If napari does not start, install the libraries that correspond to these"
    say "Debian packages: ${packages[*]}"
fi
if "$needs_install"; then install_environment; fi
