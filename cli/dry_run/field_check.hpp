// A prompt that asks the same of every document is refused before anything is paid, and one that
// has a field in single braces beside others is spoken of. Whoever forgot the braces wants to know
// which fields there are, so the first item of the inputs is looked at.
#pragma once

#include "protocol/job/spec.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli {

struct FieldCheck {
  std::string
      refusal;      // a sentence; empty = the template uses something of the documents, or need not
  std::string note; // a line for the user; empty = nothing is strange
};
Result<FieldCheck> check_fields(const JobSpec& spec);

// The names in single braces, as other tools write fields: {text}, ${text}.
std::vector<std::string> names_in_single_braces(std::string_view text);

} // namespace gristmill::cli
