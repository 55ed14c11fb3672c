// PART TALLY: what a part has been through, as far as it decides what follows from its next
// failure. Plain data; VERDICT says how it changes.
#pragma once

#include "actors/supervisor/parts/last_words.hpp"
#include "protocol/ids.hpp"

#include <cstdint>
#include <memory>

namespace gristmill::supervisor {

struct PartTally {
  std::uint32_t tries = 0;    // attempts that ended
  std::uint32_t consumed = 0; // those that count against --retries
  std::uint32_t deaths = 0;   // of workers that made its call
  bool repaired = false;      // its model was told what was wrong with an answer
  bool on_fallback = false;   // its calls ask for the fallback model; `consumed` counts them alone
  CallId fallback_from = {};  // … those of this life that came before this one do not
  std::shared_ptr<const LastWords> words = {}; // of its last failure that cost nothing yet
  std::uint8_t alone_failures = 0;             // while it ran alone
  std::uint32_t losses = 0;                    // calls of it with which an endpoint went down
  std::uint32_t probes = 0;                    // … in vain, with nobody left to compare it with
  std::uint8_t refusals = 0;                   // each after another was answered
  std::uint64_t refused_after = 0;             // … so many had been, at the last
  std::uint64_t alone_after = 0; // it is tried alone when the job has had so many answers
};

} // namespace gristmill::supervisor
