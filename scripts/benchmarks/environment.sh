# Sourced by what measures: the project's environment, and another with the peers and matplotlib.
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
ensure_environment
peers="$root/.cache/bench/peers"
if [ ! -x "$peers/bin/venv-pack" ]; then
    echo "installing the peers into $peers" >&2
    "$root/.venv/bin/python" -m venv "$peers"
    "$peers/bin/pip" install --quiet pex shiv uv pip venv-pack setuptools matplotlib
fi
cd "$root/scripts"
