#include "actors/rate_limiter/learned_tokens.hpp"

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

void LearnedTokens::opened(JobId job, const std::vector<journal::LearnedNote>& notes) {
  Models& models = jobs_[job] = {};
  for (const auto& note : notes)
    if (auto learned = TokenReserve::of_note(note.tokens))
      models[note.model] = std::make_shared<TokenReserve>(std::move(*learned));
}

// An item may name any model: beyond so many they share what is learned.
std::shared_ptr<TokenReserve> LearnedTokens::reserve_of(Models& models, const std::string& model,
                                                        std::string_view of_what) {
  const bool new_one = !models.contains(key_of(model, of_what));
  const bool shares = new_one && models.size() >= limits::learned_models_max;
  std::shared_ptr<TokenReserve>& kept = models[key_of(shares ? "" : model, of_what)];
  if (!kept) kept = std::make_shared<TokenReserve>();
  return kept;
}

TokenLearners LearnedTokens::of(JobId job, const std::string& model) const {
  const Models& models = jobs_.at(job);
  const auto known = [&](std::string_view of_what) {
    const auto it = models.find(key_of(model, of_what));
    return it == models.end() ? nullptr : it->second;
  };
  return {known(of_all), known(of_input), known(of_output)};
}

TokenLearners LearnedTokens::learners(JobId job, const std::string& model,
                                      const RateLimits& limits) {
  Models& models = jobs_.at(job);
  TokenLearners learners;
  learners.all = reserve_of(models, model, of_all);
  if (limits.token_counting == TokenCounting::reserved || limits.input_tokens_per_minute != 0)
    learners.input = reserve_of(models, model, of_input);
  if (limits.token_counting == TokenCounting::usage && limits.output_tokens_per_minute != 0)
    learners.output = reserve_of(models, model, of_output);
  return learners;
}

void LearnedTokens::learn(JobId job, const TokenLearners& learners, const TokenBound& bound,
                          const protocol::Usage& used, Duration took) {
  rate_limiter::learn(learners, bound, used, took);
  for (const auto& learner : {learners.all, learners.input, learners.output})
    if (learner && learner->has_news()) news_.insert(job);
}

std::vector<journal::LearnedNote> LearnedTokens::notes() {
  std::vector<journal::LearnedNote> notes;
  for (const JobId id : std::exchange(news_, {})) {
    const auto job = jobs_.find(id);
    if (job == jobs_.end()) continue;
    for (const auto& [model, reserve] : job->second)
      if (std::string text = reserve->note(); !text.empty())
        notes.push_back({id, model, std::move(text)});
  }
  return notes;
}

std::size_t LearnedTokens::size() const {
  std::size_t models = 0;
  for (const auto& [job, of_job] : jobs_) models += of_job.size();
  return models;
}

} // namespace gristmill::rate_limiter
