#include "actors/journal/commit_row.hpp"

#include "actors/kit/check.hpp"
#include "protocol/openai/line/line_by_reference.hpp"

#include <algorithm>
#include <limits>
#include <map>

namespace gristmill::journal {
namespace {

constexpr std::uint64_t of_a_part = 5, keyed = 6;
constexpr std::uint64_t sized = 4, keyed_part = 5; // of a part, which is never reopened by itself

std::uint64_t kind_of_item(const ItemEntry& entry) {
  if (entry.part) return of_a_part;
  return entry.key ? keyed : static_cast<std::uint64_t>(entry.kind);
}
std::uint64_t kind_of_part(const ItemEntry& entry) {
  if (entry.key) return keyed_part;
  return entry.size > 0 ? sized : static_cast<std::uint64_t>(entry.kind);
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::bad_frame, fmt::format("expected a list of items, got {}", what));
}

} // namespace

void ItemsWriter::add(const ItemEntry& entry) {
  GRISTMILL_CHECK(entry.item < items_max, "item {} is beyond {}", entry.item, items_max);
  const auto delta = static_cast<std::int64_t>(entry.item) - static_cast<std::int64_t>(previous_);
  previous_ = entry.item;
  put_varint(blob_, zigzag(delta) * 8 + kind_of_item(entry));
  if (entry.part) put_varint(blob_, std::uint64_t{*entry.part} * 8 + kind_of_part(entry));
  if (is_note(entry.kind)) {
    put_varint(blob_, entry.attempts);
    put_varint(blob_, entry.deaths);
    if (entry.kind == EntryKind::fallback) put_varint(blob_, entry.tries);
  } else if (entry.kind != EntryKind::reopened) {
    put_varint(blob_, entry.bytes);
    if (entry.size > 0 || (entry.part && entry.key)) put_varint(blob_, entry.size);
    blob_ += entry.key ? entry.key.view() : std::string_view{};
    if (entry.kind == EntryKind::failed) put_varint(blob_, static_cast<std::uint64_t>(entry.cls));
  }
}

bool ItemsReader::varint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) return false;
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool ItemsReader::key(RequestKey& key) {
  if (rest_.size() < key.bytes.size()) return false;
  std::copy_n(rest_.data(), key.bytes.size(), key.bytes.data());
  rest_.remove_prefix(key.bytes.size());
  return static_cast<bool>(key);
}

Result<bool> ItemsReader::next(ItemEntry& entry) {
  if (rest_.empty()) return false;
  std::uint64_t head = 0, part = 0, size = 0;
  entry = {};
  if (!varint(head)) return malformed("a number that is cut or longer than 64 bits");
  if (head % 8 > keyed) return malformed(fmt::format("an entry of the unknown kind {}", head % 8));
  entry.kind = head % 8 == keyed ? EntryKind::completed : static_cast<EntryKind>(head % 8);

  // A head has 61 bits of zigzag, so that this sum cannot overflow; below zero it wraps to far
  // above the bound.
  entry.item =
      static_cast<std::uint64_t>(static_cast<std::int64_t>(previous_) + unzigzag(head / 8));
  if (entry.item >= items_max) return malformed("an item number out of range");
  previous_ = entry.item;

  if (head % 8 == of_a_part) {
    if (!varint(part) || part / 8 > std::numeric_limits<std::uint32_t>::max())
      return malformed("a part's number that is cut or out of range");
    if (part % 8 > keyed_part)
      return malformed(fmt::format("a part's entry of the unknown kind {}", part % 8));
    entry.part = static_cast<std::uint32_t>(part / 8);
    entry.kind = part % 8 >= sized ? EntryKind::completed : static_cast<EntryKind>(part % 8);
  }
  const bool has_key = entry.part ? part % 8 == keyed_part : head % 8 == keyed;
  const bool has_size = entry.part && part % 8 >= sized;
  if (auto rest = rest_of(entry); !rest) return rest;
  if (has_size && (!varint(size) || (size == 0 && !has_key) ||
                   size > std::numeric_limits<std::uint32_t>::max()))
    return malformed("an answer whose size is cut or out of range");
  entry.size = static_cast<std::uint32_t>(size);
  if (has_key && !key(entry.key)) return malformed("the key of a request that is cut, or none");
  return true;
}

Result<bool> ItemsReader::rest_of(ItemEntry& entry) {
  std::uint64_t attempts = 0, deaths = 0, tries = 0, cls = 0;
  if (entry.kind == EntryKind::reopened) return true;
  if (!is_note(entry.kind)) {
    if (!varint(entry.bytes)) return malformed("a line length that is cut or too long");
    if (entry.bytes == 0) return malformed("a line without even a newline");
    if (entry.kind == EntryKind::completed) return true;
    if (!varint(cls) || cls == 0 || cls >= outcome_class_count)
      return malformed("a failed line without its class");
    entry.cls = static_cast<OutcomeClass>(cls);
    return true;
  }
  const bool fallback = entry.kind == EntryKind::fallback;
  if (!varint(attempts) || !varint(deaths) || (fallback && !varint(tries)))
    return malformed("a note that is cut or too long");
  if (fallback && tries == 0) return malformed("a fallback that nothing came before");
  if (std::max({attempts, deaths, tries}) > std::numeric_limits<std::uint32_t>::max())
    return malformed("a number of attempts out of range");
  entry.attempts = static_cast<std::uint32_t>(attempts);
  entry.deaths = static_cast<std::uint32_t>(deaths);
  entry.tries = static_cast<std::uint32_t>(tries);
  return true;
}

namespace {

std::uint64_t whole_bytes_of(const ResultLine& line) {
  if (line.stored_in.empty()) return line.line.size();
  const auto read = openai::read_line_by_reference(line.line);
  GRISTMILL_CHECK(read, "a line by reference that is none: {}", read.error().message);
  return read->whole_bytes();
}

} // namespace

std::vector<CommitRow> commit_rows(const Group& group) {
  std::map<JobId, CommitRow> by_job;
  for (const Reopened& again : group.reopened) {
    CommitRow& row = by_job[again.job];
    ++row.reopened;
    row.items.add({.kind = EntryKind::reopened, .item = again.item});
  }
  for (const ResultLine& line : group.lines) {
    CommitRow& row = by_job[line.job];
    ++(line.failed() ? row.failed : row.completed);
    row.lines.push_back(&line);
    row.whole_bytes += whole_bytes_of(line) + 1;
    if (!line.stored_in.empty()) row.stored_in.insert(line.stored_in);
    row.items.add({.kind = line.failed() ? EntryKind::failed : EntryKind::completed,
                   .item = line.item,
                   .bytes = line.line.size() + 1,
                   .key = line.failed() ? RequestKey{} : line.key,
                   .cls = line.cls});
  }
  for (const PartLine& line : group.parts) {
    CommitRow& row = by_job[line.part.job];
    row.parts.push_back(&line);
    row.items.add({.kind = line.failed() ? EntryKind::failed : EntryKind::completed,
                   .item = line.part.item,
                   .part = line.part.part,
                   .bytes = line.line.size() + 1,
                   .size = line.failed() ? 0 : line.size,
                   .key = line.failed() ? RequestKey{} : line.key,
                   .cls = line.cls});
  }
  for (const AttemptNote& note : group.attempts)
    by_job[note.part.job].items.add(
        {.kind = note.on_fallback() ? EntryKind::fallback : EntryKind::attempts,
         .item = note.part.item,
         .part = note.of_several ? std::optional{note.part.part} : std::nullopt,
         .attempts = note.attempts,
         .deaths = note.deaths,
         .tries = note.tries});
  for (const JobNote& note : group.notes) by_job[note.job].note.add(note);
  std::vector<CommitRow> rows;
  for (auto& [job, row] : by_job) {
    row.job = job;
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace gristmill::journal
