# Sourced by the other scripts: makes the project's own environment, .venv, and keeps it in step with pyproject.toml.
# After it, $root is the project and $root/.venv/bin holds every tool.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
    local candidate
    for candidate in "${BUNDLER_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9].*/bin/python; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    echo "error: no Python 3.11 or newer with venv was found; install one (Debian: apt-get install python3 python3-venv) or name it in BUNDLER_PYTHON" >&2
    return 1
}

# ensure_environment GROUP…: install the project, editable, with these dependency groups.
ensure_environment() {
    local python stamp wanted groups=() group
    for group in "$@"; do groups+=(--group "$group"); done
    stamp="$root/.venv/.installed-${*// /-}"
    wanted=$(cksum < "$root/pyproject.toml")
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x "$root/.venv/bin/bundle" ] && return
    (
        exec 9> "$root/.venv.lock"
        command -v flock > /dev/null && flock 9
        if ! "$root/.venv/bin/python" -c '' 2> /dev/null; then
            python=$(find_python) || exit 1
            echo "setting up $root/.venv with $python" >&2
            "$python" -m venv --clear "$root/.venv" || exit 1
        fi
        # Dependency groups need pip 25.1.
        "$root/.venv/bin/python" -m pip install --quiet --upgrade 'pip>=25.1' >&2 || exit 1
        (cd "$root" && .venv/bin/python -m pip install --quiet --editable . "${groups[@]}" >&2) || exit 1
        printf '%s' "$wanted" > "$stamp"
    ) || { echo "error: the environment could not be set up; is the package index reachable (pip config list)?" >&2; return 1; }
}
