#include "protocol/rules/chunk_faults.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/template/prompt_template.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill {
namespace {

using Fields = std::vector<std::string>;

bool is_text(std::string_view field, const RequestShape& shape) {
  return field == "text" || field == shape.text_field;
}

void check_sizes(const RequestShape& shape, Faults& faults) {
  const std::uint32_t tokens = shape.chunk_tokens, overlap = shape.chunk_overlap;
  if (tokens < limits::chunk_tokens_min || tokens > limits::chunk_tokens_max)
    return faults.add("--chunk-tokens",
                      fmt::format("{} to {}", limits::chunk_tokens_min, limits::chunk_tokens_max),
                      tokens);
  if (overlap > tokens / 2)
    faults.add("--chunk-overlap", fmt::format("at most half of --chunk-tokens {}", tokens),
               overlap);
}

// Each call must see its own chunk.
void check_text_is_used(const RequestShape& shape, Faults& faults) {
  if (shape.prompt.empty()) return; // the document itself
  for (const std::string* text : {&shape.prompt, &shape.system}) {
    const auto fields = openai::template_fields(*text);
    if (!fields) return; // which is complained of already
    for (const std::string& field : *fields)
      if (is_text(field, shape)) return;
  }
  faults.add("--prompt", "{{text}} in the template with --chunk-tokens, because it is the chunk",
             "none, so that every chunk would ask the same");
}

// What a chunk's call and a step see under these names is no field of the item.
void check_text_field(const RequestShape& shape, Faults& faults) {
  constexpr std::array<std::string_view, 3> taken{"chunk", "chunks", "answers"};
  if (std::find(taken.begin(), taken.end(), shape.text_field) != taken.end())
    faults.add_quoted("--text-field",
                      "another name than chunk, chunks and answers with --chunk-tokens; rename the "
                      "field",
                      shape.text_field);
}

void check_reduce_fields(const RequestShape& shape, const Fields& fields, Faults& faults) {
  bool any = false;
  for (const std::string& field : fields) {
    const std::string shown = fmt::format("{{{{{}}}}}", field);
    if (field == "answers")
      any = true;
    else if (field.starts_with("answer."))
      faults.add_quoted("--reduce-prompt",
                        "{{answers}}, which are those to several chunks of one model", shown);
    else if (is_text(field, shape))
      faults.add_quoted("--reduce-prompt",
                        "no document in the template, because it does not fit; {{answers}} stand "
                        "for it",
                        shown);
  }
  if (!any)
    faults.add("--reduce-prompt", "{{answers}} in the template",
               "none, so that no answer would be seen");
}

void check_reduce(const JobSpec& spec, Faults& faults) {
  const RequestShape& shape = spec.shape;
  if (info(shape.task).embeds)
    return faults.add("--reduce-prompt",
                      "--task chat or classify with it, because vectors are averaged",
                      fmt::format("--task {}", name_of(shape.task)));
  faults.prompt("--reduce-prompt", shape.reduce_prompt);
  if (const auto fields = openai::template_fields(shape.reduce_prompt))
    check_reduce_fields(shape, *fields, faults);
}

} // namespace

void check_chunks(const JobSpec& spec, Faults& faults) {
  const RequestShape& shape = spec.shape;
  if (shape.chunk_tokens == 0) {
    constexpr std::string_view beside = "--chunk-tokens N beside it, which divides documents";
    if (shape.chunk_overlap > 0) faults.add("--chunk-overlap", beside, "none");
    if (!shape.reduce_prompt.empty()) faults.add("--reduce-prompt", beside, "none");
    return;
  }
  check_sizes(shape, faults);
  check_text_field(shape, faults);
  check_text_is_used(shape, faults);
  if (!shape.reduce_prompt.empty()) check_reduce(spec, faults);
}

} // namespace gristmill
