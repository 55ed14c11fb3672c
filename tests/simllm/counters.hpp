// What the server has done so far, as GET /stats tells it.
//
//   calls              model calls that arrived whole, refused and faulted ones included
//   completed          healthy 200 answers that were sent to the last byte
//   by_status          replies sent to the last byte (a truncated one counts); "0" is a connection
//                      ended without an answer
//   faults             hits of each fault kind
//   rate_limited       calls refused by --rpm or --tpm
//   abandoned          calls whose client went away before the answer was sent, hung ones included
//   in_flight          calls that have arrived and are neither answered nor abandoned
//   prompt_tokens, completion_tokens   of the completed calls
//   duplicate_attempts X-Request-Ids that were seen more than once
//
// Invariant: calls == sum of by_status + abandoned + in_flight.
#pragma once

#include "count_table.hpp"
#include "faults.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace gristmill::simllm {

// What remains to be counted of a call once it is over.
struct CallSummary {
  int status = 0;
  bool healthy = false;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::uint64_t prefix = 0; // to be kept when it is answered
};

class Counters {
public:
  void arrived(std::string_view attempt);
  void faulted(FaultKind kind) { ++faults_[static_cast<std::size_t>(kind)]; }
  void rate_limited() { ++rate_limited_; }
  void answered(const CallSummary& call);
  void abandoned();
  void connected();
  void disconnected() { --connections_; }

  // Forgets the past; what is in flight or connected now stays counted.
  void reset();
  std::string to_json() const;

private:
  std::uint64_t calls_ = 0;
  std::uint64_t completed_ = 0;
  std::map<int, std::uint64_t> by_status_;
  std::array<std::uint64_t, fault_kinds> faults_{};
  std::uint64_t rate_limited_ = 0;
  std::uint64_t abandoned_ = 0;
  std::uint64_t in_flight_ = 0;
  std::uint64_t peak_in_flight_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t peak_connections_ = 0;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t completion_tokens_ = 0;
  std::uint64_t duplicate_attempts_ = 0;
  CountTable attempts_;
};

} // namespace gristmill::simllm
