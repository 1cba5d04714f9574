# Sourced by scripts/test --all and by .ci/run: programs that the tests use and pip does not install, with their packages.
# What npm has is pinned in scripts/locks/node. Debian's packages are not: a release has one version of each, until it has the next.

debian_packages=(bubblewrap docker-registry gcc libarchive-tools libc6-dev p7zip-full podman skopeo strace unzip zstd)
tools=(bwrap docker-registry gcc bsdtar 7z podman skopeo strace unzip zstd npm)

require_tools() {
    local tool missing=()
    for tool in "${tools[@]}"; do command -v "$tool" > /dev/null || missing+=("$tool"); done
    [ ${#missing[@]} = 0 ] && return
    echo "error: missing: ${missing[*]}; apt-get install ${debian_packages[*]} npm" >&2
    return 1
}

install_tools() {
    local wanted=("${debian_packages[@]}")
    command -v npm > /dev/null || wanted+=(npm)
    if ! dpkg -s "${wanted[@]}" > /dev/null 2>&1; then
        apt-get -q update && apt-get -q install -y --no-install-recommends "${wanted[@]}"
    fi
}

# ensure_node: install what scripts/locks/node pins into .cache/node; its programs are on PATH then.
ensure_node() {
    local node="$root/.cache/node"
    if ! cmp -s "$root/scripts/locks/node/package-lock.json" "$node/installed.json"; then
        echo "setting up $node" >&2
        mkdir -p "$node"
        cp "$root"/scripts/locks/node/package*.json "$node"
        npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel error >&2 || return
        cp "$node/package-lock.json" "$node/installed.json"
    fi
    PATH="$node/node_modules/.bin:$PATH"
}
