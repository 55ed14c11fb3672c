#include "actors/rate_limiter/money_book.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/call_cost.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {

void MoneyCharge::end(const Ended& ended) const {
  if (!account) return;
  switch (ended.how) {
  case Ended::How::unstarted:
  case Ended::How::too_late: return account->refund(most);
  case Ended::How::lost: return account->lost(most);
  case Ended::How::answered: return account->settle(most, ended.cost_nano_usd.value_or(most));
  }
}

void MoneyBook::opened(const JobBudget& job) {
  jobs_.erase(job.job);
  if (job.money.cap == 0) return;
  const std::string& model = job.model.empty() ? job.default_model : job.model;
  jobs_[job.job] = {std::make_shared<MoneyAccount>(job.job, job.money), model};
}

void MoneyBook::resumed(const JobResumed& job) {
  if (const auto it = jobs_.find(job.job); it != jobs_.end())
    it->second.account->set_cap(job.cap_nano_usd);
}

MoneyBook::Answer MoneyBook::ask(const AcquireCall& call, const std::string& model) {
  const auto job = jobs_.find(call.job);
  if (job == jobs_.end()) return {};
  MoneyAccount& account = *job->second.account;
  const std::string& asked = model.empty() ? job->second.default_model : model;
  const BudgetStop stop{call.job, account.cap(), account.charged(), account.unknown(), 0, asked};
  const PoolSpec* pool = pool_of(pools_, asked);
  if (pool == nullptr || !pool->price)
    return {{}, MoneyAccount::Refusal{std::chrono::seconds{1}, "its model has no price"}, stop};
  Answer answer{
      {job->second.account,
       most_nano_usd(pool->price, call.token_bound - call.output_bound, call.output_bound)},
      {},
      {}};
  answer.refusal = account.refuses(answer.charge.most);
  if (answer.refusal && answer.refusal->spent) {
    answer.stop = stop;
    answer.stop->next_call = answer.charge.most;
  }
  return answer;
}

void MoneyBook::claimed(const ClaimedCall& call) {
  if (const auto it = jobs_.find(call.job); it != jobs_.end())
    it->second.account->claimed(call.attempt);
}

void MoneyBook::ended_earlier(const Ended& ended) {
  const bool answered = ended.how == Ended::How::answered;
  std::optional<std::uint64_t> cost;
  if (answered) cost = ended.cost_nano_usd;
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) cost = 0;
  for (auto& [id, job] : jobs_) job.account->ended(ended.attempt, cost);
}

void MoneyBook::earlier_lives_told(bool all) {
  for (auto& [id, job] : jobs_) job.account->earlier_lives_told(all);
}

std::vector<journal::MoneyNote> MoneyBook::reserve(std::uint64_t& next_number, Time now) {
  std::vector<journal::MoneyNote> notes;
  for (auto& [id, job] : jobs_)
    if (auto note = job.account->reserve(next_number, now)) {
      ++next_number;
      notes.push_back(std::move(*note));
    }
  return notes;
}

void MoneyBook::durable(std::uint64_t number) {
  for (auto& [id, job] : jobs_) job.account->durable(number);
}

Time MoneyBook::wake_at() const {
  Time at = never;
  for (const auto& [id, job] : jobs_) at = std::min(at, job.account->wake_at());
  return at;
}

} // namespace gristmill::rate_limiter
