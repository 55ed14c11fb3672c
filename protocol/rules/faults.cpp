#include "protocol/rules/faults.hpp"

#include "protocol/openai/template/prompt_template.hpp"
#include "protocol/text/json_text.hpp"

namespace gristmill {

void Faults::add_quoted(std::string_view option, std::string_view expected, std::string_view got) {
  add(option, expected, fmt::format("\"{}\"", json::printable(got, 100)));
}

bool Faults::at_most(std::string_view option, std::size_t most, std::string_view what,
                     std::size_t got) {
  if (got > most) add(option, fmt::format("at most {} {}", most, what), got);
  return got <= most;
}

void Faults::text(std::string_view option, std::string_view got, std::size_t bytes_max) {
  if (!json::is_utf8(got)) add_quoted(option, "UTF-8", got);
  if (got.size() > bytes_max) add(option, fmt::format("at most {} bytes", bytes_max), got.size());
}

void Faults::name(std::string_view option, std::string_view got) {
  if (got.empty()) add(option, "a name", "nothing");
  text(option, got, limits::name_bytes_max);
}

void Faults::prompt(std::string_view option, std::string_view got) {
  text(option, got, limits::spec_bytes_max);
  if (const auto fields = openai::template_fields(got); !fields)
    add(option, "a template", fields.error().message);
}

} // namespace gristmill
