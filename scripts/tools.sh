# Sourced by scripts/test --all and by .ci/run: programs that the tests use and pip does not install, with their packages.

debian_packages=(bubblewrap docker-registry gcc libarchive-tools libc6-dev p7zip-full podman skopeo strace unzip zstd)
npm_packages=(azurite)
tools=(bwrap docker-registry gcc bsdtar 7z podman skopeo strace unzip zstd azurite-blob)

require_tools() {
    local tool missing=()
    for tool in "${tools[@]}"; do command -v "$tool" > /dev/null || missing+=("$tool"); done
    [ ${#missing[@]} = 0 ] && return
    echo "error: missing: ${missing[*]}; apt-get install ${debian_packages[*]} && npm install --global ${npm_packages[*]}" >&2
    return 1
}

install_tools() {
    if ! dpkg -s "${debian_packages[@]}" > /dev/null 2>&1; then
        apt-get -q update && apt-get -q install -y --no-install-recommends "${debian_packages[@]}" || return
    fi
    if ! command -v npm > /dev/null; then apt-get -q install -y --no-install-recommends npm || return; fi
    command -v azurite-blob > /dev/null || npm install --global "${npm_packages[@]}"
}
