// A cache of answers that outlives jobs and nodes. It has what an earlier job asked of some items,
// and takes what it is given; it may be slow, and give back little at a time.
#include "tests/sim/world_parts.hpp"

#include "protocol/openai/request/canonical.hpp"
#include "protocol/rules/cache_scope.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::sim {

// The key by which any job of its scope finds the answer to the item's request.
RequestKey World::cache_key_of(std::size_t plan, std::string_view line) const {
  const JobSpec spec = spec_of(plan);
  const auto request = openai::render(spec, ItemKind::batch_line, line, "\n", "m");
  return openai::key_in_scope(openai::request_key(*request, "item").value(), cache_scope(spec));
}

void World::fill_cache() {
  for (std::size_t plan = 0; plan < swarm_.jobs.size(); ++plan) {
    const JobPlan& job = swarm_.jobs[plan];
    if (!swarm_.cache || !job.is_plain() || job.is_chunked()) continue;
    for (std::uint64_t item = 0; item < job.items; ++item) {
      if (job.twin_of(item) != item) continue;
      const std::string_view line =
          std::string_view{inputs_[plan]}.substr(item_begins_[plan][item]);
      const RequestKey key = cache_key_of(plan, line.substr(0, line.find('\n')));
      cached_requests_[key] = {plan, item};
      if (job.checked || !random_.chance(job.known)) continue;
      const std::string text = answer_text(plan, {{}, item, 0});
      cache_[key] = {200, "earlier", "m", "http://earlier/v1",
                     fmt::format(R"({{"choices":[{{"index":0,"message":{{"role":"assistant",)"
                                 R"("content":"{}"}},"finish_reason":"stop"}}]}})",
                                 text)};
      ledger_.is_known_before(plan, item);
    }
  }
}

void World::find_answers(wiring::FindAnswers find) {
  std::vector<LookedUp>& found = find.so_far.found;
  std::size_t next = 0;
  for (const std::size_t most = 1 + random_.below(8); next < std::min(most, found.size()); ++next) {
    const AskedRequest& request = found[next].asked.request;
    if (found[next].answer || !request.for_others) continue;
    const auto known = cache_.find(openai::key_in_scope(request.key, find.scope));
    if (known != cache_.end()) found[next].answer = known->second;
  }
  for (std::size_t n = next; n < found.size(); ++n)
    find.so_far.rest.push_back(std::move(found[n].asked));
  found.resize(next);
  after(around(std::chrono::milliseconds{2}),
        [this, life = life_, job = find.job, answers = std::move(find.so_far)] {
          to_coordinator([this, life, job, answers] {
            if (coordinator_ && life == life_)
              post({{wiring::Recipient::supervisor, job}, answers});
          });
        });
}

// What is kept is right for whoever finds it, and durable.
void World::keep_answers(std::vector<KeptAnswer> answers) {
  for (KeptAnswer& kept : answers) {
    const auto asked = cached_requests_.find(kept.key);
    if (asked != cached_requests_.end()) {
      const auto& [plan, item] = asked->second;
      if (kept.answer.body.find(answer_text(plan, {{}, item, 0})) == std::string::npos)
        violation(
            fmt::format("the cache was given another answer to item {} of plan {}", item, plan));
      if (kept.answer.model != "m")
        violation(fmt::format("the cache was given the answer of {}", kept.answer.model));
      if (!ledger_.has_answer(plan, item))
        violation(
            fmt::format("the cache was given an answer that is not durable, to item {}", item));
    }
    cache_.try_emplace(kept.key, std::move(kept.answer));
  }
}

} // namespace gristmill::sim
