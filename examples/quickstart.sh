#!/usr/bin/env bash
# From an installed package to a leaderboard and a page of figures; no repository is needed.
# The first argument is a data set: ml-100k is fetched by itself, simulator needs no network. Others are options of `rankbench run`.
set -euo pipefail
dataset="${1:-ml-100k}"
rankbench doctor
rankbench run --dataset "$dataset" --models ctr,lr,din,hstu "${@:2}"
rankbench report --out report.html
