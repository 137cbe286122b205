#!/bin/bash
# The data of a chain: bash benchmarks/tipc/prepare.sh CONFIG MODE
set -eu
# The parameters files name everything from the top of the repository.
cd "$(dirname "$0")/../.."
exec python -m benchmarks.tipc.prepare "$@"
