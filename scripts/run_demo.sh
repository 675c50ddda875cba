#!/usr/bin/env bash
# Set everything up and run the demonstration. Arguments go to 'napari-convnet demo'; see its --help.
set -euo pipefail

checkout="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$checkout/scripts/setup.sh"
exec "$checkout/.venv/bin/napari-convnet" demo "$@"
