#include "actors/jobs/job_money.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/job/usd.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::jobs {
namespace {

std::string dollars(Usd money) {
  return in_dollars(money, 6);
}

} // namespace

JobMoney money_of(const journal::RecoveredJob& job, bool crashed, bool may_tell) {
  if (mutated("money_reset_on_restart")) return {};
  const Usd recorded = job.counts.cost + job.money_assumed;
  JobMoney money;
  money.charged = crashed ? std::max(recorded, job.money_watermark) : recorded;
  money.watermark = job.money_watermark;
  money.assumed = job.money_assumed + (money.charged - recorded);
  money.returnable = may_tell ? money.charged - recorded : Usd{};
  return money;
}

std::string why_stopped(const BudgetStop& stop) {
  if (!stop.next_call)
    return fmt::format("a job with a budget of money makes no call without a price, and the model "
                       "\"{}\" has none; give it one: [[pool]] with model, price_input and "
                       "price_output",
                       stop.model);
  const std::string unknown =
      !stop.unknown ? std::string{}
                    : fmt::format(" ({} of it for calls of which nobody knows what they cost)",
                                  dollars(stop.unknown));
  return fmt::format("{} of the budget of {} is spent{}, and the next call may cost up to {}",
                     dollars(stop.charged), dollars(stop.cap), unknown, dollars(stop.next_call));
}

} // namespace gristmill::jobs
