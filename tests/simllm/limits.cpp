#include "limits.hpp"

#include "text.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <string_view>
#include <utility>

namespace gristmill::simllm {
namespace {

// Waits are computed in doubles; a nanosecond's worth of rounding must not refuse a call whose
// refill is exactly due.
constexpr double tolerance = 1e-6;

std::uint64_t rounded_up(double value) {
  return static_cast<std::uint64_t>(std::ceil(value));
}

// The wall clock's, like every time that is told as a moment.
void append_moment(std::string& out, double in_seconds, const char* format) {
  const auto at =
      static_cast<std::time_t>(std::ceil(static_cast<double>(std::time(nullptr)) + in_seconds));
  char text[40];
  std::tm parts{};
  out.append(text, std::strftime(text, sizeof text, format, ::gmtime_r(&at, &parts)));
}

void append_reset(std::string& out, double in_seconds, LimitWording::Resets form) {
  switch (form) {
  case LimitWording::Resets::durations: return append_go_duration(out, in_seconds);
  case LimitWording::Resets::rfc3339: return append_moment(out, in_seconds, "%Y-%m-%dT%H:%M:%SZ");
  case LimitWording::Resets::epoch: return append_moment(out, in_seconds, "%s");
  }
}

void append_bucket(std::string& out, const Bucket& bucket, std::string_view name,
                   LimitWording::Resets resets) {
  if (!bucket.enabled()) return;
  out.append("x-ratelimit-limit-").append(name).append(": ");
  append_number(out, static_cast<std::uint64_t>(std::llround(bucket.per_minute())));
  out.append("\r\nx-ratelimit-remaining-").append(name).append(": ");
  append_number(out, static_cast<std::uint64_t>(bucket.remaining() + tolerance));
  out.append("\r\nx-ratelimit-reset-").append(name).append(": ");
  append_reset(out, bucket.full_in_s(), resets);
  out += "\r\n";
}

} // namespace

Bucket::Bucket(double per_minute, double burst_s, double least_capacity)
    : per_second_(per_minute / 60), capacity_(std::max(per_second_ * burst_s, least_capacity)),
      level_(capacity_) {}

void Bucket::refill(std::uint64_t now_ns) {
  if (refilled_ns_ != 0) {
    const double passed_s = static_cast<double>(now_ns - refilled_ns_) * 1e-9;
    level_ = std::min(capacity_, level_ + passed_s * per_second_);
  }
  refilled_ns_ = now_ns;
}

double Bucket::wait_s(double cost) const {
  if (!enabled()) return 0;
  const double missing = std::min(cost, capacity_) - level_;
  return missing > tolerance ? missing / per_second_ : 0;
}

double Bucket::full_in_s() const {
  return enabled() ? (capacity_ - level_) / per_second_ : 0;
}

RateLimits::RateLimits(const PerMinute& most, double burst_s)
    : requests_(most.requests, burst_s, 1), tokens_(most.tokens, burst_s, 1),
      input_(most.input_tokens, burst_s, 1), output_(most.output_tokens, burst_s, 1) {}

LimitNotice RateLimits::admit(const TokenCharge& tokens, std::uint64_t now_ns) {
  const double input = static_cast<double>(tokens.input),
               output = static_cast<double>(tokens.output);
  const std::pair<Bucket*, double> costs[]{
      {&requests_, 1}, {&tokens_, input + output}, {&input_, input}, {&output_, output}};
  double wait_s = 0, requests_wait_s = 0;
  for (const auto& [bucket, cost] : costs) {
    if (!bucket->enabled()) continue;
    bucket->refill(now_ns);
    wait_s = std::max(wait_s, bucket->wait_s(cost));
    if (bucket == &requests_) requests_wait_s = wait_s;
  }
  if (wait_s <= 0)
    for (const auto& [bucket, cost] : costs)
      if (bucket->enabled()) bucket->charge(cost);
  return {requests_, tokens_, wait_s, wait_s > requests_wait_s};
}

void append_retry_after(std::string& out, double seconds, bool as_date) {
  out += "Retry-After: ";
  if (as_date)
    append_moment(out, seconds, "%a, %d %b %Y %H:%M:%S GMT");
  else
    append_number(out, seconds);
  out += "\r\n";
}

void LimitNotice::append_headers(std::string& out) const {
  if (refused()) {
    append_retry_after(out, std::ceil(wait_s), wording.retry_at);
    if (!wording.retry_at) {
      out += "retry-after-ms: ";
      append_number(out, rounded_up(wait_s * 1e3));
      out += "\r\n";
    }
  }
  if (wording.hidden) return;
  append_bucket(out, requests, "requests", wording.resets);
  append_bucket(out, tokens, "tokens", wording.resets);
}

void append_go_duration(std::string& out, double seconds) {
  const std::uint64_t total_ms = rounded_up(std::max(0.0, seconds * 1e3 - tolerance));
  if (total_ms > 0 && total_ms < 1000) {
    append_number(out, total_ms);
    out += "ms";
    return;
  }
  const std::uint64_t minutes = total_ms / 60000;
  if (minutes >= 60) {
    append_number(out, minutes / 60);
    out += 'h';
  }
  if (minutes > 0) {
    append_number(out, minutes % 60);
    out += 'm';
  }
  append_number(out, total_ms % 60000 / 1000);
  if (const auto thousandths = total_ms % 1000; thousandths != 0) {
    const std::string digits = std::to_string(1000 + thousandths);
    const auto last = digits.find_last_not_of('0');
    out.append(".").append(digits, 1, last);
  }
  out += 's';
}

} // namespace gristmill::simllm
