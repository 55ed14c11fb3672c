#include "actors/jobs/appends.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <utility>

namespace gristmill::jobs {

void Appends::recovered(const std::vector<journal::AppendNote>& notes, bool is_closed) {
  is_closed_ = is_closed && !mutated("close_is_forgotten");
  for (const journal::AppendNote& note : notes) {
    by_key_[note.key] = {note.number, note.hash};
    inputs_.insert(inputs_.end(), note.inputs.begin(), note.inputs.end());
  }
}

Result<std::optional<Appended>> Appends::known(const AppendInputs& wanted) const {
  const auto it = by_key_.find(wanted.key);
  if (it == by_key_.end() || mutated("key_is_forgotten")) return std::nullopt;
  if (it->second.hash == wanted.hash) return Appended{it->second.number, true};
  return fail(ErrorCode::conflict,
              fmt::format("expected what was appended as \"{}\" before, which is append {} of {}, "
                          "got other inputs; another key appends these",
                          json::printable(wanted.key, 100), it->second.number,
                          to_string(wanted.job)));
}

Result<journal::AppendNote> Appends::append(AppendInputs wanted) {
  if (is_closed_)
    return fail(ErrorCode::conflict,
                fmt::format("expected an open job, {} was closed: no more inputs come to it",
                            to_string(wanted.job)));
  if (by_key_.size() >= limits::job_appends_max)
    return fail(ErrorCode::conflict,
                fmt::format("expected at most {} appends to a job; close {} and submit another one",
                            limits::job_appends_max, to_string(wanted.job)));
  if (inputs_.size() + wanted.inputs.size() > limits::appended_inputs_max)
    return fail(ErrorCode::conflict,
                fmt::format("expected at most {} appended inputs of a job, got {}; close {} and "
                            "submit another one",
                            limits::appended_inputs_max, inputs_.size() + wanted.inputs.size(),
                            to_string(wanted.job)));
  journal::AppendNote note{wanted.job,
                           count() + 1,
                           std::move(wanted.key),
                           std::move(wanted.hash),
                           wanted.bytes,
                           std::move(wanted.inputs)};
  for (InputSpec& input : note.inputs)
    input.name = fmt::format("append-{}/{}", note.number, input.name);
  by_key_[note.key] = {note.number, note.hash};
  inputs_.insert(inputs_.end(), note.inputs.begin(), note.inputs.end());
  return note;
}

} // namespace gristmill::jobs
