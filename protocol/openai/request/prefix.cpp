// How calls that begin alike are told from others. Servers keep what they have read of a request,
// so what counts is its beginning; OpenAI keeps prompts from 1,024 tokens on and sends them to
// servers by a hash of some hundred tokens, hence the length.
#include "protocol/openai/request/prefix.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/text/json_text.hpp"

#include <array>

namespace gristmill::openai {
namespace {

std::uint64_t hash_of(std::string_view text) {
  if (text.size() < prefix_bytes) return 0;
  std::uint64_t hash = 14695981039346656037u; // FNV-1a
  for (const char c : text.substr(0, prefix_bytes))
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash == 0 ? 1 : hash;
}

std::uint64_t prefix_of_line(std::string_view raw) {
  constexpr std::array<std::string_view, 4> names{"messages", "instructions", "prompt", "input"};
  std::array<std::string_view, names.size()> found{};
  json::Members members{json::find(json::root(raw), "body")};
  while (const auto member = members.next())
    for (std::size_t i = 0; i < names.size(); ++i)
      if (member->named(names[i])) found[i] = member->value.text;
  for (const std::string_view text : found)
    if (!text.empty()) return hash_of(text);
  return 0;
}

} // namespace

std::uint64_t prefix_of(const JobSpec& spec, const DocumentTemplate& documents, ItemKind kind,
                        std::string_view raw) {
  if (info(spec.shape.task).embeds) return 0;
  if (kind == ItemKind::batch_line) return prefix_of_line(raw);
  return hash_of(documents.beginning(kind, raw, prefix_bytes));
}

std::uint64_t prefix_of(const JobSpec& spec, ItemKind kind, std::string_view raw) {
  return prefix_of(spec, DocumentTemplate{spec}, kind, raw);
}

} // namespace gristmill::openai
