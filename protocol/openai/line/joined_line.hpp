// JOINED LINE: the line of an item of several parts, made of the lines of its parts. Answers of
// chats are joined in the order of the parts; other answers stand in a list in that order. Parts
// that several models were asked are told apart (model_answers.hpp). If a part failed, the item has
// failed, and its line says which.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/line/part_text.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <string>
#include <string_view>

namespace gristmill::openai {

struct JoinedLine {
  OutcomeClass cls = OutcomeClass::ok;
  std::string code, message; // of a failed one
  std::string line;
};

// `about`: item, source and input of the item; what its calls took is added up here. `parts`: all
// of them, sorted by their numbers; there is at least one.
JoinedLine joined_line(JobId job, std::string_view custom_id, Provenance about, PartTexts parts);

// Whether an item's line says what its parts say, as far as any release would join them: an item
// with a failed part has no answer, and that of chats is all their texts; of several models each
// answer stands as its parts have it. Who ended an item for another reason has asked no part.
Result<> check_joined_line(std::string_view line, PartTexts parts);

} // namespace gristmill::openai
