#include "protocol/openai/template/document_template.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/template/item_check.hpp"
#include "protocol/openai/template/prompt_template.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

constexpr std::string_view whole_document = "{{text}}";

std::string sentence_of_too_long(std::size_t bytes) {
  return fmt::format("expected a request of at most {} bytes when the template is filled, got {}; "
                     "shorten the document or repeat it less often in the template",
                     limits::request_bytes_max, bytes);
}

} // namespace

DocumentTemplate::DocumentTemplate(const JobSpec& spec) : finder_{{}} {
  read(spec.shape.system, spec.shape.text_field, system_);
  read(spec.shape.prompt.empty() ? whole_document : std::string_view{spec.shape.prompt},
       spec.shape.text_field, prompt_);
  finder_ = json::MemberFinder{fields_};
  for (std::size_t i = 0; i < fields_.size(); ++i) content_.push_back(i);
  const auto text = std::find(fields_.begin(), fields_.end(), spec.shape.text_field);
  if (text != fields_.end()) content_ = {static_cast<std::size_t>(text - fields_.begin())};
}

void DocumentTemplate::read(std::string_view text, const std::string& text_field, Pieces& pieces) {
  std::map<std::string, std::size_t, std::less<>> known;
  for (std::size_t i = 0; i < fields_.size(); ++i) known.emplace(fields_[i], i);
  PromptTemplate parts{text};
  for (;;) {
    const auto part = parts.next();
    if (!part && !fault_) fault_ = part.error();
    if (!part || !*part) return;
    Piece piece{std::string{(*part)->literal}, {}};
    if (const std::string_view named = (*part)->field; !named.empty()) {
      if (foreign_.empty() && named != "text") foreign_ = named;
      const std::string field = named == "text" ? text_field : std::string{named};
      const auto [place, is_new] = known.emplace(field, fields_.size());
      if (is_new) {
        fields_.push_back(field);
        uses_.push_back(0);
      }
      ++uses_[place->second];
      piece.field = place->second;
    }
    pieces.push_back(std::move(piece));
  }
}

std::size_t DocumentTemplate::most_uses() const {
  return uses_.empty() ? 0 : *std::max_element(uses_.begin(), uses_.end());
}

std::string_view DocumentTemplate::Values::spelled_text(std::size_t field) const {
  return kind == ItemKind::text ? text : spelled[field].text;
}

// Of a string at most: what is escaped in it becomes shorter.
std::size_t DocumentTemplate::Values::bytes_of(std::size_t field) const {
  const std::size_t bytes = spelled_text(field).size();
  return kind != ItemKind::text && spelled[field].is(Kind::string) ? bytes - 2 : bytes;
}

DocumentTemplate::Values DocumentTemplate::values_of(ItemKind kind, std::string_view raw) const {
  if (kind == ItemKind::text) return {kind, {}, raw};
  return {kind, finder_.in(json::root(raw)), {}};
}

Result<DocumentTemplate::Values> DocumentTemplate::checked_values(ItemKind kind,
                                                                  std::string_view raw) const {
  if (fault_) return tl::unexpected{*fault_};
  if (kind == ItemKind::text && !foreign_.empty())
    return fail(ErrorCode::bad_input, sentence_of_fields_in_text(foreign_));
  Values values = values_of(kind, raw);
  for (std::size_t i = 0; i < values.spelled.size(); ++i)
    if (values.spelled[i].is(Kind::none))
      return fail(ErrorCode::bad_input, sentence_of_missing_field(fields_[i], raw));
  return values;
}

std::size_t DocumentTemplate::bytes_of(const Values& values) const {
  std::size_t bytes = 0;
  for (const Pieces* pieces : {&system_, &prompt_})
    for (const Piece& piece : *pieces) bytes += piece.literal.size();
  // No product overflows: an item has 24 bits of bytes, a template no more places than fit in it.
  for (std::size_t i = 0; i < uses_.size(); ++i) bytes += uses_[i] * values.bytes_of(i);
  return bytes;
}

std::string DocumentTemplate::why_too_long(ItemKind kind, std::string_view raw) const {
  if (kind == ItemKind::batch_line) return {};
  const std::size_t bytes = bytes_of(values_of(kind, raw));
  return bytes > limits::request_bytes_max ? sentence_of_too_long(bytes) : std::string{};
}

Result<DocumentTemplate::Text> DocumentTemplate::fill(ItemKind kind, std::string_view raw) const {
  const auto values = checked_values(kind, raw);
  GRISTMILL_TRY(values);
  if (const std::size_t bytes = bytes_of(*values); bytes > limits::request_bytes_max)
    return fail(ErrorCode::conflict, sentence_of_too_long(bytes));
  std::vector<std::string> texts; // of strings that are spelled with escapes, each made once
  if (kind != ItemKind::text)
    for (const Value& value : values->spelled)
      texts.push_back(value.is(Kind::string) ? json::text_of(value) : std::string{value.text});
  const auto filled = [&](const Pieces& pieces) {
    std::string out;
    for (const Piece& piece : pieces) {
      out += piece.literal;
      if (piece.field) out += kind == ItemKind::text ? raw : std::string_view{texts[*piece.field]};
    }
    return out;
  };
  return Text{filled(system_), filled(prompt_)};
}

std::string DocumentTemplate::beginning(ItemKind kind, std::string_view raw,
                                        std::size_t bytes_max) const {
  const Values values = values_of(kind, raw);
  std::string text;
  const auto append = [&](std::string_view more) {
    text += more.substr(0, bytes_max - text.size());
    return text.size() < bytes_max;
  };
  for (const Pieces* pieces : {&system_, &prompt_})
    for (const Piece& piece : *pieces)
      if (!append(piece.literal) || (piece.field && !append(values.spelled_text(*piece.field))))
        return text;
  return text;
}

} // namespace gristmill::openai
