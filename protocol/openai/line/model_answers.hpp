// MODEL ANSWERS: what an item's line says of several models that were asked, and of the judge who
// saw their answers. `response` is the first model's alone, so that who reads lines of one model
// can read these. Each model's answer stands in `gristmill.answers`, in the order of the job's -m,
// the judge's in `gristmill.judge`:
//
//   {"model":…,"endpoint":…,"attempts":…,"latency_ms":…,"response":{…}|null,
//    "error":{"code":…,"message":…}|null[,"label":…]}
//
// `error` is null exactly if it was answered; `response` is that of its line, so a server's error
// may stand there. Labels are voted on by those that answered.
// Invariant: all of it follows from the parts' lines.
#pragma once

#include "protocol/openai/line/part_text.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/result.hpp"

#include <string>
#include <string_view>

namespace gristmill::openai {

// Whether these parts are of several models, or a judge's is among them.
bool are_of_several(PartTexts parts);

// The parts of the first model.
PartTexts of_first_model(PartTexts parts);

// What a judge is to see of them, as members of a JSON object: "answer.1":"…","answer.2":"…", for
// each model the texts of its parts without its thoughts.
std::string answer_members(PartTexts parts);

// `label`: the judge's, else the one that most models gave; empty = there is none.
struct Judged {
  ModelAnswers answers;
  std::string label;
};
Judged judged(PartTexts parts);

// The class, code and sentence of the first part that failed. There is one.
protocol::Reply failure_of_models(PartTexts parts);

// Whether the line says of each model what its parts say.
Result<> check_model_answers(std::string_view line, PartTexts parts);

} // namespace gristmill::openai
