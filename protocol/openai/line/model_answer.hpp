// MODEL ANSWER: the answer that one model's parts make together. Those of the highest level make
// it: chunks, or the one step that joins all answers below it. What stands below counts only for
// attempts, latency and failures, and one failed part fails the whole.
//
//   one part              its own response, byte for byte
//   chunks with labels    each votes with its bytes; the text is the label with most of them
//   chunks with texts     one chat, in the order of the text
//   chunks with vectors   one vector (pooled_vector.hpp)
//   other parts           chats as one chat, else a list of the bodies
//
// Invariant: all of it follows from the parts' lines.
#pragma once

#include "protocol/openai/line/part_text.hpp"
#include "protocol/openai/line/votes.hpp"
#include "protocol/text/json_text.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::openai {

struct ModelFailure {
  OutcomeClass cls = OutcomeClass::ok;
  Failure said;
  std::string where; // "chunk 3 of 12", "step 2 of level 1", "part 3 of 12"; empty = in none alone

  std::string sentence() const; // WHERE failed: CODE: MESSAGE
};

struct ModelAnswer {
  Taken taken; // by all parts
  std::optional<ModelFailure> failure;
  std::string response;     // as a line has it; of a failed one the failed part's; empty = none
  std::uint64_t chunks = 0; // of the text; 0 = it is not divided
  Labelled labelled;
  std::string chunk_answers; // of a failed one: what each chunk answered (chunks_json)

  bool is_answered() const { return !failure; }
};

// There is at least one part, and all are of one model.
ModelAnswer answer_of(PartTexts parts);

// What the model said, without its thoughts; of chunks that voted the label that they gave.
std::string text_of_answer(PartTexts parts);

// What of a line's response is not as the parts have it: "response", "text" or "vector"; empty =
// nothing. An answer of several parts is held to its text or its vector alone, because another
// release may make the rest of its body in another way.
std::string_view other_in(json::Value response, PartTexts parts, const ModelAnswer& answer);

} // namespace gristmill::openai
