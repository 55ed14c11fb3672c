#include "actors/rate_limiter/money/money_book.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/rules/call_cost.hpp"

#include <fmt/format.h>
#include <utility>

namespace gristmill::rate_limiter {

void MoneyBook::changed(const MoneyAccount& account) {
  changed_.insert(account.job());
  due_.set(account.job(), account.wake_at());
}

void MoneyBook::drawn(const MoneyCharge& charge) {
  if (!charge.account) return;
  charge.account->draw(charge.most);
  if (jobs_.contains(charge.account->job())) changed(*charge.account);
}

void MoneyBook::ended(const MoneyCharge& charge, const Ended& ended) {
  if (!charge.account) return;
  MoneyAccount& account = *charge.account;
  switch (ended.how) {
  case Ended::How::unstarted:
  case Ended::How::too_late: account.refund(charge.most); break;
  case Ended::How::lost: account.lost(charge.most); break;
  case Ended::How::answered: account.settle(charge.most, ended.cost.value_or(charge.most));
  }
  if (jobs_.contains(account.job())) changed(account);
}

void MoneyBook::opened(const JobBudget& job) {
  jobs_.erase(job.job);
  if (!job.money.cap) return;
  Job& opened = jobs_[job.job] = {std::make_shared<MoneyAccount>(job.job, job.money)};
  changed(*opened.account);
}

void MoneyBook::resumed(const JobResumed& job) {
  const auto it = jobs_.find(job.job);
  if (it == jobs_.end()) return;
  it->second.account->set_cap(job.cap);
  changed(*it->second.account);
}

MoneyBook::Answer MoneyBook::ask(const AcquireCall& call, const std::string& model, Time now) {
  const auto job = jobs_.find(call.job);
  if (job == jobs_.end()) return {};
  MoneyAccount& account = *job->second.account;
  const BudgetStop stop{call.job, account.cap(), account.charged(), account.unknown(), {}, model};
  const PoolSpec* pool = pool_of(pools_, model);
  if (pool == nullptr || !pool->price)
    return {{}, MoneyAccount::Refusal{std::chrono::seconds{1}, "its model has no price"}, stop};
  Answer answer{{job->second.account,
                 most_cost(pool->price, call.token_bound - call.output_bound, call.output_bound)},
                {},
                {}};
  if (answer.charge.most > account.cap()) {
    answer.exceeds = fmt::format(
        "expected a call that may cost at most the job's whole budget of {}, got one that may "
        "cost {}; lower its max_tokens, or raise --budget-usd",
        in_dollars(account.cap(), 6), in_dollars(answer.charge.most, 6));
    return answer;
  }
  answer.refusal = account.refuses(answer.charge.most, now);
  changed(account);
  if (answer.refusal && answer.refusal->spent) {
    answer.stop = stop;
    answer.stop->next_call = answer.charge.most;
  }
  return answer;
}

void MoneyBook::claimed(const ClaimedCall& call) {
  const auto it = jobs_.find(call.job);
  if (it == jobs_.end()) return;
  it->second.account->claimed(call.attempt);
  if (it->second.account->waits_for(call.attempt)) claimed_[call.attempt] = call.job;
}

void MoneyBook::ended_earlier(const Ended& ended) {
  const auto claim = claimed_.extract(ended.attempt);
  const auto it = claim ? jobs_.find(claim.mapped()) : jobs_.end();
  if (it == jobs_.end()) return;
  const bool answered = ended.how == Ended::How::answered;
  std::optional<Usd> cost;
  if (answered) cost = ended.cost;
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) cost = Usd{};
  it->second.account->ended(ended.attempt, cost);
  changed(*it->second.account);
}

void MoneyBook::earlier_lives_told(bool all) {
  for (auto& [id, job] : jobs_) {
    job.account->earlier_lives_told(all);
    changed(*job.account);
  }
}

std::vector<journal::MoneyNote> MoneyBook::reserve(std::uint64_t& next_number, Time now) {
  std::vector<journal::MoneyNote> notes;
  for (const JobId id : due_.take(now)) changed_.insert(id);
  for (const JobId id : std::exchange(changed_, {})) {
    const auto job = jobs_.find(id);
    if (job == jobs_.end()) continue;
    MoneyAccount& account = *job->second.account;
    if (auto note = account.reserve(next_number, now)) {
      writing_.emplace(next_number++, id);
      notes.push_back(std::move(*note));
    }
    due_.set(id, account.wake_at());
  }
  return notes;
}

void MoneyBook::durable(std::uint64_t number) {
  const auto written = writing_.extract(number);
  const auto job = written ? jobs_.find(written.mapped()) : jobs_.end();
  if (job == jobs_.end()) return;
  job->second.account->durable(number);
  changed(*job->second.account);
}

} // namespace gristmill::rate_limiter
