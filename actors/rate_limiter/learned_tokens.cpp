// What RATE LIMITER learns of the use of tokens: by job and model, of the whole, and of input and
// output where something depends on them.
#include "actors/rate_limiter/rate_limiter.hpp"

#include "protocol/limits.hpp"

#include <utility>

namespace gristmill::rate_limiter {
namespace {

// Behind the model's name, which has no such character.
constexpr std::string_view of_all = "", of_input = "\x1finput", of_output = "\x1foutput";

std::string key_of(const std::string& model, std::string_view of_what) {
  return model + std::string{of_what};
}

} // namespace

// An item may name any model: beyond so many they share what is learned.
std::shared_ptr<TokenReserve> RateLimiter::reserve_of(Job& job, const std::string& model,
                                                      std::string_view of_what) {
  const bool new_one = !job.reserves.contains(key_of(model, of_what));
  const bool shares = new_one && job.reserves.size() >= limits::learned_models_max;
  std::shared_ptr<TokenReserve>& kept = job.reserves[key_of(shares ? "" : model, of_what)];
  if (!kept) kept = std::make_shared<TokenReserve>();
  return kept;
}

TokenLearners RateLimiter::learned_of(const Job& job, const std::string& model) {
  const auto known = [&](std::string_view of_what) {
    const auto it = job.reserves.find(key_of(model, of_what));
    return it == job.reserves.end() ? nullptr : it->second;
  };
  return {known(of_all), known(of_input), known(of_output)};
}

TokenLearners RateLimiter::learners_of(Job& job, const std::string& model,
                                       const RateLimits& limits) {
  TokenLearners learners;
  learners.all = reserve_of(job, model, of_all);
  if (limits.token_counting == TokenCounting::reserved || limits.input_tokens_per_minute != 0)
    learners.input = reserve_of(job, model, of_input);
  if (limits.token_counting == TokenCounting::usage && limits.output_tokens_per_minute != 0)
    learners.output = reserve_of(job, model, of_output);
  return learners;
}

void RateLimiter::learn(Out& out, const protocol::Usage& used, Time now) {
  rate_limiter::learn(out.learners, out.bound, used, now - out.endpoint_charge.all.drawn_at);
  for (const auto& learner : {out.learners.all, out.learners.input, out.learners.output})
    if (learner && learner->has_news()) learned_.insert(out.job_id);
}

std::vector<journal::LearnedNote> RateLimiter::learned_notes() {
  std::vector<journal::LearnedNote> notes;
  for (const JobId id : std::exchange(learned_, {})) {
    const auto job = jobs_.find(id);
    if (job == jobs_.end()) continue;
    for (const auto& [model, reserve] : job->second.reserves)
      if (std::string text = reserve->note(); !text.empty())
        notes.push_back({id, model, std::move(text)});
  }
  return notes;
}

} // namespace gristmill::rate_limiter
