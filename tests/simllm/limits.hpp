// Rate limits as a provider enforces them: requests and tokens per minute, and input and output
// tokens by themselves, each a token bucket.
//
// A bucket refills continuously at its rate and holds `burst_s` seconds' worth, but never less than
// one request. A call passes when all buckets hold what it costs; then all are charged, at
// admission, for the request and for its prompt and answer tokens. A refused call costs nothing. A
// call that costs more than a full bucket passes when the bucket is full and leaves it in debt,
// otherwise it could never pass.
// Invariant: over any span of t seconds, what passed is at most rate * t + capacity + one call.
#pragma once

#include <cstdint>
#include <string>

namespace gristmill::simllm {

class Bucket {
public:
  Bucket() = default;
  Bucket(double per_minute, double burst_s, double least_capacity);

  bool enabled() const { return per_second_ > 0; }
  void refill(std::uint64_t now_ns);
  double wait_s(double cost) const; // 0 when the cost is there now
  void charge(double cost) { level_ -= cost; }

  double per_minute() const { return per_second_ * 60; }
  double remaining() const { return level_ > 0 ? level_ : 0; }
  double full_in_s() const;

private:
  double per_second_ = 0;
  double capacity_ = 0;
  double level_ = 0;
  std::uint64_t refilled_ns_ = 0;
};

// How times are told: as so long from now, or as a moment.
struct LimitWording {
  bool hidden = false;   // no header but those of a refusal
  bool retry_at = false; // Retry-After as an HTTP date
  enum class Resets { durations, rfc3339, epoch } resets = Resets::durations;
};

// "Retry-After: 2" or the date of that moment, rounded up to whole seconds.
void append_retry_after(std::string& out, double seconds, bool as_date);

// What a call costs of each bucket of tokens.
struct TokenCharge {
  std::uint64_t input = 0, output = 0;
};

// What the client is told about the limits; taken at admission, so later calls cannot change it.
struct LimitNotice {
  Bucket requests;
  Bucket tokens;
  double wait_s = 0; // above 0: refused
  bool refused_for_tokens = false;

  bool refused() const { return wait_s > 0; }
  void append_headers(std::string& out) const;
  LimitWording wording = {};
};

class RateLimits {
public:
  RateLimits() = default;
  struct PerMinute {
    double requests = 0, tokens = 0, input_tokens = 0, output_tokens = 0; // 0: no limit
  };
  RateLimits(const PerMinute& most, double burst_s);

  // `now_ns` must not go back.
  LimitNotice admit(const TokenCharge& tokens, std::uint64_t now_ns);

private:
  Bucket requests_;
  Bucket tokens_, input_, output_;
};

// A duration as Go prints it, in whole milliseconds rounded up: 12ms, 1.5s, 6m0s, 1h0m0.25s.
void append_go_duration(std::string& out, double seconds);

} // namespace gristmill::simllm
