#include "actors/rate_limiter/money/money_account.hpp"

#include "actors/kit/check.hpp"
#include "actors/rate_limiter/blocks/budget_blocks.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {
namespace {

constexpr auto reserved_retry = std::chrono::milliseconds{50};
constexpr auto lower_every = std::chrono::milliseconds{500};
// Who asks again and again is heard at least as often.
constexpr auto awaited_for = std::chrono::seconds{30};
constexpr std::uint64_t ahead_share = 100; // of the remainder: one per cent

} // namespace

MoneyAccount::MoneyAccount(JobId job, const JobMoney& money)
    : job_{job}, cap_{money.cap}, charged_{money.charged}, durable_{money.watermark},
      assumed_{money.assumed}, assumed_at_last_{money.assumed - money.returnable},
      returnable_{money.returnable}, earlier_open_{bool{money.returnable}} {}

Usd MoneyAccount::ahead() const {
  return cap_ > charged_ ? (cap_ - charged_) / ahead_share : Usd{};
}

std::optional<MoneyAccount::Refusal> MoneyAccount::refuses(Usd most, Time now) {
  if (charged_ > cap_ || most > cap_ - charged_) {
    const bool spent = in_flight_ == 0 && !earlier_open_;
    return Refusal{reserved_retry,
                   spent ? "the budget of money is spent"
                         : "calls in flight may cost the rest of the budget of money",
                   spent};
  }
  if (charged_ + most > drawable()) {
    wanted_ = std::max(wanted_, most);
    const std::optional<Time> since = next_ ? std::optional{noted_at_} : std::nullopt;
    return Refusal{.wait = asked_when_written(since, now) - now,
                   .why = "the budget block is being written",
                   .being_written = true};
  }
  awaited_ = std::max(awaited_, most);
  asked_ = true;
  return std::nullopt;
}

void MoneyAccount::draw(Usd most) {
  GRISTMILL_CHECK(charged_ + most <= std::min(drawable(), cap_),
                  "{}: expected charges within the durable watermark {} and the cap {}, got {} and "
                  "a call of {}",
                  to_string(job_), drawable().nano(), cap_.nano(), charged_.nano(), most.nano());
  charged_ += most;
  awaited_ = {};
  ++in_flight_;
  invariant();
}

void MoneyAccount::end_call() {
  GRISTMILL_CHECK(in_flight_ > 0, "{}: expected the end of a call in flight, got one of none",
                  to_string(job_));
  --in_flight_;
}

void MoneyAccount::refund(Usd most) {
  settle(most, {});
}

// The cost may be more, if the bound was none.
void MoneyAccount::settle(Usd most, Usd cost) {
  end_call();
  charged_ = charged_ - most + cost;
  invariant();
}

void MoneyAccount::lost(Usd most) {
  end_call();
  lost_ += most;
  invariant();
}

void MoneyAccount::claimed(AttemptId attempt) {
  if (earlier_open_) earlier_.insert(attempt);
}

void MoneyAccount::ended(AttemptId attempt, std::optional<Usd> cost) {
  if (!earlier_open_ || earlier_.erase(attempt) == 0) return;
  if (!cost) {
    earlier_open_ = false;
    return;
  }
  returnable_ -= std::min(returnable_, *cost); // recorded as a cost of its own
  give_back();
  invariant();
}

void MoneyAccount::earlier_lives_told(bool all) {
  told_ = true;
  if (!all) earlier_open_ = false;
  give_back();
  invariant();
}

void MoneyAccount::give_back() {
  if (!earlier_open_ || !told_ || !earlier_.empty()) return;
  earlier_open_ = false;
  charged_ -= returnable_;
  assumed_ = assumed_at_last_;
  assumed_changed_ = true;
}

bool MoneyAccount::stands_high() const {
  return durable_ > charged_ + ahead() + ahead();
}

std::optional<journal::MoneyNote> MoneyAccount::reserve(std::uint64_t number, Time now) {
  if (next_) return std::nullopt;
  // Whoever waited for a slow disk must have the time to draw before it is lowered again.
  if (noted_at_ == never) noted_at_ = now;
  if (charged_ + wanted_ <= durable_) wanted_ = {}; // enough has come back meanwhile
  if (std::exchange(asked_, false)) asked_at_ = now;
  if (now >= asked_at_ + awaited_for) awaited_ = {};
  // On a slow disk what else a call needs may take longer than this stands.
  const Usd above = charged_ + std::max({ahead(), wanted_, awaited_});
  const Usd target = std::max(charged_, std::min(above, cap_));
  const bool raise = target > durable_ && (wanted_ || charged_ + ahead() / 2 > durable_);
  const bool lower = target < durable_ && stands_high() && now >= noted_at_ + lower_every;
  if (!raise && !lower && !assumed_changed_) return std::nullopt;
  next_ = Next{number, raise || lower ? target : durable_};
  noted_at_ = now;
  assumed_changed_ = false;
  invariant();
  return journal::MoneyNote{job_, number, next_->watermark, assumed_};
}

void MoneyAccount::durable(std::uint64_t number) {
  if (!next_ || next_->number != number) return;
  durable_ = next_->watermark;
  next_.reset();
  wanted_ = {};
  noted_at_ = never;
  invariant();
}

Time MoneyAccount::wake_at() const {
  if (next_ || !stands_high()) return never;
  if (noted_at_ == never) return Time::min();
  return std::max(noted_at_ + lower_every, awaited_ ? asked_at_ + awaited_for : Time::min());
}

// Neither the watermark nor the cap bounds the charges here: a call may cost more than its bound,
// and a user may lower the cap.
void MoneyAccount::invariant() const {
  GRISTMILL_CHECK(assumed_ + lost_ <= charged_,
                  "{}: expected charges of at least {} assumed and {} lost, got {}",
                  to_string(job_), assumed_.nano(), lost_.nano(), charged_.nano());
  GRISTMILL_CHECK(!earlier_open_ || returnable_ <= assumed_ - assumed_at_last_,
                  "{}: expected at most {} to come back, got {}", to_string(job_),
                  (assumed_ - assumed_at_last_).nano(), returnable_.nano());
}

} // namespace gristmill::rate_limiter
