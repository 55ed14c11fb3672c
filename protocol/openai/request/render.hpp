// RENDER: an item becomes a request. Invariant: nothing is sent that neither the job nor its item
// states.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"

#include <string>
#include <string_view>

namespace gristmill::openai {

struct Request {
  std::string path; // below the base URL
  std::string body; // JSON
  std::string model;
};

// Renders one item: a batch line's body with the job's model and parameters laid over it, or the
// job's template filled with the item's fields ({{text}}, {{field}}; JSON strings as their text,
// other values as JSON). Nothing else is added, but for the labels of the task `classify`
// (labels.hpp). `default_model` is used when neither job nor line names one; `model`, when given,
// is asked for whatever they say. Errors: a template field that is missing (named), no model,
// `stream` asked for, a batch line that does not fit the job's task.
Result<Request> render(const JobSpec& spec, ItemKind kind, std::string_view raw,
                       std::string_view default_model, std::string_view model = {});
// The same for a job that has many items. An error of code `conflict`: the filled template has more
// than limits::request_bytes_max.
Result<Request> render(const JobSpec& spec, const DocumentTemplate& documents, ItemKind kind,
                       std::string_view raw, std::string_view default_model,
                       std::string_view model = {});

} // namespace gristmill::openai
