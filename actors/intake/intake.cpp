#include "actors/intake/intake.hpp"

#include "actors/intake/csv_separator.hpp"
#include "actors/intake/length_advice.hpp"
#include "actors/intake/line_kind.hpp"
#include "actors/intake/line_records.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/batch_line.hpp"
#include "protocol/openai/line/readable_id.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace gristmill::intake {
namespace {

constexpr std::size_t begin_bytes = 64 * 1024, headers_kept = 4;

using Shape = InputFormat::Shape;
using Fate = Preparation::Fate;

} // namespace

Intake::Intake(const JobSpec& spec, ByteSource& source, InputPosition from, Ids ids)
    : spec_{spec}, check_{spec}, preparation_{spec}, source_{source}, at_{from} {
  if (ids == Ids::unique) {
    seen_.emplace(source.scratch());
    caught_up_ = spec.open ? from.input == 0 && from.offset == 0 : from.offset == 0;
  }
}

Result<bool> Intake::open_input() {
  if (open_) return true;
  if (at_.input >= source_.input_count()) {
    if (spec_.open && !source_.is_closed())
      return fail(ErrorCode::not_yet, "no more inputs have been appended");
    return false;
  }
  auto name = source_.name_of(at_.input);
  GRISTMILL_TRY(name);
  name_ = std::move(*name);
  const auto head = beginning_of(source_, at_.input, begin_bytes);
  GRISTMILL_TRY(head);
  format_ = format_of(name_, *head, spec_.shape.format);
  // Of a first line that is longer: its custom_id may stand behind its body.
  const bool cut = head->size() == begin_bytes && head->find('\n') == std::string::npos;
  if (format_.shape == Shape::lines && cut && spec_.shape.format == InputForm::automatic) {
    const auto line = beginning_of(source_, at_.input, spec_.limits.line_bytes_max);
    GRISTMILL_TRY(line);
    format_.kind = kind_of_lines(*line);
  }
  GRISTMILL_TRY(open_records());
  open_ = true;
  return true;
}

Result<> Intake::open_records() {
  records_.reset();
  // Until the ids before it are known, reading begins at the input's first record.
  const std::uint64_t offset = caught_up_ ? at_.offset : 0, line = caught_up_ ? at_.line : 0;
  if (format_.shape == Shape::lines)
    records_ = std::make_unique<LineRecords>(source_, at_.input, offset, line,
                                             spec_.limits.line_bytes_max);
  if (format_.shape == Shape::table) {
    const auto header = header_of(at_.input);
    GRISTMILL_TRY(header);
    const CsvHeader& h = **header;
    records_ = std::make_unique<CsvTable>(source_, at_.input, h, std::max(offset, h.offset),
                                          std::max(line, h.line), spec_.limits.line_bytes_max);
  }
  if (format_.shape == Shape::texts)
    records_ = std::make_unique<TextLines>(source_, at_.input, offset, line, text_lines());
  if (!records_) caught_up_ = true; // a document has no ids but its name
  return {};
}

TextLinesOptions Intake::text_lines() const {
  return {spec_.shape.text_field, spec_.limits.line_bytes_max, spec_.shape.normalise};
}

Result<const CsvHeader*> Intake::header_of(std::uint32_t input) {
  const auto known = std::find_if(headers_.begin(), headers_.end(),
                                  [&](const Header& h) { return h.input == input; });
  if (known != headers_.end()) {
    headers_.splice(headers_.begin(), headers_, known);
    return &headers_.front().header;
  }
  const auto name = source_.name_of(input);
  GRISTMILL_TRY(name);
  const CsvOptions options{spec_.shape.delimiter,
                           format_of(*name, {}, spec_.shape.format).separator,
                           spec_.limits.line_bytes_max, spec_.shape.normalise};
  auto header = read_csv_header(source_, input, *name, options);
  GRISTMILL_TRY(header);
  // The table that is open keeps a reference to its header.
  if (headers_.size() == headers_kept)
    headers_.erase(std::prev(headers_.end(), headers_.back().input == at_.input ? 2 : 1));
  headers_.push_front({input, std::move(*header)});
  return &headers_.front().header;
}

// A reader that failed is worth nothing, but the place where its next record begins is known.
void Intake::begin_again() {
  ahead_.reset();
  records_.reset();
  open_ = false;
}

Result<bool> Intake::catch_up(std::size_t records_max) {
  auto caught_up = catch_up_further(records_max);
  if (!caught_up) begin_again();
  return caught_up;
}

// Through all inputs from the first on, as they were read.
Result<bool> Intake::catch_up_with_inputs(std::size_t records_max) {
  if (!earlier_)
    earlier_ = std::make_unique<Intake>(spec_, source_, InputPosition{}, Ids::as_they_are);
  const auto is_before = [this](const auto& place) {
    return std::pair{place.input, place.offset} < std::pair{at_.input, at_.offset};
  };
  for (std::size_t n = 0; n < records_max; ++n) {
    if (!is_before(earlier_->position())) break;
    const auto record = earlier_->read();
    if (!record && record.error().code == ErrorCode::not_yet) break; // behind the last input
    GRISTMILL_TRY(record);
    if (record->at_end) break;
    // At the end of an input the next one's first record comes.
    if (record->item && is_before(record->item->place) && earlier_->reads_records())
      GRISTMILL_TRY(first_line_of(record->item->id, record->item->place.line));
    if (n + 1 == records_max) return false;
  }
  earlier_.reset();
  return caught_up_ = true;
}

Result<bool> Intake::catch_up_further(std::size_t records_max) {
  if (caught_up_) return true;
  if (spec_.open) return catch_up_with_inputs(records_max);
  const auto opened = open_input();
  GRISTMILL_TRY(opened);
  if (!*opened) caught_up_ = true;
  for (std::size_t n = 0; n < records_max && !caught_up_; ++n) {
    auto record = records_->next();
    if (!record && record.error().code == ErrorCode::not_yet && records_->offset() >= at_.offset) {
      begin_again(); // all that is before it has been read
      return caught_up_ = true;
    }
    GRISTMILL_TRY(record);
    if (!*record || (*record)->offset >= at_.offset) {
      ahead_ = std::move(*record);
      caught_up_ = true;
    } else {
      const Prepared prepared = prepare(**record);
      if (prepared.fate != Fate::item && !mutated("dropped_ids_are_taken")) continue;
      const auto first = first_line_of(prepared.identity.id, (*record)->line);
      GRISTMILL_TRY(first);
    }
  }
  return caught_up_;
}

Result<std::optional<Item>> Intake::next() {
  for (;;) {
    auto read = this->read();
    GRISTMILL_TRY(read);
    if (read->item || read->at_end) return std::move(read->item);
  }
}

Result<Read> Intake::read() {
  auto read = read_next();
  if (!read) begin_again();
  return read;
}

Result<Read> Intake::read_next() {
  GRISTMILL_TRY(catch_up(std::numeric_limits<std::size_t>::max()));
  const Read at_end{{}, true};
  for (;;) {
    if (spec_.limits.items != 0 && at_.item >= spec_.limits.items) return at_end;
    const auto opened = open_input();
    GRISTMILL_TRY(opened);
    if (!*opened) return at_end;
    Read read;
    const auto there = records_ ? next_record(read) : next_document(read);
    GRISTMILL_TRY(there);
    if (*there) return read;
    at_ = InputPosition{at_.input + 1, 0, 0, at_.item, at_.before};
    records_.reset();
    open_ = false;
    if (seen_ && !spec_.open) GRISTMILL_TRY(seen_->clear());
  }
}

// What has been read of it is behind.
void Intake::take(Read& read, Item item, Fate fate, const Preparation::Text& text) {
  at_.before.where += fate == Fate::where;
  at_.before.empty += fate == Fate::empty;
  at_.before.sample += fate == Fate::sample;
  if (fate != Fate::item) return;
  const bool good = item.bad.empty();
  at_.before.normalised += good && (text.made || text.mended);
  at_.before.mended += good && text.mended;
  item.ordinal = at_.item++;
  read.item = std::move(item);
}

Result<bool> Intake::next_record(Read& read) {
  auto record =
      ahead_ ? Result<std::optional<Record>>{std::exchange(ahead_, {})} : records_->next();
  GRISTMILL_TRY(record);
  if (!*record) return false;
  Prepared prepared = prepare(**record);
  Item item;
  if (prepared.fate == Fate::item) {
    auto made = item_of(**record, prepared);
    GRISTMILL_TRY(made);
    item = std::move(*made);
  }
  take(read, std::move(item), prepared.fate, prepared.text);
  at_.offset = records_->offset();
  at_.line = records_->line();
  return true;
}

Intake::Prepared Intake::prepare(const Record& record) const {
  Prepared prepared{text_of(record), {}, {}};
  const std::string_view text = prepared.text.text();
  prepared.identity = identify(record, text);
  const Identity& identity = prepared.identity;
  // Whatever an object lacks for the job, it has fields.
  const auto is_object = [&] {
    return record.fault.empty() && json::check(text) && json::root(text).is(json::Kind::object);
  };
  const bool has_fields =
      preparation_.has_conditions() && (identity.bad.empty() || identity.blank || is_object());
  prepared.fate = preparation_.fate_of(!has_fields || preparation_.takes_object(text),
                                       identity.blank, {at_.input, record.line});
  return prepared;
}

Preparation::Text Intake::text_of(const Record& record) const {
  auto text = preparation_.object(record.text, id_field_of(format_.kind));
  text.mended |= record.mended;
  return text;
}

std::string_view Intake::id_field_of(ItemKind kind) const {
  return kind == ItemKind::batch_line ? std::string_view{"custom_id"}
                                      : std::string_view{spec_.shape.id_field};
}

Result<Item> Intake::item_of(const Record& record, Prepared& prepared) {
  Item item;
  item.place = {at_.input,    record.offset, record.bytes, record.line,
                format_.kind, false,         at_.before};
  item.place.is_verbatim = format_.shape == Shape::lines && !prepared.text.made &&
                           !prepared.text.mended && record.text.size() == record.bytes;
  Identity& identity = prepared.identity;
  const auto first = first_line_of(identity.id, record.line);
  GRISTMILL_TRY(first);
  item.bad = std::move(identity.bad);
  if (*first == 0)
    item.id = std::move(identity.id);
  else if (record.fault.empty())
    item.bad = fmt::format("expected {} to be unique in {}, got \"{}\" again, which is line {}'s",
                           id_field_of(format_.kind), spec_.open ? "all inputs" : "its file",
                           json::printable(identity.id, 100), *first);
  if (item.id.empty()) item.id = source_of(item.place);
  if (item.bad.empty()) item.raw = prepared.text.text();
  return item;
}

Intake::Identity Intake::identify(const Record& record, std::string_view text) const {
  if (!record.fault.empty())
    return {openai::readable_id(text, id_field_of(format_.kind)), record.fault};
  const std::uint64_t most = spec_.limits.line_bytes_max;
  if (text.size() > most && text.size() > record.text.size())
    return {openai::readable_id(text, id_field_of(format_.kind)),
            fmt::format("expected a record of at most {} bytes, got {} after --normalise; {}", most,
                        text.size(), length_advice(text.size(), most))};
  Identity identity =
      format_.kind == ItemKind::batch_line ? identify_line(text) : identify_object(text);
  if (!identity.bad.empty() && !json::is_utf8(text))
    identity.bad += "; --normalise puts U+FFFD in their place";
  if (identity.bad.empty() && !spec_.shape.keep.empty())
    if (const auto kept = openai::kept_fields(text, spec_.shape.keep).size();
        kept > limits::kept_bytes_max)
      identity.bad = fmt::format("expected the fields of --keep to have at most {} bytes together, "
                                 "got {}",
                                 limits::kept_bytes_max, kept);
  return identity;
}

Intake::Identity Intake::identify_line(std::string_view line) const {
  auto read = openai::read_batch_line(line, spec_.shape.assume_url);
  if (read) return {std::move(read->custom_id), check_.fault_of_line(read->path)};
  const auto id = openai::field_text(line, "custom_id");
  return {id ? *id : openai::readable_id(line, "custom_id"), std::move(read.error().message)};
}

Intake::Identity Intake::identify_object(std::string_view object) const {
  auto id = openai::field_text(object, spec_.shape.id_field);
  if (!id)
    return {openai::readable_id(object, spec_.shape.id_field), std::move(id.error().message)};
  auto fault = check_.fault_of_object(object);
  return {std::move(*id), std::move(fault.why), fault.blank};
}

Result<std::uint64_t> Intake::first_line_of(const std::string& id, std::uint64_t line) {
  if (!seen_ || id.empty()) return 0;
  return seen_->add(id, line);
}

bool Intake::has_read(const std::string& id) {
  if (!seen_) return false;
  const auto line = seen_->find(id);
  return line && *line != 0;
}

Result<bool> Intake::next_document(Read& read) {
  if (at_.offset > 0) return false; // the document has been read
  Item item;
  item.place = {at_.input, 0, 0, 0, ItemKind::text, false, at_.before};
  item.id = name_;
  if (format_.shape == Shape::refused) {
    at_.line = at_.offset = 1;
    item.bad = format_.why_refused;
    take(read, std::move(item), preparation_.fate_of(true, false, {at_.input, 0}), {});
    return true;
  }
  const auto bytes = read_document(item);
  GRISTMILL_TRY(bytes);
  item.place.bytes = bytes->size();
  at_.line = 1;
  at_.offset = std::max<std::uint64_t>(bytes->size(), 1);
  const Preparation::Text text = preparation_.document(without_mark(*bytes));
  item.place.is_verbatim =
      !text.made && !text.mended && without_mark(*bytes).size() == bytes->size();
  const bool readable = item.bad.empty();
  bool blank = false;
  if (readable) {
    auto fault = fault_of_document(text.text());
    item.bad = std::move(fault.why);
    blank = fault.blank;
  }
  if (item.bad.empty()) item.raw = text.text();
  const bool taken = !readable || preparation_.takes_document(text.text());
  take(read, std::move(item), preparation_.fate_of(taken, blank, {at_.input, 0}), text);
  return true;
}

// As much of it as may be read; `item` says if there is more, or if it is no text.
Result<std::string> Intake::read_document(Item& item) {
  std::string text;
  for (;;) {
    const std::size_t had = text.size();
    text.resize(had + 256 * 1024);
    const auto got = source_.read(at_.input, had, {text.data() + had, text.size() - had});
    GRISTMILL_TRY(got);
    text.resize(had + *got);
    if (*got == 0) break;
    if (text.size() > spec_.limits.line_bytes_max) {
      text.resize(spec_.limits.line_bytes_max + 1);
      item.bad = fmt::format("expected a document of at most {} bytes, got more; {}",
                             spec_.limits.line_bytes_max,
                             length_advice(text.size(), spec_.limits.line_bytes_max));
      break;
    }
  }
  if (text.find('\0') != std::string::npos)
    item.bad = "expected a text document, got a binary file (it has NUL bytes)";
  return text;
}

openai::ItemCheck::Fault Intake::fault_of_document(std::string_view text) const {
  if (!json::is_utf8(text))
    return {"expected a document in UTF-8, got bytes that are not; convert it, or --normalise puts "
            "U+FFFD in their place"};
  if (const std::uint64_t most = spec_.limits.line_bytes_max; text.size() > most)
    return {fmt::format("expected a document of at most {} bytes, got {} after --normalise; {}",
                        most, text.size(), length_advice(text.size(), most))};
  return check_.fault_of_text(text);
}

Result<std::string> Intake::read_bytes(const ItemPlace& place) {
  std::string raw(place.bytes, '\0');
  std::size_t had = 0;
  while (had < raw.size()) {
    const auto got =
        source_.read(place.input, place.offset + had, {raw.data() + had, raw.size() - had});
    GRISTMILL_TRY(got);
    if (*got == 0)
      return fail(ErrorCode::bad_input,
                  fmt::format("{}: expected {} bytes, got {}: the input changed while the job ran",
                              source_of(place), raw.size(), had));
    had += *got;
  }
  return raw;
}

Result<std::string> Intake::read_again(const ItemPlace& place) {
  auto raw = read_bytes(place);
  GRISTMILL_TRY(raw);
  if (place.kind == ItemKind::text)
    return std::string{preparation_.document(without_mark(*raw)).text()};
  auto object = object_again(place, std::move(*raw));
  GRISTMILL_TRY(object);
  if (!preparation_.normalises()) return object;
  return std::string{preparation_.object(*object, id_field_of(place.kind)).text()};
}

// A record as its reader gives it.
Result<std::string> Intake::object_again(const ItemPlace& place, std::string raw) {
  const auto name = source_.name_of(place.input);
  GRISTMILL_TRY(name);
  const Shape shape = format_of(*name, {}, spec_.shape.format).shape;
  if (shape == Shape::texts) return object_of_line(raw, text_lines());
  if (shape != Shape::table) return raw;
  const auto header = header_of(place.input);
  GRISTMILL_TRY(header);
  auto object = csv_object(**header, raw, spec_.limits.line_bytes_max);
  if (!object)
    return fail(ErrorCode::bad_input, fmt::format("{}: {}: the input changed while the job ran",
                                                  source_of(place), object.error().message));
  return object;
}

std::string Intake::kept_of(const ItemPlace& place) {
  if (spec_.shape.keep.empty() || place.kind == ItemKind::text) return {};
  const auto record = read_again(place);
  if (!record) return {}; // the item's own line says what is wrong with it
  auto kept = openai::kept_fields(*record, spec_.shape.keep);
  if (kept.size() > limits::kept_bytes_max) return {};
  return kept;
}

// The name can only be missing when the list of inputs itself cannot be read any more.
std::string Intake::source_of(const ItemPlace& place) {
  const auto name = source_.name_of(place.input).value_or(fmt::format("input {}", place.input));
  return place.line == 0 ? name : fmt::format("{}:{}", name, place.line);
}

} // namespace gristmill::intake
