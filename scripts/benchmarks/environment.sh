# Sourced by what measures: the project's environment, and another with the peers and matplotlib.
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
ensure_peers
peers=$environment
ensure_environment
cd "$root/scripts"
