#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr double stride_after_change = 4;
// The least logarithm of a stride by the error of what is known: so far apart 0 is told from 1.
constexpr double errors_to_tell = 6;
// Of the odds that the calls stood in a queue. To lower the limit by mistake costs calls, to raise
// it some latency.
constexpr double odds_to_lower = 9, odds_to_raise = 3, odds_to_return = 3;
constexpr std::uint32_t calls_to_tell = 512; // then it is somewhere between
constexpr double errors_apart = 2, changed_errors = 4,
                 of_the_least = 3.8; // that luck of many measurements
constexpr double changed_by = 1.3, queue_suspected = 1.15;
constexpr std::size_t cohorts_most = 16;
constexpr double shrink_by = 0.7;

// While it rises.
constexpr double risen_by = 1.5, doubled = 2;
constexpr double risen_errors = 3, no_luck_errors = 5;
constexpr double fall_most = 1.4; // of ln(limit) at once
constexpr double stride_of_few = 2;
// Standard errors by which later calls of the first ones take longer.
constexpr double doubtful_errors = 2, sure_errors = 3.5;

} // namespace

ConcurrencyLimit::ConcurrencyLimit(std::uint32_t most)
    : most_{most == 0 ? unbounded : most}, limit_{start()} {}

std::uint32_t ConcurrencyLimit::start() const {
  return most_ == unbounded ? first : SlowStart::first_below(most_);
}

bool ConcurrencyLimit::is_of_concern(const LatencyEstimate& a, const LatencyEstimate& b) {
  return std::max(a.seconds(), b.seconds()) >= of_concern_s;
}

std::uint32_t ConcurrencyLimit::bounded(double limit) const {
  return static_cast<std::uint32_t>(std::clamp(std::round(limit), 1.0, double{1.0 * most_}));
}

bool ConcurrencyLimit::may_be(std::uint32_t limit, Time now) const {
  return limit <= most_ && ceiling_.allows(limit, now);
}

void ConcurrencyLimit::set_most(std::uint32_t most) {
  const bool bound = limit_ == std::exchange(most_, most == 0 ? unbounded : most);
  if (limit_ > most_) settle(most_, std::nullopt, try_at_);
  if (!bound || limit_ >= most_) return;
  // It was not the server that asked for less.
  limit_ = std::max(limit_, start());
  rising_ = true;
  binding_ = trying_ = false;
  strayed_before_ = 0;
}

void ConcurrencyLimit::resumed(const FoundLimit& found, Time now) {
  if (found.limit == 0) return;
  if (!found.rising) {
    settle(found.limit, std::nullopt, now + try_every);
    wary_ = wary_of_found;
    return;
  }
  slow_.resumed(found.limit);
  limit_ = bounded(found.limit);
}

std::optional<FoundLimit> ConcurrencyLimit::found() const {
  if (shrunk_) return std::nullopt;
  if (!rising_) return FoundLimit{trying_ ? steady_limit_ : limit_, false};
  const std::uint32_t proven = std::min(slow_.proven(), limit_);
  return proven > first ? std::optional{FoundLimit{proven, true}} : std::nullopt;
}

bool ConcurrencyLimit::allows(std::uint32_t in_flight) {
  in_flight_ = in_flight;
  if (in_flight < limit_) return true;
  binding_ = true;
  cohorts_.bind();
  return false;
}

// The first calls of all find an idle server, so they are measured before the limit binds.
Flight ConcurrencyLimit::begun(Time now) {
  if (!binding_ && !rising_) return {0, 0, in_flight_ + 1};
  // Of many calls in flight several cohorts are as soon at their end as one of few.
  const std::size_t open_most =
      rising_ ? cohorts_most
              : std::clamp<std::size_t>(limit_ / LatencyCohorts::size, 1, cohorts_most);
  return cohorts_.begun(open_most, in_flight_ + 1, now);
}

void ConcurrencyLimit::ended_otherwise(const Flight& call, Time now) {
  cohorts_.ended_otherwise(call);
  measure(now);
}

void ConcurrencyLimit::timed_out(const Flight& call, Time now) {
  ended_otherwise(call, now);
  if (ceiling_.timed_out()) overloaded(now);
}

void ConcurrencyLimit::answered(const Flight& call, Duration latency, Time now) {
  ceiling_.answered();
  const double beside = call.in_flight;
  answered_in_flight_ =
      std::max(beside, answered_in_flight_ + (beside - answered_in_flight_) / LatencyCohorts::size);
  cohorts_.answered(call, latency);
  if (rising_) grow(call, latency, now);
  measure(now);
}

void ConcurrencyLimit::measure(Time now) {
  if (told_ && !queue_.decides(now)) feel_again(now);
  while (const auto m = cohorts_.take()) {
    if (m->bound) {
      if (!told_) heard(*m, now);
    } else if (rising_ && (!least_ || now >= known_until_)) {
      // Whatever it is, no queue of ours: the baseline of today.
      least_ = m->latency;
      known_until_ = now + least_holds;
    }
  }
}

void ConcurrencyLimit::heard(const Measured& m, Time now) {
  if (rising_) return rise(m, now);
  trying_ ? compare(m, now) : watch(m, now);
  keep_least(m.latency);
}

// The least of many is low by luck, so a lower one counts where it cannot be luck alone; among few
// calls in flight a mistake is cheap and an unheard queue long.
void ConcurrencyLimit::keep_least(const LatencyEstimate& latency) {
  const double by_luck = limit_ < LatencyCohorts::size || !least_
                             ? 0
                             : errors_apart * std::hypot(latency.error, least_->error);
  if (least_ && latency.ln_mean >= least_->ln_mean - by_luck) return;
  least_ = latency;
}

// Two that began one after the other, because what slows one for a moment slows all of that time.
bool ConcurrencyLimit::strays_again(const Measured& m, bool strays) {
  if (strayed_before_ != 0 && m.cohort < strayed_before_) return false;
  const bool again = strays && strayed_before_ != 0;
  strayed_before_ = strays && !again ? cohorts_.next() : 0;
  return again;
}

void ConcurrencyLimit::settle(double limit, std::optional<LatencyEstimate> there, Time next_trial) {
  rising_ = trying_ = in_doubt_ = false;
  strayed_before_ = 0;
  const std::uint32_t before = std::exchange(limit_, bounded(limit));
  steady_limit_ = limit_;
  if (before != limit_) binding_ = false;
  steady_ = there;
  trial_.reset();
  cohorts_.clear();
  try_at_ = next_trial;
}

void ConcurrencyLimit::grow(const Flight& call, Duration latency, Time now) {
  const bool of_concern = to_seconds(latency) >= of_concern_s;
  const bool longer = of_concern && least_ && to_seconds(latency) > risen_by * least_->seconds();
  if (told_ || !binding_ || longer) return;
  std::uint32_t wanted = bounded(slow_.answered(limit_, call.in_flight));
  // Halfway to what was too many: each try may bring the server down.
  if (ceiling_.holds(now))
    wanted = std::min(wanted, std::max(1u, (slow_.proven() + ceiling_.at()) / 2));
  // Without a baseline only their order tells of a queue.
  in_doubt_ &= !least_;
  if (of_concern && !least_ && queues_by_order(now)) return;
  if (!in_doubt_ && wanted > limit_) limit_ = wanted;
}

bool ConcurrencyLimit::queues_by_order(Time now) {
  if (!slow_.has_heard()) return false;
  const std::vector<OrderedCall> calls = cohorts_.oldest(now);
  const double errors = longer_by_order(calls);
  in_doubt_ = errors > doubtful_errors;
  if (errors < sure_errors) return false;
  settle(std::min<double>(limit_, slots_by_order(calls) * room), std::nullopt, now);
  next_is_up_ = false;
  // What few calls show is less near, and a lower limit for a while costs few.
  stride_ = limit_ < LatencyCohorts::size ? stride_of_few : stride_least;
  known_until_ = now; // there is no baseline yet
  return true;
}

void ConcurrencyLimit::rise(const Measured& m, Time now) {
  if (!least_) {
    least_ = m.latency;
    return;
  }
  const double risen = m.latency.ln_mean - least_->ln_mean;
  const double unsure = std::hypot(m.latency.error, least_->error);
  const bool of_concern = m.latency.seconds() >= of_concern_s;
  const bool has_risen = of_concern && risen >= std::max(std::log(risen_by), risen_errors * unsure);
  const bool beyond_luck =
      of_concern && risen >= std::max(std::log(doubled), no_luck_errors * unsure);
  if (strays_again(m, has_risen) || beyond_luck) {
    settle(m.in_flight * std::exp(unsure - std::min(risen, fall_most)) * room, std::nullopt, now);
    next_is_up_ = false;
    stride_ = stride_least;
    known_until_ = now; // perhaps the first calls stood in a queue already
  } else if (m.in_flight >= most_ && !has_risen) {
    // Calls that were taken up while their number doubled: what they took is the baseline.
    known_until_ = most_ >= 2 * first ? now + least_holds : now;
    settle(limit_, std::nullopt, now + try_every);
  }
  // All of them together: the least of many is low by luck.
  if (!has_risen) least_->add(m.latency);
}

void ConcurrencyLimit::watch(const Measured& m, Time now) {
  if (!steady_) {
    steady_ = m.latency;
  } else {
    const double change = m.latency.ln_mean - steady_->ln_mean;
    const double apart = changed_errors * std::hypot(m.latency.error, steady_->error);
    const bool strays = is_of_concern(m.latency, *steady_) &&
                        std::abs(change) > std::max(std::log(changed_by), apart);
    if (strays_again(m, strays))
      follow(m.latency, change, now);
    else if (!strays)
      steady_->add(m.latency);
  }
  if (now < try_at_ || errors_to_tell * steady_->error > std::log(stride_most)) return;
  if (next_is_up_ && !may_be(limit_ + 1, now)) next_is_up_ = false;
  if (!next_is_up_ && !a_queue_is_suspected(now)) {
    next_is_up_ = true;
    stride_ = std::min(stride_, stride_most); // it was meant for a lower one
  }
  if (next_is_up_) {
    if (const auto up = stride_up()) try_other(std::max(limit_ * *up, limit_ + 1.0), now);
    return;
  }
  const double stride = std::max(stride_, std::exp(errors_to_tell * steady_->error));
  // Half of the way to where the baseline would be.
  const double queue = std::exp((steady_->ln_mean - least_->ln_mean) / 2);
  const double far = std::max(stride, std::min(queue, stride_after_change));
  try_other(std::min(limit_ / far, limit_ - 1.0), now);
}

// Nothing: more is to be measured first.
std::optional<double> ConcurrencyLimit::stride_up() const {
  const double told_apart = std::exp(errors_to_tell * steady_->error);
  if (wary_ == 0) return std::max(stride_, told_apart);
  if (told_apart > stride_least && steady_->calls < calls_to_tell) return std::nullopt;
  return std::max(std::min(stride_, stride_least), told_apart);
}

// The server has another speed than before, or other slots: a trial says which.
void ConcurrencyLimit::follow(const LatencyEstimate& changed, double by, Time now) {
  steady_ = changed;
  next_is_up_ = by < 0;
  stride_ = std::min(std::exp(std::abs(by)), stride_after_change);
  try_at_ = now;
}

bool ConcurrencyLimit::a_queue_is_suspected(Time now) const {
  if (!least_ || steady_->seconds() < of_concern_s) return false;
  const double luck = of_the_least * least_->error;
  return now >= known_until_ ||
         steady_->ln_mean - least_->ln_mean > std::max(std::log(queue_suspected), luck);
}

void ConcurrencyLimit::try_other(double limit, Time now) {
  const std::uint32_t other = bounded(limit);
  const bool too_near = other <= limit_ * room && limit_ <= other * room;
  if (too_near || (other > limit_ && !may_be(other, now))) {
    try_at_ = now + try_every;
    return;
  }
  trying_ = true;
  binding_ = false;
  strayed_before_ = 0;
  trial_.reset();
  cohorts_.clear();
  limit_ = other;
}

void ConcurrencyLimit::compare(const Measured& m, Time now) {
  if (trial_)
    trial_->add(m.latency);
  else
    trial_ = m.latency;
  const bool up = limit_ > steady_limit_;
  if (!is_of_concern(*trial_, *steady_))
    return up ? keep_tried(now) : settle(steady_limit_, steady_, now + try_every);
  const double step = std::log(static_cast<double>(limit_) / steady_limit_);
  const double elasticity = (trial_->ln_mean - steady_->ln_mean) / step;
  const double error = std::hypot(trial_->error, steady_->error) / std::abs(step);
  const double odds = (elasticity - 0.5) / (error * error); // of a queue, as logarithm
  const double to_raise = wary_ > 0 ? odds_to_lower : odds_to_raise;
  if (up ? odds < -to_raise : odds > odds_to_lower) return keep_tried(now);
  if (!up && odds < -odds_to_return) return there_is_no_queue(now);
  if (up && odds > odds_to_return) return return_between(elasticity, now);
  // Too high costs some latency, too low costs calls: in doubt it is higher.
  if (trial_->calls >= calls_to_tell || trial_->error < steady_->error / errors_apart)
    return_between(elasticity - error, now);
}

void ConcurrencyLimit::keep_tried(Time now) {
  shrunk_ = false;
  const bool up = limit_ > steady_limit_;
  if (up && wary_ > 0) --wary_;
  const double stride = up ? 1.0 * limit_ / steady_limit_ : 1.0 * steady_limit_ / limit_;
  settle(limit_, trial_, now);
  next_is_up_ = up;
  stride_ = std::min(stride * stride_least, stride_most);
}

// That shows more than the least of many measurements.
void ConcurrencyLimit::there_is_no_queue(Time now) {
  least_ = steady_;
  known_until_ = now + least_holds;
  settle(steady_limit_, steady_, now);
  next_is_up_ = true;
  stride_ = stride_most;
}

// Between the two lies the knee: where latency begins to rise.
void ConcurrencyLimit::return_between(double elasticity, Time now) {
  shrunk_ = false;
  const bool up = limit_ > steady_limit_;
  const double high = std::max(limit_, steady_limit_), low = std::min(limit_, steady_limit_);
  const double queue = std::log(high / low) * std::clamp(elasticity, 0.0, 1.0);
  const double knee = std::clamp(high * std::exp(-queue) * room, low, high);
  // What was found before is left for what was taken up, not for a guess.
  const bool stay = up ? wary_ > 0 || knee < steady_limit_ * room : knee > steady_limit_ / room;
  settle(stay ? steady_limit_ : knee, stay ? steady_ : std::nullopt, now + try_every);
  if (up && wary_ > 0) wary_ = wary_of_found;
  next_is_up_ = !up;
  stride_ = stride_least;
}

void ConcurrencyLimit::told(const protocol::QueueReport& report, std::uint32_t in_flight,
                            Time now) {
  const std::uint32_t steady = trying_ ? steady_limit_ : limit_;
  const std::uint32_t wanted = bounded(queue_.told(report, {in_flight, steady, binding_}, now));
  if (!queue_.decides(now)) return;
  told_ = true;
  shrunk_ = false;
  if (trying_) settle(steady_limit_, std::nullopt, now);
  if (report.waiting > 0) rising_ = false;
  if (wanted == limit_ || (wanted > limit_ && !may_be(wanted, now))) return;
  limit_ = wanted;
  binding_ = false;
}

// Nothing that was measured before holds for the limit that there is now.
void ConcurrencyLimit::feel_again(Time now) {
  told_ = false;
  stride_ = stride_most;
  cohorts_.clear();
  if (!rising_) settle(limit_, std::nullopt, now + try_every);
}

void ConcurrencyLimit::overloaded(Time now) {
  if (!ceiling_.overloaded(limit_, now)) return;
  // What is more than were in flight among the answered was too much.
  const double answered = answered_in_flight_ > 0 ? answered_in_flight_ : limit_;
  settle(std::min(limit_ * shrink_by, answered), std::nullopt, now + try_every);
  shrunk_ = true;
}

void ConcurrencyLimit::went_down(std::uint32_t in_flight, Time now) {
  if (!ceiling_.went_down(in_flight, limit_, now)) return;
  const std::uint32_t half = bounded(in_flight / 2.0);
  if (half >= limit_) return;
  if (!rising_) return settle(half, std::nullopt, now + try_every);
  limit_ = half;
}

} // namespace gristmill::rate_limiter
