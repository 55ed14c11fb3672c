-- wrk -s wrk_post.lua URL: one chat completion over and over; the last line of standard output is JSON.
-- Of statuses wrk itself counts those above 399 as errors; a function that looks at each would cost.

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"model": "sim-small", "messages": [{"role": "user", "content": "question 0"}]}'

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('{"items":%d,"seconds":%.6f,"failed":%d}', summary.requests, summary.duration / 1e6, failed))
end
