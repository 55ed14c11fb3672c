// LABELS: the task `classify` as text: the instruction that names the labels, and the label that an
// answer means. Models decorate: they quote, end with a full stop, say "The label is X."
// Invariant: an answer that could mean two labels means none.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/node/messages.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

// Stands at the end of the system message of every request of the task:
//
//   Answer with exactly one of these labels, spelled as here, and with nothing else.
//   Labels:
//   - LABEL
//   - …
std::string label_instruction(const std::vector<std::string>& labels);

// The label that is the whole answer, but for space, quotes and punctuation around it; else the
// only label that stands in the answer as a whole word. The case of A to Z does not count. Empty:
// there is none.
std::string_view label_in(std::string_view answer, const std::vector<std::string>& labels);

bool same_label(std::string_view a, std::string_view b);
std::string folded_label(std::string_view label); // equal for those that are the same

// Of an answer to the task `classify` that is whole, thoughts left out; of anything else nothing.
std::string label_of(const JobSpec& spec, const protocol::Reply& reply);

// An answer to the task `classify` that has no label becomes a bad result that says what came.
void judge_label(const JobSpec& spec, protocol::Reply& reply);

} // namespace gristmill::openai
