#include "actors/intake/intake.hpp"

#include "protocol/openai/wire.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::intake {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool has_suffix(std::string_view name, std::initializer_list<std::string_view> suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](std::string_view s) { return name.ends_with(s); });
}

} // namespace

ItemKind detect_kind(std::string_view name, std::string_view head) {
  if (has_suffix(name, {".txt", ".md"})) return ItemKind::text;
  if (head.starts_with(byte_order_mark)) head.remove_prefix(byte_order_mark.size());
  head = trimmed(head);
  const bool json_lines = has_suffix(name, {".jsonl", ".ndjson", ".json"}) || head.starts_with('{');
  if (!json_lines) return ItemKind::text;
  const std::string_view first = head.substr(0, head.find('\n'));
  const auto names = [&](std::string_view key) { return first.find(key) != std::string_view::npos; };
  const bool batch = names("\"custom_id\"") || (names("\"method\"") && names("\"url\""));
  return batch ? ItemKind::batch_line : ItemKind::json_object;
}

Intake::Intake(const JobSpec& spec, ByteSource& source, InputPosition from)
    : spec_{spec}, source_{source}, at_{from} {}

Result<bool> Intake::open_input() {
  if (open_) return true;
  if (at_.input >= spec_.inputs.size()) return false;
  // Read to its end: the kind must not depend on how much a source gives at a time.
  std::string head(64 * 1024, '\0');
  std::size_t had = 0;
  while (had < head.size()) {
    const auto got = source_.read(at_.input, had, {head.data() + had, head.size() - had});
    if (!got) return tl::unexpected{got.error()};
    if (*got == 0) break;
    had += *got;
  }
  head.resize(had);
  kind_ = detect_kind(spec_.inputs[at_.input].name, head);
  if (kind_ != ItemKind::text)
    lines_.emplace(source_, at_.input, at_.offset, spec_.line_bytes_max);
  open_ = true;
  return true;
}

Result<std::optional<Item>> Intake::next() {
  for (;;) {
    if (spec_.limit != 0 && at_.item >= spec_.limit) return std::nullopt;
    const auto opened = open_input();
    if (!opened) return tl::unexpected{opened.error()};
    if (!*opened) return std::nullopt;
    auto item = kind_ == ItemKind::text ? next_document() : next_line();
    if (!item) return item;
    if (*item) {
      ++at_.item;
      return item;
    }
    at_ = InputPosition{at_.input + 1, 0, 0, at_.item};
    lines_.reset();
    open_ = false;
  }
}

Result<std::optional<Item>> Intake::next_line() {
  for (;;) {
    auto line = lines_->next();
    if (!line) return tl::unexpected{line.error()};
    if (!*line) return std::nullopt;
    at_.offset = lines_->position();
    ++at_.line;
    std::string_view text = (*line)->text;
    std::uint64_t offset = (*line)->offset;
    if (at_.line == 1 && text.starts_with(byte_order_mark)) {
      text.remove_prefix(byte_order_mark.size());
      offset += byte_order_mark.size();
    }
    if (!(*line)->too_long && trimmed(text).empty()) continue;
    Item item;
    item.ordinal = at_.item;
    item.place = {at_.input, offset, text.size(), at_.line, kind_};
    if ((*line)->too_long) {
      item.id = source_of(item.place);
      item.bad = fmt::format("expected a line of at most {} bytes, got {}; raise --max-line-bytes",
                             spec_.line_bytes_max, (*line)->bytes);
    } else {
      describe(item, text);
    }
    return item;
  }
}

void Intake::describe(Item& item, std::string_view line) {
  if (kind_ == ItemKind::batch_line) {
    auto read = openai::read_batch_line(line);
    if (read) {
      item.id = std::move(read->custom_id);
    } else {
      item.bad = std::move(read.error().message);
      item.id = openai::field_text(line, "custom_id").value_or("");
    }
  } else {
    auto id = openai::field_text(line, spec_.id_field);
    if (id) {
      item.id = std::move(*id);
    } else {
      item.bad = std::move(id.error().message);
    }
  }
  if (item.id.empty()) item.id = source_of(item.place);
  if (item.bad.empty()) item.raw = line;
}

Result<std::optional<Item>> Intake::next_document() {
  if (at_.offset > 0) return std::nullopt; // the document has been read
  Item item;
  item.ordinal = at_.item;
  item.place = {at_.input, 0, 0, 0, ItemKind::text};
  item.id = source_of(item.place);
  std::string text;
  for (;;) {
    const std::size_t had = text.size();
    text.resize(had + 256 * 1024);
    const auto got = source_.read(at_.input, had, {text.data() + had, text.size() - had});
    if (!got) return tl::unexpected{got.error()};
    text.resize(had + *got);
    if (*got == 0) break;
    if (text.size() > spec_.line_bytes_max) {
      text.resize(spec_.line_bytes_max + 1);
      item.bad = fmt::format("expected a document of at most {} bytes, got more; raise "
                             "--max-line-bytes or split it",
                             spec_.line_bytes_max);
      break;
    }
  }
  item.place.bytes = text.size();
  at_.offset = std::max<std::uint64_t>(text.size(), 1);
  at_.line = 1;
  if (text.find('\0') != std::string::npos)
    item.bad = "expected a text document, got a binary file (it has NUL bytes)";
  if (item.bad.empty()) item.raw = std::move(text);
  return item;
}

Result<std::string> Intake::read_again(const Place& place) {
  std::string raw(place.bytes, '\0');
  std::size_t had = 0;
  while (had < raw.size()) {
    const auto got =
        source_.read(place.input, place.offset + had, {raw.data() + had, raw.size() - had});
    if (!got) return tl::unexpected{got.error()};
    if (*got == 0)
      return fail(ErrorCode::bad_input,
                  fmt::format("{}: expected {} bytes, got {}: the input changed while the job ran",
                              source_of(place), raw.size(), had));
    had += *got;
  }
  return raw;
}

std::string Intake::source_of(const Place& place) const {
  const std::string& name = spec_.inputs[place.input].name;
  return place.line == 0 ? name : fmt::format("{}:{}", name, place.line);
}

} // namespace gristmill::intake
