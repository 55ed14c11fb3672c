// ANSWER SCHEMA: the JSON schema (draft 7) that a job's answers are checked against. Patterns are
// matched by RE2, which needs no more time for a hostile text than for another. `format` is an
// annotation, and is not checked. Invariant: a schema that was accepted gives a verdict on every
// JSON text; nothing outside of it is read.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::openai {

class AnswerSchema {
public:
  static constexpr std::size_t bytes_max = 256u << 10, depth_max = 64;
  // The library goes from schema to schema by recursion. So many may have a reference within, and
  // so many may be applied to one value, each by the one before.
  static constexpr std::size_t referring_max = 1'000, at_one_value_max = 24;
  // Instructions of RE2 for all patterns, and bytes for each.
  static constexpr int pattern_steps_max = 100'000, pattern_bytes_max = 1 << 20;
  // How often a schema is applied within one check: alternatives in alternatives may be tried as
  // often as there are ways through them.
  static constexpr std::uint64_t steps_max = 200'000;

  // An error says what of the schema cannot be checked, and where.
  static Result<AnswerSchema> compile(std::string_view json);

  // Of an answer that does not fit. `pointer`: of what of it, empty = the whole.
  struct Misfit {
    std::string pointer, sentence;
  };
  // `json` is known to be JSON. Nothing = it fits.
  std::optional<Misfit> check(std::string_view json) const;

private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

// That of the job's `response_format`, as JSON; empty = it has none, or is not to be checked.
std::string_view schema_to_check(const JobSpec& spec);
// Compiled; nullptr = there is nothing to check.
std::shared_ptr<const AnswerSchema> answer_schema_of(const JobSpec& spec);

} // namespace gristmill::openai
