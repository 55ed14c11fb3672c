#include "cli/dry_run/field_check.hpp"

#include "actors/intake/intake.hpp"
#include "coordinator/inputs/file_source.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/template/prompt_template.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <optional>

namespace gristmill::cli {
namespace {

struct First {
  intake::Item item;
  std::string source; // FILE:LINE
};

// The first item that is not bad.
Result<std::optional<First>> first_item(const JobSpec& spec) {
  auto source = coordinator::FileSource::open(spec.inputs, std::filesystem::temp_directory_path());
  GRISTMILL_TRY(source);
  intake::Intake intake{spec, **source, {}};
  for (;;) {
    auto item = intake.next();
    GRISTMILL_TRY(item);
    if (!*item) return std::nullopt;
    if (!(*item)->bad.empty()) continue;
    std::string where = intake.source_of((*item)->place);
    return First{std::move(**item), std::move(where)};
  }
}

std::string what_it_has(const intake::Item& item) {
  switch (item.place.kind) {
  case ItemKind::text: return "is a text document, whose only field is {{text}}";
  case ItemKind::batch_line:
    return "is a request of its own, which no prompt changes: leave it out";
  case ItemKind::json_object: break;
  }
  return "has " + openai::names_in(item.raw);
}

bool has_field(const JobSpec& spec, const intake::Item& item, const std::string& name) {
  if (item.place.kind == ItemKind::text) return name == "text";
  if (item.place.kind == ItemKind::batch_line) return false;
  const json::Value object = json::root(item.raw);
  return !json::find(object, name == "text" ? spec.shape.text_field : name).is(json::Kind::none);
}

std::string refusal_of(const std::optional<First>& first) {
  return fmt::format("--prompt: expected a field of the document in the template, such as "
                     "{{{{text}}}}, got none, so that no document would be sent{}; "
                     "--no-field-needed if that is meant",
                     first ? fmt::format("; {} {}", first->source, what_it_has(first->item)) : "");
}

} // namespace

std::vector<std::string> names_in_single_braces(std::string_view text) {
  constexpr std::size_t name_bytes_max = 60;
  std::vector<std::string> names;
  for (std::size_t open = text.find('{'); open != text.npos; open = text.find('{', open + 1)) {
    const std::size_t close = text.find_first_of("{}", open + 1);
    if (close == text.npos) break;
    const std::string_view name = text.substr(open + 1, close - open - 1);
    const bool single = text[close] == '}' && (open == 0 || text[open - 1] != '{') &&
                        (close + 1 == text.size() || text[close + 1] != '}');
    const bool is_name = !name.empty() && name.size() <= name_bytes_max &&
                         name.find_first_of(" \t\r\n\"',:;|()[]<>") == name.npos;
    if (single && is_name && std::find(names.begin(), names.end(), name) == names.end())
      names.emplace_back(name);
  }
  return names;
}

namespace {

// Of many inputs the first ones stand for all; one of documents is enough for a template.
Result<std::optional<First>> only_requests(const JobSpec& spec) {
  constexpr std::size_t looked_at_max = 100;
  std::optional<First> request;
  for (std::size_t n = 0; n < std::min(spec.inputs.size(), looked_at_max); ++n) {
    JobSpec one = spec;
    one.inputs = {spec.inputs[n]};
    auto first = first_item(one);
    GRISTMILL_TRY(first);
    if (!*first) continue;
    if ((*first)->item.place.kind != ItemKind::batch_line) return std::nullopt;
    if (!request) request = std::move(*first);
  }
  return request;
}

// Not one word of it would be sent, and every call paid.
std::string refusal_beside_requests(const JobSpec& spec, const First& first) {
  return fmt::format("{}: expected documents for its template, got {}, which {}",
                     spec.shape.prompt.empty() ? "--system" : "--prompt", first.source,
                     what_it_has(first.item));
}

} // namespace

Result<FieldCheck> check_fields(const JobSpec& spec) {
  if (spec.shape.prompt.empty() && spec.shape.system.empty()) return FieldCheck{};
  const auto request = only_requests(spec);
  GRISTMILL_TRY(request);
  if (*request) return FieldCheck{refusal_beside_requests(spec, **request), {}};
  if (spec.shape.prompt.empty()) return FieldCheck{};
  std::vector<std::string> used, doubtful;
  for (const std::string* text : {&spec.shape.prompt, &spec.shape.system}) {
    const auto fields = openai::template_fields(*text);
    if (!fields) return FieldCheck{}; // it is complained of elsewhere
    used.insert(used.end(), fields->begin(), fields->end());
    for (std::string& name : names_in_single_braces(*text)) doubtful.push_back(std::move(name));
  }
  const bool lacks_field = used.empty() && !spec.policy.no_field_needed;
  if (!lacks_field && doubtful.empty()) return FieldCheck{};
  const auto first = first_item(spec);
  GRISTMILL_TRY(first);
  if (lacks_field) return FieldCheck{refusal_of(*first), {}};
  for (const std::string& name : doubtful)
    if (*first && has_field(spec, (*first)->item, name) &&
        std::find(used.begin(), used.end(), name) == used.end())
      return FieldCheck{{},
                        fmt::format("--prompt: {{{0}}} is sent as it stands, though {1} has such a "
                                    "field: that is {{{{{0}}}}}\n",
                                    name, (*first)->source)};
  return FieldCheck{};
}

} // namespace gristmill::cli
