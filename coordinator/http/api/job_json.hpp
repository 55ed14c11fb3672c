// Jobs and workers as the HTTP API shows them, written and read in one place, so that the
// coordinator and the command cannot disagree.
//
//   job    {id, state, detail, counts{…}, tokens{prompt, completion}, cost_usd, budget_usd,
//           estimate{tokens{…}, cost_usd}, reason, why_waiting, created_at, ended_at, output,
//           weight, priority, deadline, urgent, open, appends, waiting_for, errors[…]}
//           times in unix seconds; ended_at 0 = not yet, deadline 0 = none; open, appends: null
//           of a job that never was open
//   error  {class, code, http_status, count, final, retried, sample, custom_id, source, at}
//   worker {session, name, state, user, capacity, in_flight, held, completed, rate}
#pragma once

#include "actors/wiring/questions.hpp"
#include "protocol/result.hpp"

#include <nlohmann/json_fwd.hpp>

namespace gristmill::coordinator {

nlohmann::ordered_json json_of(const CountedError& error);
nlohmann::ordered_json json_of(const wiring::JobView& job);
nlohmann::ordered_json json_of(const WorkerView& worker);
// {job, item, number, kind, sentence, remedy, endpoint, worker, limit, learned, configured, call,
// for_s, since_s, error}; null where it is not known or has nothing to do with it; number: of the
// item, from 1
nlohmann::ordered_json json_of(const wiring::Explanation& explanation);

// A list of such errors.
SharedErrors errors_of(const nlohmann::ordered_json& list);
// Unknown members are skipped, missing ones keep their defaults.
Result<wiring::JobView> job_view_of(const nlohmann::ordered_json& json);
Result<WorkerView> worker_view_of(const nlohmann::ordered_json& json);

} // namespace gristmill::coordinator
