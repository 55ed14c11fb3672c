// LEARNED TOKENS: what the calls of each job have taught of their use of tokens: by model, of the
// whole call, and of its input and output where something depends on them.
// Invariant: no more than limits::learned_models_max entries a job; models beyond share one.
#pragma once

#include "actors/rate_limiter/call_tokens.hpp"
#include "actors/rate_limiter/windows/token_reserve.hpp"
#include "actors/words/records.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

class LearnedTokens {
public:
  // `notes`: of an earlier life; what this one has learned of the job is forgotten.
  void opened(JobId job, const std::vector<journal::LearnedNote>& notes);
  void closed(JobId job) { jobs_.erase(job); }

  // What is known of the job's calls to a model.
  TokenLearners of(JobId job, const std::string& model) const;
  // … and what is to learn of those to an endpoint with these limits.
  TokenLearners learners(JobId job, const std::string& model, const RateLimits& limits);
  // A call of the job was answered.
  void learn(JobId job, const TokenLearners& learners, const TokenBound& bound,
             const protocol::Usage& used, Duration took);

  // What was learned since it was noted last.
  std::vector<journal::LearnedNote> notes();
  std::size_t models(JobId job) const { return jobs_.at(job).size(); }
  std::size_t size() const;

private:
  // By model, and what of it.
  using Models = std::map<std::string, std::shared_ptr<TokenReserve>>;
  static std::shared_ptr<TokenReserve> reserve_of(Models& models, const std::string& model,
                                                  std::string_view of_what);

  std::unordered_map<JobId, Models> jobs_;
  std::set<JobId> news_; // something worth a note
};

} // namespace gristmill::rate_limiter
