// MODEL ANSWERS: what an item's line says of several models that were asked, and of the judge who
// saw their answers. `response` is the first model's alone, so that who reads lines of one model
// can read these. Each model's answer stands in `gristmill.answers`, in the order of the job's -m,
// the judge's in `gristmill.judge`:
//
//   {"model":…,"endpoint":…,"attempts":…,"latency_ms":…,"response":{…}|null,
//    "error":{"code":…,"message":…}|null[,"label":…|null][,"votes":{…}][,"tie":true]
//    [,"parts":[…]]}
//
// `error` is null exactly if it was answered; `response` is that of its line, so a server's error
// may stand there. What a model's chunks gave its label stands with it, and of a model that failed
// what its chunks answered. Labels are voted on by those that answered.
// Invariant: all of it follows from the parts' lines.
#pragma once

#include "protocol/openai/line/part_text.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/openai/line/votes.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::openai {

// Whether these parts are of several models, or a judge's is among them.
bool are_of_several(PartTexts parts);

// What a judge is to see of them, as members of a JSON object: "answer.1":"…","answer.2":"…", for
// each model the text of its answer without its thoughts.
std::string answer_members(PartTexts parts);
// … and what a step is to see that joins the answers of these parts: "answers":"…", their texts
// with a blank line between them.
std::string reduce_members(PartTexts children);

struct Judged {
  ModelAnswers answers;
  Labelled labelled;        // the judge's label, else the one that most models gave
  std::uint64_t chunks = 0; // of the item's text
  // The class, code and sentence of the first model that failed.
  std::optional<protocol::Reply> failure;
};
Judged judged(PartTexts parts);

// Whether the line says of each model what its parts say.
Result<> check_model_answers(std::string_view line, PartTexts parts);

} // namespace gristmill::openai
