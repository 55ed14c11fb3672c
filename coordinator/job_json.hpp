// Jobs and workers as the HTTP API shows them, written and read in one place, so that the
// coordinator and the command cannot disagree.
//
//   job    {id, state, detail, counts{…}, tokens{prompt, completion}, cost_usd,
//           budget_usd, estimate{tokens{…}, cost_usd}, reason, why_waiting, created_at, ended_at, output}            times in unix seconds; ended_at 0 = not yet
//   worker {session, name, state, user, capacity, in_flight, held, completed, rate}
#pragma once

#include "actors/wiring/message.hpp"
#include "protocol/result.hpp"

#include <nlohmann/json_fwd.hpp>

namespace gristmill::coordinator {

nlohmann::ordered_json json_of(const wiring::JobView& job);
nlohmann::ordered_json json_of(const WorkerView& worker);

// Unknown members are skipped, missing ones keep their defaults.
Result<wiring::JobView> job_view_of(const nlohmann::ordered_json& json);
Result<WorkerView> worker_view_of(const nlohmann::ordered_json& json);

} // namespace gristmill::coordinator
