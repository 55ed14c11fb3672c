#include "actors/rate_limiter/concurrency_limit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr std::uint32_t cohort_size = 32;
constexpr std::size_t cohort_ended = cohort_size - cohort_size / 10;
constexpr std::uint32_t calls_remembered = 512;
constexpr double stride_first = 1.25, stride_most = 2;
// A higher limit is worth it when latency rises by less than this power of the limit; a lower one
// when it falls by more than that.
constexpr double taken_up = 0.5, queued = 0.8;
constexpr double errors_apart = 2, risen_errors = 3, no_luck_errors = 5,
                 luck = 3.8; // luck: of the least of many measurements
constexpr double risen_by = 1.5, doubled = 2, changed_by = 1.3, queue_suspected = 1.15;
constexpr double of_concern_s = 0.025; // a shorter latency is not worth a thought
constexpr double room = 1.03;          // above the knee, so that no slot of the server is idle
constexpr std::size_t cohorts_most = 16;
constexpr double fall_most = 1.4; // of ln(limit) at once
constexpr double shrink_by = 0.7;
constexpr double timeouts_most = 0.1; // share of calls
constexpr auto try_every = std::chrono::seconds{4};
constexpr auto least_holds = std::chrono::seconds{60}, ceiling_holds = std::chrono::seconds{60};
constexpr auto burst = std::chrono::seconds{1};

} // namespace

double ConcurrencyLimit::Measurement::seconds() const {
  return std::exp(ln_mean);
}

void ConcurrencyLimit::Measurement::add(const Measurement& other) {
  const double old = std::min<double>(calls, calls_remembered - cohort_size), more = other.calls;
  ln_mean = (ln_mean * old + other.ln_mean * more) / (old + more);
  error = std::hypot(error * old, other.error * more) / (old + more);
  calls = static_cast<std::uint32_t>(old + more);
}

ConcurrencyLimit::ConcurrencyLimit(std::uint32_t most)
    : most_{most == 0 ? unbounded : most}, limit_{std::min(first, most_)}, stride_{stride_first},
      ceiling_{unbounded} {}

void ConcurrencyLimit::set_most(std::uint32_t most) {
  const bool bound = limit_ == std::exchange(most_, most == 0 ? unbounded : most);
  if (limit_ > most_) settle(most_, std::nullopt, try_at_);
  if (!bound || limit_ >= most_) return;
  // It was not the server that asked for less.
  limit_ = std::max(limit_, std::min(first, most_));
  rising_ = true;
  binding_ = trying_ = strayed_ = false;
}

std::uint32_t ConcurrencyLimit::bounded(double limit) const {
  return static_cast<std::uint32_t>(std::clamp(std::round(limit), 1.0, double{1.0 * most_}));
}

bool ConcurrencyLimit::may_be(std::uint32_t limit, Time now) const {
  return limit <= most_ && (limit < ceiling_ || now >= ceiling_until_);
}

bool ConcurrencyLimit::allows(std::uint32_t in_flight) {
  in_flight_ = in_flight;
  if (in_flight < limit_) return true;
  binding_ = true;
  return false;
}

// The first calls of all find an idle server, so they are measured before the limit binds.
std::uint64_t ConcurrencyLimit::begun() {
  if (!binding_ && !rising_) return 0;
  // Of many calls in flight several cohorts are as soon at their end as one of few.
  const std::size_t open_most =
      rising_ ? cohorts_most : std::clamp<std::size_t>(limit_ / (2 * cohort_size), 1, cohorts_most);
  if (cohorts_.empty() || cohorts_.back().begun == cohort_size) {
    if (cohorts_.size() >= open_most) return 0;
    cohorts_.push_back({next_cohort_++, 0, in_flight_ + 1, 0, {}});
  }
  ++cohorts_.back().begun;
  return cohorts_.back().id;
}

ConcurrencyLimit::Cohort* ConcurrencyLimit::find(std::uint64_t id) {
  const auto found = std::find_if(cohorts_.begin(), cohorts_.end(),
                                  [id](const Cohort& cohort) { return cohort.id == id; });
  return found == cohorts_.end() ? nullptr : &*found;
}

void ConcurrencyLimit::ended_otherwise(std::uint64_t id, Time now) {
  Cohort* cohort = find(id);
  if (cohort == nullptr) return;
  // Another one takes its place, if it can.
  if (cohort == &cohorts_.back()) {
    --cohort->begun;
    return;
  }
  ++cohort->ended_otherwise;
  conclude(*cohort, now);
}

void ConcurrencyLimit::timed_out(std::uint64_t id, Time now) {
  ended_otherwise(id, now);
  timeouts_ += (1 - timeouts_) / cohort_size;
  if (timeouts_ < timeouts_most) return;
  timeouts_ = 0;
  overloaded(now);
}

void ConcurrencyLimit::answered(std::uint64_t id, Duration latency, Time now) {
  timeouts_ -= timeouts_ / cohort_size;
  if (rising_ && binding_ && may_be(limit_ + 1, now)) ++limit_;
  Cohort* cohort = find(id);
  if (cohort == nullptr) return;
  cohort->ended.push_back(std::max(to_seconds(latency), 1e-6));
  conclude(*cohort, now);
}

bool ConcurrencyLimit::is_over(const Cohort& cohort) {
  return cohort.begun == cohort_size &&
         cohort.ended.size() + cohort.ended_otherwise >= cohort_ended;
}

// Of a cohort that was mostly something else nothing is learned.
void ConcurrencyLimit::conclude(Cohort& cohort, Time now) {
  if (!is_over(cohort)) return;
  const Cohort over = std::move(cohort);
  cohorts_.erase(cohorts_.begin() + (&cohort - &cohorts_.front()));
  if (over.ended.size() >= cohort_size / 2) measured(measure(over), over.in_flight, now);
}

ConcurrencyLimit::Measurement ConcurrencyLimit::measure(const Cohort& cohort) {
  const double longest = *std::max_element(cohort.ended.begin(), cohort.ended.end());
  double sum = 0, squares = 0;
  const auto count = [&](double seconds, double times) {
    sum += seconds * times;
    squares += seconds * seconds * times;
  };
  for (const double seconds : cohort.ended) count(seconds, 1);
  const std::uint32_t calls = cohort_size - cohort.ended_otherwise;
  count(longest, static_cast<double>(calls - cohort.ended.size()));
  const double mean = sum / calls;
  const double variance = std::max(0.0, squares / calls - mean * mean);
  return Measurement{std::log(mean), std::sqrt(variance / calls) / mean, calls};
}

void ConcurrencyLimit::measured(const Measurement& m, std::uint32_t in_flight, Time now) {
  if (rising_)
    rise(m, in_flight, now);
  else if (trying_)
    compare(m, now);
  else
    watch(m, now);
  // The least of many is low by luck, so a lower one counts where it cannot be luck alone; among
  // few calls in flight a mistake is cheap and an unheard queue long.
  const double by_luck =
      limit_ < cohort_size || !least_ ? 0 : errors_apart * std::hypot(m.error, least_->error);
  if (least_ && m.ln_mean >= least_->ln_mean - by_luck && now < least_at_ + least_holds) return;
  least_ = m;
  least_at_ = now;
}

void ConcurrencyLimit::rise(const Measurement& m, std::uint32_t in_flight, Time now) {
  if (limit_ >= most_ && binding_) return settle(limit_, std::nullopt, now + try_every);
  if (!least_ || m.seconds() < of_concern_s) return;
  const double risen = m.ln_mean - least_->ln_mean;
  const double unsure = std::hypot(m.error, least_->error);
  // Two in a row, because one of many is high by luck; unless it is beyond all luck.
  const bool has_risen = risen >= std::max(std::log(risen_by), risen_errors * unsure);
  const bool beyond_luck = risen >= std::max(std::log(doubled), no_luck_errors * unsure);
  const bool before = std::exchange(strayed_, has_risen);
  if (!beyond_luck && !(before && has_risen)) return;
  settle(in_flight * std::exp(unsure - std::min(risen, fall_most)) * room, std::nullopt, now);
  next_is_up_ = false;
  stride_ = stride_most;
}

void ConcurrencyLimit::settle(double limit, std::optional<Measurement> there, Time next_trial) {
  rising_ = trying_ = strayed_ = false;
  const std::uint32_t before = std::exchange(limit_, bounded(limit));
  steady_limit_ = limit_;
  if (before != limit_) binding_ = false;
  steady_ = there;
  trial_.reset();
  cohorts_.clear();
  try_at_ = next_trial;
}

void ConcurrencyLimit::watch(const Measurement& m, Time now) {
  if (!steady_) {
    steady_ = m;
    return;
  }
  const double change = m.ln_mean - steady_->ln_mean;
  const double apart = 2 * errors_apart * std::hypot(m.error, steady_->error);
  const bool of_concern = std::max(m.seconds(), steady_->seconds()) >= of_concern_s;
  // Two in a row here as well: one that was chosen for its distance is no measure to compare with.
  const bool strays = of_concern && std::abs(change) > std::max(std::log(changed_by), apart);
  const bool strayed = std::exchange(strayed_, strays);
  if (strays && strayed) {
    // The server has another speed than before, or other slots: a trial says which.
    steady_ = m;
    next_is_up_ = change < 0;
    stride_ = std::clamp(std::exp(std::abs(change)), stride_first, 4.0);
    try_at_ = now;
    strayed_ = false;
  } else if (!strays) {
    steady_->add(m);
  }
  if (now < try_at_) return;
  const bool queue = of_concern && least_ &&
                     steady_->ln_mean - least_->ln_mean >
                         std::max(std::log(queue_suspected), luck * least_->error);
  if (next_is_up_ && !may_be(limit_ + 1, now)) next_is_up_ = false;
  if (!next_is_up_ && !queue) next_is_up_ = true;
  try_other(next_is_up_ ? std::max(limit_ * stride_, limit_ + 1.0)
                        : std::min(limit_ / stride_, limit_ - 1.0),
            now);
}

void ConcurrencyLimit::try_other(double limit, Time now) {
  const std::uint32_t other = bounded(limit);
  if (other == limit_ || (other > limit_ && !may_be(other, now))) {
    try_at_ = now + try_every;
    return;
  }
  trying_ = true;
  binding_ = strayed_ = false;
  trial_.reset();
  cohorts_.clear();
  limit_ = other;
}

void ConcurrencyLimit::compare(const Measurement& m, Time now) {
  if (trial_)
    trial_->add(m);
  else
    trial_ = m;
  const double step = std::log(static_cast<double>(limit_) / steady_limit_);
  const double rise = trial_->ln_mean - steady_->ln_mean;
  const double elasticity = rise / step;
  const double error = std::hypot(trial_->error, steady_->error) / std::abs(step);
  const bool up = step > 0;
  const double limit_of_gain = up ? taken_up : queued;
  const bool of_concern = std::max(trial_->seconds(), steady_->seconds()) >= of_concern_s;
  if (of_concern && std::abs(elasticity - limit_of_gain) < errors_apart * error &&
      trial_->calls < calls_remembered)
    return;
  const bool better = up ? !of_concern || elasticity < taken_up : of_concern && elasticity > queued;
  if (better) {
    const double stride = std::min(std::exp(std::abs(step)) * stride_first, stride_most);
    settle(limit_, trial_, now);
    next_is_up_ = up;
    stride_ = stride;
    return;
  }
  // Between the two lies the knee: where latency begins to rise.
  const double high = std::max(limit_, steady_limit_), low = std::min(limit_, steady_limit_);
  // Too high costs some latency, too low costs calls: in doubt it is higher.
  const double queue = std::abs(step) * std::clamp(elasticity - error, 0.0, 1.0);
  const double knee = std::clamp(high * std::exp(-queue) * room, low, high);
  const bool stay = up ? knee < steady_limit_ * room : knee > steady_limit_ / room;
  const bool no_queue = !up && elasticity + error < taken_up;
  // That shows more than the least of many measurements.
  if (no_queue) {
    least_ = steady_;
    least_at_ = now;
  }
  settle(stay || !of_concern ? steady_limit_ : knee, stay ? steady_ : std::nullopt,
         no_queue ? now : now + try_every);
  next_is_up_ = !up;
  stride_ = no_queue ? stride_most : stride_first;
}

void ConcurrencyLimit::overloaded(Time now) {
  if (overloaded_at_ != Time::min() && now < overloaded_at_ + burst) return;
  overloaded_at_ = now;
  ceiling_ = std::max(2u, limit_);
  ceiling_until_ = now + ceiling_holds;
  settle(limit_ * shrink_by, std::nullopt, now + try_every);
}

} // namespace gristmill::rate_limiter
