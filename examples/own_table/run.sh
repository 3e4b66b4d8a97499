#!/usr/bin/env bash
# A table of your own, from a look at it to a leaderboard: a minute on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
rankbench data describe clicks.yaml
rankbench run --dataset clicks.yaml --models ctr,lr,din,hstu --seeds 3 --set data.request_window=3600 --results results
