// JOINED LINE: the line of an item of several parts, made of the lines of its parts. The answer of
// one model is the item's (model_answer.hpp); those of several models stand beside each other
// (model_answers.hpp). If a part failed, the item has failed, and its line says which, and what the
// chunks of its text answered. A line that would be too long says that instead of the answer.
// Invariant: the same parts give the same line, in every life and on every machine.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/line/part_text.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::openai {

struct JoinedLine {
  OutcomeClass cls = OutcomeClass::ok;
  std::string code, message; // of a failed one
  std::string line;
};

// `about`: item, source and input of the item; what its calls took is added up here. `parts`: all
// of them, sorted by their numbers; there is at least one. An answer that makes a line of more than
// `line_bytes_max` bytes becomes an error, a bad result with the code `result_too_long`; a failure
// that does loses only what its parts answered.
JoinedLine joined_line(JobId job, std::string_view custom_id, Provenance about, PartTexts parts,
                       std::uint64_t line_bytes_max);

// Whether nothing is missing between parts that have all been answered. Whose part is missing would
// be joined as if it were whole.
Result<> check_whole(PartTexts parts);

// Whether an item's line says what its parts say, as far as any release would join them: an item
// with a failed part has no answer; the chunks are all of its text; a text, a vector, a label and
// its votes are those that the parts make together; of several models each answer stands as its
// parts have it. Who ended an item for another reason has asked no part.
Result<> check_joined_line(std::string_view line, PartTexts parts);

} // namespace gristmill::openai
