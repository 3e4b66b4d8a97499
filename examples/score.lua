-- Requests for wrk: 30 users, 100 candidates each, at many moments, as `rankbench serve` takes them. Change the names to yours.
--   wrk --threads 1 --connections 4 --duration 30s --latency --script examples/score.lua http://127.0.0.1:8000/score
local number = 0
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  refused = 0
end

function request()
  number = number + 1
  local candidates = {}
  for at = 1, 100 do
    candidates[at] = string.format('"i%d"', (number + at) % 25)
  end
  local body = string.format('{"user": "u%d", "time": %.0f, "candidates": [%s]}',
    number % 30, 1600000000000 + 997000 * (number % 700), table.concat(candidates, ", "))
  return wrk.format("POST", nil, { ["content-type"] = "application/json" }, body)
end

function response(status)
  if status ~= 200 then
    refused = refused + 1
  end
end

function done(summary, latency)
  local all = 0
  for _, thread in ipairs(threads) do
    all = all + thread:get("refused")
  end
  local errors = summary.errors
  io.write(string.format("rankbench: %d answers, %d of them refusals, %d errors, p50 %.1f ms, p99 %.1f ms\n", summary.requests, all,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
