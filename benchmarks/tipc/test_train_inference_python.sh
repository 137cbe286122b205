#!/bin/bash
# A chain: train, evaluate, export, infer: bash benchmarks/tipc/test_train_inference_python.sh CONFIG MODE
set -eu
# The parameters files name everything from the top of the repository.
cd "$(dirname "$0")/../.."
exec python -m benchmarks.tipc.chain "$@"
