#include "coordinator/cache/cached_entry.hpp"

#include "coordinator/inputs/unpacker.hpp"
#include "coordinator/result/compressor.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/crc32c.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::uint64_t row_bytes = 128; // of an entry, beside its texts and its packed body

std::uint32_t with_number(std::uint64_t number, std::uint32_t crc) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  return crc32c({bytes, sizeof bytes}, crc);
}

// Its length, too: what moves from one field to the next is another entry.
std::uint32_t with_text(std::string_view text, std::uint32_t crc) {
  return crc32c(text, with_number(text.size(), crc));
}

std::uint32_t checksum_of(const RequestKey& key, const CachedEntry& entry) {
  std::uint32_t crc = crc32c(key.view());
  crc = with_number(entry.http_status, crc);
  crc = with_number(entry.size, crc);
  crc = with_number(static_cast<std::uint64_t>(entry.created), crc);
  for (const std::string* text : {&entry.request_id, &entry.model, &entry.endpoint, &entry.packed})
    crc = with_text(*text, crc);
  return crc;
}

Result<std::string> packed(std::string_view body) {
  const auto compressor = Compressor::of(OutputForm::zstd);
  GRISTMILL_TRY(compressor);
  std::string bytes;
  GRISTMILL_TRY((*compressor)->add(body, true, bytes));
  return bytes;
}

// Nothing unless it is a body of this size.
std::optional<std::string> unpacked(std::string_view bytes, std::uint64_t size) {
  const auto unpacker =
      Unpacker::open(Packing::zstd, [&bytes](std::span<char> into) -> Result<std::size_t> {
        const std::size_t count = bytes.copy(into.data(), into.size());
        bytes.remove_prefix(count);
        return count;
      });
  std::string body(size, '\0');
  std::size_t done = 0;
  while (done < body.size()) {
    const auto got = unpacker->next(std::span{body}.subspan(done));
    if (!got || *got == 0) return std::nullopt;
    done += *got;
  }
  char more = 0;
  const auto end = unpacker->next({&more, 1});
  if (!end || *end != 0) return std::nullopt;
  return body;
}

} // namespace

std::uint64_t CachedEntry::bytes() const {
  return row_bytes + request_id.size() + model.size() + endpoint.size() + packed.size();
}

std::optional<CachedEntry> entry_of(const RequestKey& key, const KnownAnswer& answer,
                                    std::int64_t created) {
  if (answer.body.size() > limits::reply_bytes_max) return std::nullopt;
  for (const std::string* text : {&answer.request_id, &answer.model, &answer.endpoint})
    if (text->size() > limits::text_bytes_max) return std::nullopt;
  auto bytes = packed(answer.body);
  if (!bytes) return std::nullopt;
  CachedEntry entry{.http_status = answer.http_status,
                    .request_id = answer.request_id,
                    .model = answer.model,
                    .endpoint = answer.endpoint,
                    .packed = std::move(*bytes),
                    .size = answer.body.size(),
                    .created = created};
  entry.checksum = checksum_of(key, entry);
  return entry;
}

std::optional<KnownAnswer> answer_of(const RequestKey& key, CachedEntry entry) {
  if (entry.checksum != checksum_of(key, entry) || entry.size > limits::reply_bytes_max)
    return std::nullopt;
  auto body = unpacked(entry.packed, entry.size);
  if (!body) return std::nullopt;
  return KnownAnswer{.http_status = entry.http_status,
                     .request_id = std::move(entry.request_id),
                     .model = std::move(entry.model),
                     .endpoint = std::move(entry.endpoint),
                     .body = std::move(*body)};
}

} // namespace gristmill::coordinator
