# Sourced by the other scripts: makes the project's environments from the hash-pinned files in scripts/locks, and keeps them in step with these.
# After it, $root is the project; after ensure_…, $environment is the environment, whose bin holds every tool.
# BUNDLER_PYTHON chooses another Python, by its version (3.12) or its program; each version has its own environments.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
    local candidate candidates pyenv="${PYENV_ROOT:-$HOME/.pyenv}/versions" wanted="${BUNDLER_PYTHON:-}"
    case $wanted in
        "") candidates=(python3.11 python3.12 python3.13 python3.14 python3 "$pyenv"/3.1[1-9].*/bin/python) ;;
        3.*) candidates=("python$wanted" "$pyenv/$wanted"{,.*}/bin/python) ;;
        *) candidates=("$wanted") ;;
    esac
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    echo "error: ${wanted:-no Python} is not a Python 3.11 or newer with venv; install one (Debian: apt-get install python3 python3-venv) or name it in BUNDLER_PYTHON" >&2
    return 1
}

# ensure_environment GROUP…: the project, editable, and these dependency groups.
ensure_environment() {
    choose_environment "" && once "$*" install_project project "$@"
}

# ensure_lowest: the project with the lowest of each dependency that pyproject.toml admits, and the tests.
ensure_lowest() {
    choose_environment lowest && once lowest install_project lowest
}

# ensure_newest: the project with the newest that pyproject.toml admits today, and the tests. Nothing is pinned here.
ensure_newest() {
    choose_environment newest && rm -f "$environment"/.installed-* && once newest install_newest
}

# ensure_peers: what scripts/bench compares with.
ensure_peers() {
    choose_environment peers && once peers install_locked peers
}

choose_environment() {
    environment="$root/.venv"
    [ -n "${BUNDLER_PYTHON:-}$1" ] || return 0
    local python version
    python=$(find_python) && version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || return
    environment="$root/.cache/environments/$version${1:+-$1}"
    mkdir -p "$root/.cache/environments"
}

# once LABEL COMMAND…: run the command in an environment made for these locks, unless that was done for these locks and this pyproject.toml.
once() {
    local stamp="$environment/.installed-${1// /-}" locks wanted
    shift
    locks=$(cat "$root"/scripts/locks/*.txt | cksum)
    wanted="$locks $(cksum < "$root/pyproject.toml")"
    [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && return
    (
        exec 9> "$environment.lock"
        command -v flock > /dev/null && flock 9
        if ! { "$environment/bin/python" -c '' && [ "$(cat "$environment/.locks")" = "$locks" ]; } 2> /dev/null; then
            python=$(find_python) || exit
            echo "setting up $environment with $python" >&2
            "$python" -m venv --clear "$environment" && printf '%s' "$locks" > "$environment/.locks" || exit
        fi
        "$@" && printf '%s' "$wanted" > "$stamp"
    ) || { echo "error: the environment could not be set up; is the package index reachable (pip config list)?" >&2; return 1; }
}

install_project() {
    install_locked "$@" && pip_install --no-deps --no-build-isolation --editable "$root"
}

install_locked() {
    local files=() name
    for name in "$@"; do files+=(--requirement "$root/scripts/locks/$name.txt"); done
    pip_install --require-hashes "${files[@]}"
}

install_newest() {
    # Dependency groups need pip 25.1.
    pip_install --upgrade pip && cd "$root" && pip_install --upgrade --upgrade-strategy eager --editable '.[objects]' --group test
}

# What pip says is shown if it fails: before that it is warnings about the user's own settings.
pip_install() {
    local said
    said=$("$environment/bin/python" -m pip install --quiet "$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}
