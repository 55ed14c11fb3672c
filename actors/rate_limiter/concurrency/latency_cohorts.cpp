#include "actors/rate_limiter/concurrency/latency_cohorts.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr std::size_t ended_least = LatencyCohorts::size - LatencyCohorts::size / 10;
constexpr std::uint32_t calls_remembered = 512;
constexpr double cohorts_remembered = 16;
constexpr double shortest_s = 1e-6;

// Of an estimate of n calls the error is this by the root of n.
double deviation_of(double variance) {
  return std::sqrt(variance + variance * variance / 2);
}

} // namespace

double LatencyEstimate::seconds() const {
  return std::exp(ln_mean);
}

void LatencyEstimate::add(const LatencyEstimate& other) {
  const double old = std::min<double>(calls, calls_remembered - LatencyCohorts::size);
  const double more = other.calls;
  ln_mean = (ln_mean * old + other.ln_mean * more) / (old + more);
  error = std::hypot(error * old, other.error * more) / (old + more);
  calls = static_cast<std::uint32_t>(old + more);
}

Flight LatencyCohorts::begun(std::size_t open_most, std::uint32_t in_flight, Time now) {
  if (open_.empty() || open_.back().begun == size) {
    if (open_.size() >= open_most) return {0, 0, in_flight};
    open_.push_back({next_++, in_flight, 0, 0, false, {}, {}});
  }
  Cohort& cohort = open_.back();
  ++cohort.begun;
  cohort.calls.push_back({now, 0, Call::State::under_way});
  return {cohort.id, static_cast<std::uint32_t>(cohort.calls.size() - 1), in_flight};
}

void LatencyCohorts::bind() {
  for (Cohort& cohort : open_) cohort.bound = true;
}

LatencyCohorts::Cohort* LatencyCohorts::find(std::uint64_t id) {
  const auto found = std::find_if(open_.begin(), open_.end(),
                                  [id](const Cohort& cohort) { return cohort.id == id; });
  return found == open_.end() ? nullptr : &*found;
}

void LatencyCohorts::answered(const Flight& call, Duration latency) {
  Cohort* cohort = find(call.cohort);
  if (cohort == nullptr) return;
  const double ln_seconds = std::log(std::max(to_seconds(latency), shortest_s));
  cohort->ended.push_back(ln_seconds);
  Call& known = cohort->calls.at(call.place);
  known.ln_seconds = ln_seconds;
  known.state = Call::State::answered;
}

void LatencyCohorts::ended_otherwise(const Flight& call) {
  Cohort* cohort = find(call.cohort);
  if (cohort == nullptr) return;
  cohort->calls.at(call.place).state = Call::State::ended_otherwise;
  // Another one takes its place, if it can.
  if (cohort == &open_.back()) {
    --cohort->begun;
  } else {
    ++cohort->ended_otherwise;
  }
}

std::vector<OrderedCall> LatencyCohorts::oldest(Time now) const {
  std::vector<OrderedCall> calls;
  if (open_.empty()) return calls;
  for (const Call& call : open_.front().calls) {
    if (call.state == Call::State::ended_otherwise) continue;
    const bool ended = call.state == Call::State::answered;
    calls.push_back(
        {ended ? call.ln_seconds : std::log(std::max(to_seconds(now - call.begun), shortest_s)),
         ended});
  }
  return calls;
}

// Of a cohort that was mostly something else nothing is learned.
std::optional<LatencyCohorts::Measured> LatencyCohorts::take() {
  while (!open_.empty()) {
    const Cohort& oldest = open_.front();
    if (oldest.begun < size || oldest.ended.size() + oldest.ended_otherwise < ended_least) break;
    const Cohort over = std::move(open_.front());
    open_.erase(open_.begin());
    if (over.ended.size() >= size / 2)
      return Measured{estimate(over), over.id, over.in_flight, over.bound};
  }
  return std::nullopt;
}

LatencyEstimate LatencyCohorts::estimate(const Cohort& cohort) {
  const double longest = *std::max_element(cohort.ended.begin(), cohort.ended.end());
  const std::uint32_t calls = size - cohort.ended_otherwise;
  const double unended = static_cast<double>(calls - cohort.ended.size());
  double sum = longest * unended;
  for (const double x : cohort.ended) sum += x;
  const double mean = sum / calls;
  double squares = (longest - mean) * (longest - mean) * unended;
  for (const double x : cohort.ended) squares += (x - mean) * (x - mean);
  const double variance = squares / (calls - 1);
  cohorts_ = std::min(cohorts_ + 1, cohorts_remembered);
  variance_ += (variance - variance_) / cohorts_;
  const double error = deviation_of(std::max(variance, variance_)) / std::sqrt(calls);
  return {mean + variance / 2, error, calls};
}

} // namespace gristmill::rate_limiter
