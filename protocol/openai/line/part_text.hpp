// PART TEXT: what the lines of an item's parts say, each by itself or added up.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/text/json_text.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gristmill::openai {

struct PartText {
  OutcomeClass cls = OutcomeClass::ok;
  std::string_view line;    // as result_line() wrote it
  std::uint32_t number = 0; // of the part: protocol/part_number.hpp
};
using PartTexts = std::span<const PartText>;

// As the line spells them.
std::string_view response_in(std::string_view line);
std::string_view body_in(std::string_view line);
json::Value about_in(std::string_view line); // what Gristmill adds

PartTexts::iterator first_failed(PartTexts parts); // or the end

struct Failure {
  std::string code, message;

  std::string sentence() const; // CODE: MESSAGE
  std::string json() const;     // {"code":…,"message":…}
};
Failure failure_of(std::string_view line); // of a failed part

// What parts of one model, or of several, took; model and endpoint are the first that are named.
struct Taken {
  std::string model, endpoint;
  std::uint32_t attempts = 0;
  std::uint64_t latency_ms = 0; // of the slowest
  bool cached = true;           // all of them took the answers of others
};
Taken taken_by(PartTexts parts);

} // namespace gristmill::openai
